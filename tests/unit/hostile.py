"""Texts that act on what shows them, unless they are escaped."""

import re

TEXTS = {
    "control characters": "\x1b[2J\x07\x00\x7f\r\n\t",
    "C1 and bidirectional": "\x9b31m\u202e\u2066\u200b\ufeff",
    "markup of a terminal": "[red]a[/red][/][link=x]:smile:",
    "markup of a page": "</main><script>a&amp;'\"{{ 7*7 }}{% x %}`",
    "quotes of a metric": '\\"}\\n{a="\\',
}
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""What acts on a terminal, or cannot be seen."""
