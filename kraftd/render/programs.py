"""The programs of a plan as supervisord runs them: who starts, restarts and stops which, as data."""

from dataclasses import dataclass
from pathlib import Path

from kraftd.render.java_command import Launch, node_command
from kraftd.render.tools import tool_command
from kraftd.spec.plan import DAEMON, GROUP_PRIORITIES, App, Kind, Plan, group_of


@dataclass(frozen=True, slots=True)
class Program:
    """One ``[program:x]``.

    Attributes:
        command: The argv, unquoted.
        directory: The working directory.
        startsecs: Seconds alive that supervisord takes for a start that worked.
        exitcodes: Exit statuses that are no fault.
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
    startsecs: int = 1


@dataclass(frozen=True, slots=True)
class Group:
    """One ``[group:x]``: supervisord signals its members together when it shuts down."""

    name: str
    programs: tuple[str, ...]
    priority: int


_STOP_WAIT_S = {Kind.DAEMON: 10, Kind.TOOL: 20, Kind.APP: 20, Kind.BROKER: 330, Kind.CONTROLLER: 30}
"""A broker may wait 300 s for its controlled shutdown (KafkaBroker.shutdown)."""


def programs_of(plan: Plan, launch: Launch, python: Path) -> tuple[Program, ...]:
    """Return every program of a plan.

    Args:
        plan: The cluster.
        launch: What runs the nodes.
        python: What runs the daemon and the apps.
    """
    nodes = [_program(plan, node.name, node.kind, node_command(plan, node, launch)) for node in plan.nodes]
    apps = [_program(plan, app.name, Kind.APP, _python(plan, python, app.name, app.module)) for app in plan.apps]
    tools = [_program(plan, tool.name, Kind.TOOL, tool_command(plan, tool)) for tool in plan.tools]
    arguments = ("--state-dir", str(plan.layout.state_dir))
    daemon = _program(plan, DAEMON, Kind.DAEMON, (*_python(plan, python, DAEMON, "kraftd.daemon"), *arguments))
    return (daemon, *tools, *apps, *nodes)


def groups_of(programs: tuple[Program, ...]) -> tuple[Group, ...]:
    """Return the groups, the one that stops first first."""
    groups = []
    for kind, priority in GROUP_PRIORITIES.items():
        members = tuple(program.name for program in programs if program.kind is kind)
        if members:
            groups.append(Group(group_of(kind), members, priority))
    return tuple(groups)


def dotenv(app: App) -> str:
    """Return an app's ``.env``; values reach it by file, so that none shows in a command line."""
    lines = [f"{key}={_single_quoted(value)}" for key, value in app.environment]
    return "\n".join([*lines, ""])


def _single_quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _python(plan: Plan, python: Path, name: str, module: str) -> tuple[str, ...]:
    return (str(python), *plan.marker(name).arguments, "-m", module)


def _program(plan: Plan, name: str, kind: Kind, command: tuple[str, ...]) -> Program:
    is_daemon = kind is Kind.DAEMON
    return Program(
        name=name,
        kind=kind,
        command=command,
        directory=plan.layout.config(name),
        console=plan.layout.console(name),
        autostart=is_daemon,
        autorestart=is_daemon,
        startretries=1000 if is_daemon else 0,
        exitcodes=(0,) if is_daemon else (0, 143),
        stopwaitsecs=_STOP_WAIT_S[kind],
    )
