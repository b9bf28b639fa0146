"""The backups that the daemon has made: what became of the last ones, and when the next one is due. Pure."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import tzinfo
from enum import StrEnum
from typing import Any

from kraftd.plan.kinds import ScheduledBackups
from kraftd.units import parse_schedule, timestamp

RETRY_S = 900.0
"""After how long a backup that failed is tried again, where the schedule does not come first."""

_SCHEMA_VERSION = 1


class BackupOutcome(StrEnum):
    """How an attempt ended: ``interrupted`` where the daemon ended it, or did not see its end."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class BackupHistory:
    """What the daemon remembers; times are in seconds since the Unix epoch.

    Attributes:
        since_s: When there was a schedule for the first time.
        begun_s: When the last attempt began; None before the first.
        ended_s: When it ended; None while it is under way.
        outcome: How the last one that has ended did; None before the first.
        error: Why that one failed; of one that succeeded, why older ones were not removed after it.
        succeeded_s: When the last backup that is there was finished.
        backup: Its id.
        pid: The process of an attempt that is under way.
        incarnation: With the pid unique until a reboot.
    """

    since_s: float
    begun_s: float | None = None
    ended_s: float | None = None
    outcome: BackupOutcome | None = None
    error: str = ""
    succeeded_s: float | None = None
    backup: str = ""
    size_bytes: int | None = None
    took_s: float | None = None
    pid: int | None = None
    incarnation: float = 0.0

    @property
    def is_under_way(self) -> bool:
        """Whether an attempt has begun and not ended."""
        return self.begun_s is not None and self.ended_s is None

    def begun(self, now_s: float, pid: int | None, incarnation: float) -> "BackupHistory":
        """Return the history with an attempt that begins now; it has no process where none could be started."""
        return replace(self, begun_s=now_s, ended_s=None, pid=pid, incarnation=incarnation)

    def ended(self, now_s: float, outcome: BackupOutcome, error: str = "") -> "BackupHistory":
        """Return the history with the end of the attempt."""
        return replace(self, ended_s=now_s, outcome=outcome, error=error, pid=None)

    def succeeded(self, now_s: float, backup: str, size_bytes: int) -> "BackupHistory":
        """Return the history with a finished backup."""
        took_s = round(max(0.0, now_s - (self.begun_s or now_s)), 3)
        known = replace(self, succeeded_s=now_s, backup=backup, size_bytes=size_bytes, took_s=took_s)
        return known.ended(now_s, BackupOutcome.SUCCEEDED)

    def kept_too_many(self, error: str) -> "BackupHistory":
        """Return the history of a backup that is there, after which older ones could not be removed."""
        return replace(self, error=error)

    def to_json(self) -> str:
        """Return the text of ``backups.json``."""
        return json.dumps({"schema_version": _SCHEMA_VERSION, **asdict(self)}, indent=2) + "\n"


def parse_history(text: str | None) -> BackupHistory | None:
    """Return the history in a text; None where it is absent, damaged or a newer kraftd's, and starts over."""
    try:
        raw: Mapping[str, Any] = json.loads(text or "")
        if int(raw["schema_version"]) > _SCHEMA_VERSION:
            return None
        facts = {key: value for key, value in raw.items() if key != "schema_version"}
        outcome = None if raw["outcome"] is None else BackupOutcome(raw["outcome"])
        return BackupHistory(**{**facts, "since_s": float(raw["since_s"]), "outcome": outcome})
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def due_s(backups: ScheduledBackups, history: BackupHistory, now_s: float, zone: tzinfo) -> float:
    """Return when the next backup is due, in seconds since the Unix epoch; times that passed are one.

    Args:
        backups: The schedule.
        history: What became of the last backups.
        now_s: The time; a clock that was set back must not put the next backup off.
        zone: The time zone of the schedule's times of day.
    """
    schedule = parse_schedule(backups.schedule)
    begun_s = history.since_s if history.begun_s is None else history.begun_s
    if history.outcome is BackupOutcome.INTERRUPTED or begun_s > now_s:
        return min(begun_s, now_s)
    next_s = schedule.next_after_s(begun_s, zone)
    if history.outcome is BackupOutcome.FAILED:
        return min(next_s, min(history.ended_s or now_s, now_s) + RETRY_S)
    return next_s


@dataclass(frozen=True, slots=True)
class ScheduledBackup:
    """The scheduled backups, as /health shows them; times are RFC 3339, UTC.

    Attributes:
        interval_s: The longest time between two of them by the schedule.
        running: Whether one is being made now.
        next_at: When the next one is due; in the past where it waits for the cluster.
        last_at: When the last attempt began; None before the first.
        outcome: How the last one that has ended did; None before the first.
        error: Why it failed; of one that succeeded, why older ones were not removed after it.
        succeeded_at: When the newest backup was finished; None where there is none.
        age_s: Seconds since then; since the schedule is known where there is none.
        backup: The id of that backup; ``size_bytes`` and ``took_s`` are its own.
    """

    schedule: str
    target: str
    interval_s: float
    running: bool
    next_at: str
    last_at: str | None
    outcome: BackupOutcome | None
    error: str | None
    succeeded_at: str | None
    age_s: float
    backup: str | None
    size_bytes: int | None
    took_s: float | None


def backup_view(backups: ScheduledBackups, history: BackupHistory, now_s: float, zone: tzinfo) -> ScheduledBackup:
    """Return what people and programs see of the scheduled backups."""
    return ScheduledBackup(
        schedule=backups.schedule,
        target=backups.target,
        interval_s=parse_schedule(backups.schedule).interval_s,
        running=history.is_under_way,
        next_at=timestamp(due_s(backups, history, now_s, zone)),
        last_at=_stamp(history.begun_s),
        outcome=history.outcome,
        error=history.error or None,
        succeeded_at=_stamp(history.succeeded_s),
        age_s=round(max(0.0, now_s - (history.since_s if history.succeeded_s is None else history.succeeded_s)), 3),
        backup=history.backup or None,
        size_bytes=history.size_bytes,
        took_s=history.took_s,
    )


def _stamp(at_s: float | None) -> str | None:
    return None if at_s is None else timestamp(at_s)
