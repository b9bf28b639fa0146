"""The restart policy: which program to restart, if any. Pure."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from kraftd.health.programs.causes import Cause

_SCHEMA_VERSION = 1
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)
_STARTABLE = ("STOPPED", "EXITED", "FATAL", "BACKOFF")


@dataclass(frozen=True, slots=True)
class Policy:
    """The restart budget: how often restarts are tried before the program is given up."""

    most_restarts: int = 5
    window_s: float = 600.0


@dataclass(frozen=True, slots=True)
class RestartHistory:
    """The restarts of one program.

    Attributes:
        restarted_at_s: The restarts within the window, in seconds since the Unix epoch.
        restarts: All restarts since the cluster was started.
        given_up: Why no further restart is tried; None while they are.
    """

    restarted_at_s: tuple[float, ...] = ()
    restarts: int = 0
    given_up: str | None = None


@dataclass(frozen=True, slots=True)
class Restart:
    """Restart the program now."""

    program: str
    why: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Restart the program no more, and record that once."""

    program: str
    why: str


def decide(
    policy: Policy, memory: RestartHistory, *, program: str, process_state: str, cause: Cause, now_s: float
) -> tuple[RestartHistory, Restart | GiveUp | None]:
    """Return the action for a program that should run, and its new restart history.

    Args:
        policy: The budget.
        memory: The restart history of this program.
        program: Its name.
        process_state: supervisord's state.
        cause: Why its last run ended.
        now_s: Seconds since the Unix epoch: the budget outlives this process, so a monotonic clock cannot serve.
    """
    if process_state not in _STARTABLE or memory.given_up is not None:
        return memory, None
    recent = tuple(at_s for at_s in memory.restarted_at_s if 0 <= now_s - at_s < policy.window_s)
    if not cause.retry_helps:
        why = f"{cause.text}. A restart cannot help. {cause.remedy}"
        return replace(memory, restarted_at_s=recent, given_up=why), GiveUp(program, why)
    if len(recent) >= policy.most_restarts:
        why = f"{len(recent)} restarts in {policy.window_s / 60:g} minutes did not help: {cause.text}. {cause.remedy}"
        return replace(memory, restarted_at_s=recent, given_up=why), GiveUp(program, why)
    remembered = RestartHistory((*recent, now_s), memory.restarts + 1)
    return remembered, Restart(program, cause.text)


def to_json(restart_histories: Mapping[str, RestartHistory]) -> str:
    """Return the text of ``restarts.json``."""
    programs = {name: asdict(memory) for name, memory in restart_histories.items()}
    return json.dumps({"schema_version": _SCHEMA_VERSION, "programs": programs}, indent=2) + "\n"


def from_json(text: str | None) -> dict[str, RestartHistory]:
    """Return the restart histories in a text; none where it is absent or ``unreadable``: a new budget does no harm."""
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
    # An earlier kraftd wrote no version.
    version = int(raw.get("schema_version", _SCHEMA_VERSION))
    if version > _SCHEMA_VERSION:
        raise ValueError(f"it has schema version {version}, this kraftd knows {_SCHEMA_VERSION}")
    return {
        str(name): RestartHistory(
            tuple(float(at) for at in each["restarted_at_s"]), int(each["restarts"]), each["given_up"]
        )
        for name, each in raw.get("programs", {}).items()
    }
