"""supervisord.conf: the programs of a plan as supervisord runs them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from kraftd.errors import ConfigurationError
from kraftd.plan.kinds import App, Node, Tool
from kraftd.plan.plan import WRITER_KEEPS_FILES, Plan
from kraftd.plan.program import GROUP_PRIORITIES, Kind, Program, group_of
from kraftd.render.java_command import JvmLaunch, node_command
from kraftd.render.logging_config import log_size
from kraftd.render.tools import tool_command

_COMMENT = re.compile(r"\s[;#]")


@dataclass(frozen=True, slots=True)
class ProgramSection:
    """One ``[program:x]``.

    Attributes:
        command: The argv, unquoted.
        directory: The working directory.
        startsecs: Seconds that the program must stay alive for supervisord to count the start as successful.
        exitcodes: Exit statuses that count as expected.
        stopwaitsecs: Seconds between supervisord's TERM and its KILL.
    """

    name: str
    kind: Kind
    command: tuple[str, ...]
    directory: Path
    console: Path
    autostart: bool
    autorestart: bool
    startretries: int
    exitcodes: tuple[int, ...]
    stopwaitsecs: int
    startsecs: int


@dataclass(frozen=True, slots=True)
class GroupSection:
    """One ``[group:x]``: supervisord signals its members together when it shuts down."""

    name: str
    programs: tuple[str, ...]
    priority: int


def programs_of(plan: Plan, launch: JvmLaunch, python: Path) -> tuple[ProgramSection, ...]:
    """Return the section of each program of a plan.

    Args:
        plan: The cluster.
        launch: The Java and jars of the nodes.
        python: The interpreter of the daemon and the apps.
    """
    return tuple(_section(plan, program, _command(plan, program, launch, python)) for program in plan.from_top)


def groups_of(programs: tuple[ProgramSection, ...]) -> tuple[GroupSection, ...]:
    """Return the groups in the order in which they stop."""
    groups = []
    for kind, priority in GROUP_PRIORITIES.items():
        members = tuple(program.name for program in programs if program.kind is kind)
        if members:
            groups.append(GroupSection(group_of(kind), members, priority))
    return tuple(groups)


def dotenv(app: App) -> str:
    """Return an app's ``.env``; its settings are passed by file, so that no secret shows in a command line."""
    lines = [f"{key}={_single_quoted(value)}" for key, value in app.environment]
    return "\n".join([*lines, ""])


def _single_quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _command(plan: Plan, program: Program, launch: JvmLaunch, python: Path) -> tuple[str, ...]:
    match program:
        case Node():
            return node_command(plan, program, launch)
        case Tool():
            return tool_command(plan, program)
        case App():
            return _python(plan, python, program.name, program.module)
        case _:
            arguments = ("--state-dir", str(plan.layout.state_dir))
            return (*_python(plan, python, program.name, "kraftd.daemon"), *arguments)


def _python(plan: Plan, python: Path, name: str, module: str) -> tuple[str, ...]:
    return (str(python), "-P", *plan.marker(name).arguments, "-m", module)


def _section(plan: Plan, program: Program, command: tuple[str, ...]) -> ProgramSection:
    by_supervisord = program.start.by_supervisord
    return ProgramSection(
        name=program.name,
        kind=program.kind,
        command=command,
        directory=plan.layout.config(program.name),
        console=plan.layout.console(program.name),
        autostart=by_supervisord,
        autorestart=by_supervisord,
        # A program that ends sooner is restarted after pauses that grow by a second each time.
        startsecs=10 if by_supervisord else 1,
        startretries=1000 if by_supervisord else 0,
        exitcodes=(0,) if by_supervisord else (0, 143),
        stopwaitsecs=program.stop.patience_s,
    )


def supervisord_conf(template: str, plan: Plan, programs: tuple[ProgramSection, ...]) -> str:
    """Return the text of supervisord.conf.

    Args:
        template: The text of ``supervisord.conf.j2``.
        plan: The cluster.
        programs: Its programs.

    Raises:
        ConfigurationError: A path or a value cannot be written so that supervisord reads it back.
    """
    # The text is not HTML: autoescaping would corrupt quotes.
    environment = Environment(  # noqa: S701
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["value"] = _value
    environment.filters["logfile"] = lambda path: _value(_value(path))
    environment.filters["size"] = log_size
    environment.filters["command"] = lambda command: _value(shlex.join(command))
    return environment.from_string(template).render(
        plan=plan, programs=programs, groups=groups_of(programs), backups=WRITER_KEEPS_FILES
    )


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
        return f"it reads {comment.group()!r} as the start of a comment"
    if "\n" in text or "\r" in text:
        return "it reads a line break as the end of the value"
    if text != text.strip():
        return "it drops space at either end"
    return ""
