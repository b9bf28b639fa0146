"""The restart policy: which program to restart, when, and whether at all. Pure."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from kraftd.health.programs.causes import Cause

_SCHEMA_VERSION = 2
_WITHOUT_VERSION = 1
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)
_STARTABLE = ("STOPPED", "EXITED", "FATAL", "BACKOFF")
_JITTER = 0.2
_MOST_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class Policy:
    """The pauses between restarts: none before the first, then twice as long each time.

    Attributes:
        first_pause_s: Before the second restart.
        longest_pause_s: No pause is longer.
        healthy_after_s: A program that serves this long after its start begins without a pause again.
    """

    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    healthy_after_s: float = 120.0


@dataclass(frozen=True, slots=True)
class RestartHistory:
    """The restarts of one program.

    Attributes:
        attempts: The restarts since it was last healthy, or since a command started it; refused ones too.
        restarts: All restarts since the cluster was started, without those that supervisord refused.
        exit_at: Which exit the last decision answered, by its time; RFC 3339.
        next_at_s: When it is restarted, in seconds since the Unix epoch; None where nothing waits.
        why: Why its last run ended, with the remedy; None where nothing waits.
        given_up: Why no restart is tried; None while they are.
    """

    attempts: int = 0
    restarts: int = 0
    exit_at: str | None = None
    next_at_s: float | None = None
    why: str | None = None
    given_up: str | None = None


@dataclass(frozen=True, slots=True)
class Restart:
    """Restart the program now."""

    program: str
    why: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Restart the program after a pause, which the restart history has."""

    program: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Stop restarting the program, and record that once."""

    program: str
    why: str


def is_decided(policy: Policy, memory: RestartHistory, exit_at: str | None, now_s: float) -> bool:
    """Return whether there is nothing to decide: its last exit was answered, and the pause is not over."""
    # An exit that nobody knows any more is the one that was answered: a later one would still be known.
    if exit_at not in (None, memory.exit_at):
        return False
    if memory.given_up is not None:
        return True
    # A pause that is longer than any was measured on a clock that went back since.
    return memory.next_at_s is not None and 0 < memory.next_at_s - now_s <= policy.longest_pause_s


def decide(
    policy: Policy,
    memory: RestartHistory,
    *,
    program: str,
    process_state: str,
    cause: Cause,
    exit_at: str | None,
    now_s: float,
) -> tuple[RestartHistory, Restart | Wait | GiveUp | None]:
    """Return the action for a program that should run, and its new restart history.

    Args:
        policy: The pauses.
        memory: The restart history of this program.
        program: Its name.
        process_state: supervisord's state.
        cause: Why its last run ended.
        exit_at: When that was, RFC 3339; None where nobody knows.
        now_s: Seconds since the Unix epoch: a pause outlives this process, so a monotonic clock cannot serve.
    """
    if process_state not in _STARTABLE or is_decided(policy, memory, exit_at, now_s):
        return memory, None
    memory = after_command(memory, exit_at)
    if not cause.retry_helps:
        why = f"{cause.text.removesuffix('.')}. A restart cannot help. {cause.remedy}"
        return RestartHistory(memory.attempts, memory.restarts, exit_at, given_up=why), GiveUp(program, why)
    pause_s = pause_before(policy, program, memory) if memory.next_at_s is None else 0.0
    if pause_s > 0:
        why = f"{cause.text.removesuffix('.')}. {cause.remedy}"
        waiting = RestartHistory(memory.attempts, memory.restarts, exit_at, next_at_s=now_s + pause_s, why=why)
        return waiting, Wait(program)
    return RestartHistory(memory.attempts + 1, memory.restarts + 1, exit_at), Restart(program, cause.text)


def after_refusal(memory: RestartHistory) -> RestartHistory:
    """Return the history after a restart for which nothing could be spawned: a pause follows it, but it is none."""
    return replace(memory, restarts=memory.restarts - 1)


def pause_before(policy: Policy, program: str, memory: RestartHistory) -> float:
    """Return how long to wait before the next restart, in seconds.

    Up to a fifth is taken off, another part for each program and restart, so that programs that end together do not
    start together again and again.
    """
    if memory.attempts == 0:
        return 0.0
    doubled_s = policy.first_pause_s * 2.0 ** min(memory.attempts - 1, _MOST_DOUBLINGS)
    part = zlib.crc32(f"{program} {memory.restarts}".encode()) / 2**32
    return min(doubled_s, policy.longest_pause_s) * (1 - _JITTER * part)


def after_command(memory: RestartHistory, exit_at: str | None) -> RestartHistory:
    """Return the history after the last exit of a program: the run of a command counts nothing, and ends the pause.

    Such a run is known by its exit, which came while no restart of the daemon was due.
    """
    waited = memory.next_at_s is not None or memory.given_up is not None
    return RestartHistory(restarts=memory.restarts) if waited and exit_at != memory.exit_at else memory


def while_running(policy: Policy, memory: RestartHistory, exit_at: str | None, healthy_s: float) -> RestartHistory:
    """Return the history of a program that runs.

    Args:
        policy: The pauses.
        memory: The restart history so far.
        exit_at: When the run before this one ended; None where nobody knows.
        healthy_s: How long ago this run began, where it serves now; else 0.
    """
    by_command = (
        memory.next_at_s is not None
        or memory.given_up is not None
        or (memory.attempts > 0 and exit_at not in (None, memory.exit_at))
    )
    if by_command or healthy_s >= policy.healthy_after_s:
        return RestartHistory(restarts=memory.restarts)
    return memory


def to_json(restart_histories: Mapping[str, RestartHistory]) -> str:
    """Return the text of ``restarts.json``."""
    programs = {name: asdict(memory) for name, memory in restart_histories.items()}
    return json.dumps({"schema_version": _SCHEMA_VERSION, "programs": programs}, indent=2) + "\n"


def from_json(text: str | None) -> dict[str, RestartHistory]:
    """Return the restart histories in a text; none where it is absent or ``unreadable``, which does no harm."""
    try:
        return _restart_histories(text)
    except _UNREADABLE:
        return {}


def unreadable(text: str | None) -> str | None:
    """Return why a text cannot be read, damage or a newer schema; None where it can, or is absent."""
    try:
        _restart_histories(text)
    except _UNREADABLE as error:
        return str(error) or type(error).__name__
    return None


def _restart_histories(text: str | None) -> dict[str, RestartHistory]:
    raw = json.loads(text or "{}")
    version = int(raw.get("schema_version", _WITHOUT_VERSION))
    if version > _SCHEMA_VERSION:
        raise ValueError(f"it has schema version {version}, this kraftd knows {_SCHEMA_VERSION}")
    read = _restart_history if version == _SCHEMA_VERSION else _earlier_history
    return {str(name): read(each) for name, each in raw.get("programs", {}).items()}


def _restart_history(raw: Mapping[str, Any]) -> RestartHistory:
    next_at_s = raw["next_at_s"]
    return RestartHistory(
        int(raw["attempts"]),
        int(raw["restarts"]),
        raw["exit_at"],
        None if next_at_s is None else float(next_at_s),
        raw["why"],
        raw["given_up"],
    )


def _earlier_history(raw: Mapping[str, Any]) -> RestartHistory:
    """Return a history of schema version 1, which gave up after some restarts: the next exit decides again."""
    return RestartHistory(attempts=len(raw["restarted_at_s"]), restarts=int(raw["restarts"]))
