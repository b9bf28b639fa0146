"""supervisord.conf from its template.

supervisord's parser expands ``%``, and takes " ;" and " #" for the start of a comment even inside quotes
(notes/runners.md S15, S16): the first is doubled, the others are refused.
"""

import shlex

from jinja2 import Environment, StrictUndefined

from kraftd.errors import ConfigurationError
from kraftd.render.programs import Program, groups_of
from kraftd.spec.plan import Plan

_COMMENT_STARTS = (" ;", " #", "\t;", "\t#")


def supervisord_conf(template: str, plan: Plan, programs: tuple[Program, ...]) -> str:
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
    environment.filters["command"] = lambda command: _value(shlex.join(command))
    text = environment.from_string(template).render(plan=plan, programs=programs, groups=groups_of(programs))
    return text.replace("\n\n\n", "\n\n")


def _value(value: object) -> str:
    text = str(value)
    refused = next((start for start in _COMMENT_STARTS if start in text), None)
    if refused or "\n" in text or "\r" in text or text != text.strip() or text.startswith((";", "#")):
        what = f"{refused.strip()!r} after a space" if refused else "a line break, or a space at either end"
        raise ConfigurationError(
            f"cannot write {text[:200]!r} into supervisord.conf: {what} starts a comment or ends the value there",
            hint="Choose a path or value without it (cluster.state_dir, java.home, java.options).",
            code="unwritable_value",
        )
    return text.replace("%", "%%")
