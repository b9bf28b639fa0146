"""Every command of the command line, as that itself has them, and what each is given to show text from outside.

A new command fails `tests/unit/cli/test_outside_text.py` until it has its place here.
"""

import functools
from typing import Any

import typer

from kraftd.cli.main import app

NO_COMMANDS = ("--help", "--version", "nosuchcommand")

SHOWING: dict[str, tuple[tuple[str, ...], ...]] = {
    "backup create": (("{target}", "--topic", "{topic}"),),
    "backup list": (("{target}",),),
    "backup verify": (("{target}",),),
    "backup restore": (("{target}", "--dry-run", "--into-existing"),),
    "backup prune": (("{target}", "--keep", "1"),),
    "events": ((),),
    "explain lag": (("{group}",), ("{unknown}",)),
    "groups list": ((),),
    "groups describe": (("{group}",), ("{unknown}",)),
    "groups reset": (("{group}", "--to", "earliest", "--yes"), ("{unknown}", "--to", "1", "--yes")),
    "groups delete": (("{group}", "--yes"), ("{unknown}", "--yes")),
    "groups export": (("{group}",), ("{unknown}",)),
    "groups import": (("{export}",),),
    "health": ((),),
    "kafka": (("{unknown}",), ("consumer-groups", "--describe", "--group", "nosuchgroup")),
    "lag": ((), ("--group", "{group}"), ("--group", "{unknown}")),
    "logs": (("-n", "300"), ("{unknown}",)),
    "operations": ((),),
    "scale": (("--brokers", "3", "--dry-run"),),
    "send": (("{topic}", "{text}", "--key", "{text}", "--header", "{text}={text}"), ("{unknown}", "x")),
    "status": ((),),
    "tail": (
        ("{topic}", "--headers"),
        ("{topic}", "--format", "{{topic}} {{key}} {{headers}} {{value}}"),
        ("{topic}", "--hex"),
        ("{unknown}",),
    ),
    "top": (("--once",),),
    "topics list": ((),),
    "topics describe": (("{topic}",), ("{unknown}",)),
    "topics create": (("{unknown}",), ("new-{topic}", "--config", "cleanup.policy={text}")),
    "topics alter": (("{topic}", "--config", "cleanup.policy={text}"), ("{topic}", "--config", "{text}=1")),
    "topics delete": (("{unknown}", "--yes"),),
    "topics clear": (("{unknown}", "--yes"),),
    "topics elect-leaders": (("{topic}",), ("{unknown}",)),
    "wait": (("--for", "{unknown}", "--timeout", "1s"),),
    "why": (("broker-1",), ("consumer",), ("{unknown}",)),
    "doctor": ((),),
    "restart": (("{unknown}",),),
    "stop": (("{unknown}",),),
    "start": (("{unknown}",),),
    "pause": (("{unknown}",),),
    "resume": (("{unknown}",),),
    "exec": (("--", "{unknown}"),),
    "topics apply": (("{unknown}",),),
    "topics reassign": (("{unknown}",),),
    "upgrade": (("{unknown}",),),
}
"""What each is given on a cluster whose records, groups, clients and commits have hostile texts.

``{topic}`` and ``{group}`` exist, ``{text}`` is hostile, and so is ``{unknown}``, which names nothing.
"""

WITHOUT_OUTSIDE_TEXT = {
    "apply": "shows what the configuration changes",
    "bundle": "writes files, and shows their names",
    "config": "shows the configuration: tests/integration/test_every_command.py",
    "destroy": "ends the cluster",
    "env": "is read by a shell",
    "init": "writes a file",
    "list": "shows the state directories of this machine",
    "plan": "shows the configuration",
    "render": "writes files",
    "setup": "fetches files",
    "version": "shows versions",
}
"""Commands that show nothing of what other clients wrote, each with what it does."""


@functools.cache
def _whole() -> Any:
    return typer.main.get_command(app)


def commands() -> list[str]:
    """Return every command, subcommands with the name of their group, and one for each of the global options."""
    found = []
    for name, command in _whole().commands.items():
        parts = getattr(command, "commands", None)
        found += [f"{name} {part}" for part in parts] if parts else [name]
    return [*found, *NO_COMMANDS]


def needed_arguments(command: str) -> list[str]:
    """Return an argument for each that a command cannot do without."""
    found = _whole()
    for word in command.split():
        found = getattr(found, "commands", {}).get(word)
    return ["x" for each in getattr(found, "params", ()) if each.required]
