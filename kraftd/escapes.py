r"""Text from outside in a form that a terminal or a page shows, and that can be typed back.

Group ids, client ids, log lines and paths may hold any character. What is not printable would act on a terminal, split
a row, or be invisible; it is shown as Python writes it in a string, such as U+202E as ``\u202e``. A backslash is
doubled, so that two different texts never look the same.
"""

import json
import re
from collections.abc import Container

_SHORT = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_HEX = "[0-9a-fA-F]"
_ESCAPE = re.compile(rf"\\(?:([\\nrt])|x({_HEX}{{2}})|u({_HEX}{{4}})|U(00(?:0{_HEX}|10){_HEX}{{4}}))")
_UNSEEN_IN_JSON = re.compile("[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""What json.dumps leaves as it is, and a terminal obeys or does not show."""

_EMPTY = "''"


def escaped(text: str) -> str:
    """Return a text on one line, without a character that is not printable."""
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(_SHORT.get(character) or _character(character) for character in text)


def sentence(text: str) -> str:
    """Return a sentence on one line, without a character that is not printable; names in it are escaped already."""
    if text.isprintable():
        return text
    return "".join(
        character if character == "\\" else _SHORT.get(character) or _character(character) for character in text
    )


def unescaped(text: str) -> str:
    """Return the text that ``escaped`` was given."""
    return _ESCAPE.sub(_meant, text)


def named(name: str) -> str:
    """Return a name as part of a sentence or a row: an empty one, and spaces at its ends, can be seen."""
    shown = escaped(name)
    if shown in {"", _EMPTY}:
        return shown.replace("'", "\\x27", 1) or _EMPTY
    inner = shown.strip(" ")
    before = len(shown) - len(shown.lstrip(" "))
    return "\\x20" * before + inner + "\\x20" * (len(shown) - before - len(inner))


def typed(name: str, known: Container[str]) -> str:
    """Return the name that a user typed: in the escaped form if there is one, else as it is."""
    meant = unescaped(name)
    return meant if meant in known else name


def escaped_lines(text: str) -> str:
    """Return lines that people read, such as those of a log or a file: each stays one, and need not be typed back."""
    return "\n".join(_visible(line) for line in text.split("\n"))


def escaped_json(text: str) -> str:
    """Return the same JSON, without a character that acts on a terminal."""
    return _UNSEEN_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def is_utf_8(text: str) -> bool:
    """Return whether an argument is UTF-8 as it was typed; Python has a surrogate for each byte that is not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def yaml_string(text: str) -> str:
    r"""Return a text as a quoted string of YAML: one of JSON is that too, but for its surrogates, as in ``\ud83d``."""
    parts = (f"\\U{ord(each):08X}" if ord(each) > 0xFFFF else json.dumps(each)[1:-1] for each in text)
    return f'"{"".join(parts)}"'


def _visible(line: str) -> str:
    line = line.expandtabs()
    return line if line.isprintable() else "".join(map(_character, line))


def _character(character: str) -> str:
    code = ord(character)
    if character.isprintable():
        return character
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _meant(found: re.Match[str]) -> str:
    if found[1] is not None:
        return {"\\": "\\", "n": "\n", "r": "\r", "t": "\t"}[found[1]]
    return chr(int(found[2] or found[3] or found[4], 16))
