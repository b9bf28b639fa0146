"""The lag status of a group: whether it keeps up, from its recent offsets. Pure.

The rules are those of linkedin/Burrow 1.9.5, changed where they need the time of each commit: kraftd polls commits, and
cannot distinguish a repeated commit from none. Whether the group has members decides instead: an offset that does not
move is a stall where a member should move it, and a stop where there is none. Until Burrow's rule calls it a stop, a
group without members that leaves records unread is called empty: it does not keep up.
"""

import enum
from collections.abc import Iterable, Sequence
from operator import le, sub
from typing import NamedTuple

CAPACITY = 15
"""Samples in a window; Burrow's sample configuration keeps as many commits."""

MIN_SAMPLES = 5
"""With fewer, the status is not known."""

UNMOVED_SAMPLES = 3
"""A group without members whose commit was the same in so many samples is not read by anybody."""


class LagStatus(enum.StrEnum):
    """The lag status of a group on a partition."""

    OK = "ok"
    WARN = "warn"
    STALL = "stall"
    STOP = "stop"
    REWIND = "rewind"
    EMPTY = "empty"


_FROM_OK_ON = (
    LagStatus.OK,
    LagStatus.WARN,
    LagStatus.EMPTY,
    LagStatus.STALL,
    LagStatus.REWIND,
    LagStatus.STOP,
)
_SEVERITY = {each: rank for rank, each in enumerate(_FROM_OK_ON)}


class Window(NamedTuple):
    """The newest measurements of a group on a partition, oldest first: columns of the same length.

    Attributes:
        times_s: When commit and end were read, together.
        commits: The group's commits.
        ends: The partition's end offsets; they never go back, because a log that was recreated begins a new window.
    """

    times_s: Sequence[float]
    commits: Sequence[int]
    ends: Sequence[int]


def partition_status(window: Window, *, has_members: bool | None) -> LagStatus | None:
    """Return the lag status of a group on a partition, None while too little is known.

    Args:
        window: Measurements at regular intervals.
        has_members: Whether the group has a member; None where that is not known.
    """
    if len(window.commits) < MIN_SAMPLES:
        return None
    # Below 0 where the log was truncated; only those above 0 are compared.
    lags = list(map(sub, window.ends, window.commits))
    if lags[-1] <= 0:
        return LagStatus.OK
    if not has_members and _stopped(window):
        return LagStatus.STOP
    if max(window.commits) > window.commits[-1]:
        return LagStatus.REWIND
    if has_members is False and is_idle(window):
        return LagStatus.EMPTY
    return _movement(window.commits, lags) if min(lags) > 0 else LagStatus.OK


def is_idle(window: Window) -> bool:
    """Return whether the commit did not move in the newest samples."""
    return len(set(window.commits[-UNMOVED_SAMPLES:])) <= 1


def worst(statuses: Iterable[LagStatus | None]) -> LagStatus | None:
    """Return the status of a group, which is that of its worst partition; None where none is known."""
    return max((status for status in statuses if status is not None), key=_SEVERITY.__getitem__, default=None)


def _stopped(window: Window) -> bool:
    """Return whether commits have been absent for longer than they were made before, with records unread throughout."""
    times_s, commits, ends = window
    # Ends never go back within a window: if the group had reached one of them, then the first.
    if ends[0] <= commits[-1]:
        return False
    moved = len(commits) - 1
    while moved and commits[moved - 1] == commits[-1]:
        moved -= 1
    silent_s, active_s = times_s[-1] - times_s[moved], times_s[moved] - times_s[0]
    return silent_s > active_s


def _movement(commits: Sequence[int], lags: Sequence[int]) -> LagStatus:
    """Return the status of a group that was behind in the whole window."""
    if commits[0] == commits[-1]:
        return LagStatus.STALL
    return LagStatus.WARN if all(map(le, lags, lags[1:])) else LagStatus.OK
