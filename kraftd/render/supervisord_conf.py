"""supervisord.conf from its template.

supervisord's parser expands ``%``, and takes " ;" and " #" for the start of a comment even inside quotes: the
first is doubled, the others are refused. It expands a program's logfile twice.
"""

import re
import shlex

from jinja2 import Environment, StrictUndefined

from kraftd.errors import ConfigurationError
from kraftd.render.programs import ProgramSection, groups_of
from kraftd.spec.plan import Plan

_COMMENT = re.compile(r"\s[;#]")


def supervisord_conf(template: str, plan: Plan, programs: tuple[ProgramSection, ...]) -> str:
    """Return the text of supervisord.conf.

    Args:
        template: The text of ``supervisord.conf.j2``.
        plan: The cluster.
        programs: Its programs.

    Raises:
        ConfigurationError: A path or a value cannot be written so that supervisord reads it back.
    """
    # Nothing here is HTML; autoescaping would corrupt quotes.
    environment = Environment(  # noqa: S701
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["value"] = _value
    environment.filters["logfile"] = lambda path: _value(_value(path))
    environment.filters["command"] = lambda command: _value(shlex.join(command))
    return environment.from_string(template).render(plan=plan, programs=programs, groups=groups_of(programs))


def _value(value: object) -> str:
    text = str(value)
    reason = _corruption(text)
    if reason:
        raise ConfigurationError(
            f"cannot write {text[:200]!r} into supervisord.conf: {reason}",
            hint="Choose a path or value without it (cluster.state_dir, java.home, java.options).",
            code="unwritable_value",
        )
    return text.replace("%", "%%")


def _corruption(text: str) -> str:
    """Return what supervisord's parser would do to a value; empty where it reads it back as it is."""
    comment = _COMMENT.search(text)
    if comment:
        return f"it takes {comment.group()!r} for the start of a comment"
    if "\n" in text or "\r" in text:
        return "it takes a line break for the end of the value"
    if text != text.strip():
        return "it drops space at either end"
    return ""
