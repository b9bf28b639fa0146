"""The operations that take long: which one runs, which one an interrupted call left, and what became of the last. Pure.

A new operation is one entry in ``OPERATIONS``: its name is that of its command, its progress comes from the command's
reporter, and its journal is what tells that there is something left to do.
"""

import json
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from kraftd.units import timestamp

ENDED = "operation_ended"
"""The kind of the event with which an operation ends; its facts are those of ``Ending``."""

MOST_DONE = 10

Facts = Mapping[str, Any]
"""The top level of a journal."""


@dataclass(frozen=True, slots=True)
class OperationKind:
    """An operation that takes long.

    Attributes:
        name: The words of its command. A journal that names its command belongs to the operation whose words begin it.
        journal: The file in the state directory that is there until it is finished; empty where it has none, so that a
            call that was interrupted has left nothing.
        resume: Returns the command that finishes what a journal has, without ``kraftd``.
        undo: Returns the one that gives it up: undoes or forgets it; None where none does.
        starts_over: Where its journal is damaged, its command starts over, so there is nothing to resume.
    """

    name: str
    journal: str = ""
    resume: Callable[[Facts], str] = lambda facts: ""
    undo: Callable[[Facts], str] | None = None
    starts_over: bool = False


_ROLLING = "rolling.json"


def _rolling_call(facts: Facts) -> str:
    return " ".join(("restart --rolling", *map(str, facts.get("names", ()))))


OPERATIONS = (
    OperationKind(
        "scale", "scale.json", lambda facts: f"scale --brokers {facts['brokers_after']}", lambda facts: "scale --abort"
    ),
    OperationKind(
        "topics reassign", "scale.json", lambda facts: "topics reassign", lambda facts: "topics reassign --abort"
    ),
    OperationKind("upgrade", _ROLLING, lambda facts: str(facts["command"]), starts_over=True),
    OperationKind("restart --rolling", _ROLLING, _rolling_call, starts_over=True),
    OperationKind("apply", _ROLLING, lambda facts: "apply", starts_over=True),
    OperationKind("backup create"),
    OperationKind("scheduled backup"),
    OperationKind(
        "backup restore",
        "restore.json",
        lambda facts: f"backup restore {shlex.quote(str(facts['target']))}",
        lambda facts: f"backup restore {shlex.quote(str(facts['target']))} --abandon",
    ),
)
"""Every operation, in the order in which they are shown."""

JOURNALS = tuple(dict.fromkeys(kind.journal for kind in OPERATIONS if kind.journal))


class OperationState(StrEnum):
    """Where an operation is: resumable is one that was interrupted, and that a command finishes."""

    RUNNING = "running"
    RESUMABLE = "resumable"
    DONE = "done"


class OperationOutcome(StrEnum):
    """How an operation ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Progress:
    """An operation as the process that runs it records it; times are in seconds since the Unix epoch.

    Attributes:
        what: What it is about, as ``2 to 3 brokers``.
        incarnation: With the pid unique until a reboot.
        step: What it does now.
        done_bytes: How much of ``total_bytes`` has been moved; None where nothing is moved now.
        transfer_began_s: When the first of these bytes was.
    """

    operation: str
    what: str
    pid: int
    incarnation: float
    began_s: float
    step: str = ""
    done_bytes: int | None = None
    total_bytes: int | None = None
    transfer_began_s: float | None = None

    def to_json(self) -> str:
        """Return the text of its file."""
        return json.dumps(asdict(self)) + "\n"


def parse_progress(text: str) -> Progress | None:
    """Return the progress in a text; None where it is damaged, or a newer kraftd's."""
    try:
        return Progress(**json.loads(text))
    except (ValueError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of an operation, as its event has it."""

    operation: str
    what: str
    outcome: OperationOutcome
    began_at: str
    ended_at: str
    error: str = ""


def ended(progress: Progress, outcome: OperationOutcome, error: str = "") -> tuple[str, dict[str, str]]:
    """Return the text and the facts of the event with which an operation ends."""
    text = f"{progress.operation}: {progress.what}: {outcome}" + (f": {error}" if error else "")
    facts = {"operation": progress.operation, "what": progress.what, "outcome": outcome.value}
    return text, {**facts, "began_at": timestamp(progress.began_s), "error": error}


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, as ``kraftd operations`` shows it; times are RFC 3339, UTC, and what is not known is None.

    Attributes:
        pid: The process that runs it.
        left_s: How long it takes yet at the rate so far.
        resume: The command that finishes it.
        undo: The command that gives it up: undoes or forgets it.
        error: Why it failed.
    """

    operation: str
    state: OperationState
    what: str
    since: str | None
    pid: int | None = None
    step: str | None = None
    done_bytes: int | None = None
    total_bytes: int | None = None
    left_bytes: int | None = None
    left_s: float | None = None
    ended_at: str | None = None
    outcome: OperationOutcome | None = None
    error: str | None = None
    resume: str | None = None
    undo: str | None = None


def operations_now(
    running: Iterable[Progress], journals: Mapping[str, str], endings: Sequence[Ending], now_s: float
) -> tuple[Operation, ...]:
    """Return what runs, then what can be resumed, then what is done, the newest first.

    Args:
        running: Of the processes that are alive.
        journals: The texts of those that exist, by the name of the file.
        endings: The last ends, oldest first.
        now_s: Seconds since the Unix epoch.
    """
    alive = sorted(running, key=lambda each: each.began_s)
    worked_on = {kind.journal for kind in OPERATIONS for each in alive if kind.name == each.operation}
    left = (_resumable(name, text) for name, text in journals.items() if name not in worked_on)
    return (
        *(_running(each, now_s) for each in alive),
        *(each for each in left if each is not None),
        *(_done(each) for each in reversed(endings[-MOST_DONE:])),
    )


def _running(progress: Progress, now_s: float) -> Operation:
    done, total = progress.done_bytes, progress.total_bytes
    left = None if done is None or total is None else max(0, total - done)
    spent_s = None if progress.transfer_began_s is None else now_s - progress.transfer_began_s
    left_s = round(spent_s * left / done, 1) if left is not None and done and spent_s and spent_s > 0 else None
    return Operation(
        progress.operation,
        OperationState.RUNNING,
        progress.what,
        timestamp(progress.began_s),
        progress.pid,
        progress.step or None,
        done,
        total,
        left,
        left_s,
    )


def _resumable(journal: str, text: str) -> Operation | None:
    """Return the operation that a journal was left by; one that does not read is for its command to explain."""
    facts = _facts(text)
    command = f"{facts.get('command')} "
    kinds = [kind for kind in OPERATIONS if kind.journal == journal]
    kind = next((kind for kind in kinds if command.startswith(f"{kind.name} ")), kinds[0] if kinds else None)
    if kind is None or (kind.starts_over and not facts):
        return None
    try:
        resume, undo = kind.resume(facts), kind.undo(facts) if kind.undo else None
    except (KeyError, TypeError):
        resume, undo = kind.name, None
    began_s = facts.get("began_at_s")
    since = timestamp(began_s) if isinstance(began_s, int | float) else facts.get("since")
    return Operation(
        kind.name,
        OperationState.RESUMABLE,
        "",
        since if isinstance(since, str) else None,
        resume=f"kraftd {resume}",
        undo=f"kraftd {undo}" if undo else None,
    )


def _facts(text: str) -> dict[str, Any]:
    try:
        facts = json.loads(text)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _done(ending: Ending) -> Operation:
    return Operation(
        ending.operation,
        OperationState.DONE,
        ending.what,
        ending.began_at,
        ended_at=ending.ended_at,
        outcome=ending.outcome,
        error=ending.error or None,
    )


def ending_of(at: str, facts: Facts) -> Ending | None:
    """Return the end that an event of the kind ``ENDED`` tells; None where another kraftd wrote it otherwise.

    Args:
        at: When it was recorded.
        facts: Its facts.
    """
    try:
        outcome = OperationOutcome(facts["outcome"])
        name, what, began_at = (str(facts[key]) for key in ("operation", "what", "began_at"))
        return Ending(name, what, outcome, began_at, at, str(facts.get("error", "")))
    except (ValueError, KeyError, TypeError):
        return None
