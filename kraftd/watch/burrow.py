"""Whether a group keeps up, from how its offsets moved lately. Pure.

The rules are those of linkedin/Burrow 1.9.5, changed where they need the time of each commit: kraftd sees commits by
polling, and cannot tell a repeated commit from none. Whether the group has members takes its place: an offset that
stands still is a stall where someone should move it, and a stop where no one can.
"""

import enum
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

CAPACITY = 15
"""Samples in a window; Burrow's sample configuration keeps as many commits."""

MIN_SAMPLES = 5
"""With fewer, nothing is said."""


class Status(enum.StrEnum):
    """How a group does on a partition."""

    OK = "ok"
    WARN = "warn"
    STALL = "stall"
    STOP = "stop"
    REWIND = "rewind"


_SEVERITY = {Status.OK: 0, Status.WARN: 1, Status.STALL: 2, Status.REWIND: 3, Status.STOP: 4}


class Sample(NamedTuple):
    """A group's commit and the partition's end offset, read together."""

    time_s: float
    committed: int
    end: int

    @property
    def lag(self) -> int:
        """Return how far the group was behind; never negative."""
        return max(0, self.end - self.committed)


Window = tuple[Sample, ...]
"""The newest samples of a group on a partition, oldest first."""


def partition_status(window: Window, *, has_members: bool | None, allowed_lag: int = 0) -> Status | None:
    """Return how a group does on a partition, None while too little is known.

    Args:
        window: Samples at a steady pace, the newest last.
        has_members: Whether the group has a member; None where that is not known.
        allowed_lag: Records that a group may be behind and still be well.
    """
    if len(window) < MIN_SAMPLES:
        return None
    if window[-1].lag <= allowed_lag:
        return Status.OK
    if not has_members and _stopped(window):
        return Status.STOP
    if _rewound(window):
        return Status.REWIND
    return _pace(window) if all(sample.lag > allowed_lag for sample in window) else Status.OK


def worst(statuses: Iterable[Status | None]) -> Status | None:
    """Return the status of a group, which is that of its worst partition; None where none is known."""
    return max((status for status in statuses if status is not None), key=_SEVERITY.__getitem__, default=None)


def _stopped(window: Window) -> bool:
    """Return whether commits ended longer ago than they went on before, with records unread all the while."""
    # Ends never go back within a window: if the group had reached one of them, then the first.
    if window[0].end <= window[-1].committed:
        return False
    last_moved_s = window[0].time_s
    before = window[0].committed
    for sample in window:
        if sample.committed != before:
            before, last_moved_s = sample.committed, sample.time_s
    silent_s, active_s = window[-1].time_s - last_moved_s, last_moved_s - window[0].time_s
    return silent_s > active_s


def _pace(window: Window) -> Status:
    """Return how a group moves that was behind all the while."""
    if window[0].committed == window[-1].committed:
        return Status.STALL
    falls_behind = all(later.lag >= earlier.lag for earlier, later in pairwise(window))
    return Status.WARN if falls_behind else Status.OK


def _rewound(window: Window) -> bool:
    """Return whether a commit went back and the group has not come back to where it was."""
    return max(sample.committed for sample in window) > window[-1].committed
