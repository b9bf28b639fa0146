"""The journal of a rolling restart: which processes it is to replace, so that the next call goes on where one ended.

A program is done once another incarnation runs than the one in the journal, whoever replaced it: nothing is written
between two nodes, and a command that is killed at any point leaves a journal that is right.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kraftd.errors import RefusedError
from kraftd.host.files import read_text, write_atomically
from kraftd.host.processes import Process
from kraftd.operate.context import ClusterContext
from kraftd.plan.layout import Layout
from kraftd.units import timestamp

_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Journal:
    """What one command was to restart.

    Attributes:
        command: The command, such as ``restart --rolling``.
        owner: The process of the command.
        began_at_s: When it began, in seconds since the Unix epoch.
        replaced: The process that each program had then, by name.
        names: The programs that the command was given; none where it restarts what it finds itself.
    """

    command: str
    owner: Process
    began_at_s: float
    replaced: Mapping[str, Process] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    @property
    def call(self) -> str:
        """The command with its arguments, as it is to be called again."""
        return " ".join((self.command, *self.names))

    def pending(self, processes: Mapping[str, Process]) -> tuple[str, ...]:
        """Return the programs that still run as the process that was to be replaced."""
        return tuple(
            name
            for name, old in self.replaced.items()
            if (now := processes.get(name)) is not None and is_same(now, old)
        )

    def to_json(self) -> str:
        """Return the text of ``rolling.json``."""
        document = {
            "schema_version": _SCHEMA_VERSION,
            "command": self.command,
            "names": self.names,
            "began_at_s": self.began_at_s,
            "owner": identity(self.owner),
            "programs": {name: identity(process) for name, process in self.replaced.items()},
        }
        return json.dumps(document, indent=2) + "\n"


def read_journal(layout: Layout) -> Journal | None:
    """Return the journal; None where there is none, or it is damaged: then the restart starts over."""
    try:
        raw = json.loads(read_text(layout.rolling) or "")
        if int(raw["schema_version"]) > _SCHEMA_VERSION:
            return None
        replaced = {str(name): process_of(each) for name, each in raw["programs"].items()}
        names = tuple(map(str, raw.get("names", ())))
        return Journal(str(raw["command"]), process_of(raw["owner"]), float(raw["began_at_s"]), replaced, names)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def write_journal(layout: Layout, journal: Journal) -> None:
    """Write the journal, whole or not at all."""
    write_atomically(layout.rolling, journal.to_json())


def remove_journal(layout: Layout) -> None:
    """Remove the journal, as everything in it is done."""
    layout.rolling.unlink(missing_ok=True)


def refuse_other_owner(cluster: ClusterContext, own: Process) -> Journal | None:
    """Return the journal of a command that has ended; call it with the lock held.

    Raises:
        RefusedError: That command is at work.
    """
    journal = read_journal(cluster.layout)
    if journal is not None and not is_same(journal.owner, own) and cluster.doors.is_alive(journal.owner):
        raise RefusedError(
            f"cannot restart programs now: 'kraftd {journal.command}' (pid {journal.owner.pid}) does so since "
            f"{timestamp(journal.began_at_s)}",
            hint="Wait for that command, or end it: the next one goes on where it was.",
            code="already_rolling",
            details={"pid": journal.owner.pid},
        )
    return journal


def is_same(one: Process, other: Process) -> bool:
    """Return whether both are one incarnation of a process."""
    return (one.pid, one.incarnation) == (other.pid, other.incarnation)


def identity(process: Process) -> dict[str, float]:
    """Return what tells an incarnation from others, for a record in JSON."""
    return {"pid": process.pid, "incarnation": process.incarnation}


def process_of(raw: Any) -> Process:
    """Return the process of which ``identity`` was recorded."""
    return Process(int(raw["pid"]), float(raw["incarnation"]), 0.0)
