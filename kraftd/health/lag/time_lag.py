"""The time lag of a group: how long its oldest unread record waits. Pure, and without reading a record.

Of each partition a few points are kept: all records before the point's offset are older, all from it on are not.
The end offset is such a point each time it is read. For records older than the daemon, the broker returns such a point
for any time (ListOffsets with a timestamp). A record's age lies between the two points around its offset: an interval,
not a guess, and as right on an idle topic as on a busy one.

Producers may set timestamps as they like; then the broker's points and the clock's need not agree, and the interval is
as good as the timestamps.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

RELATIVE_ERROR = 0.1
"""How wide an interval may be, as a fraction of the age; wider ones are looked up, narrower ones are merged."""

MIN_WIDTH_S = 10.0
"""No interval is made narrower than this: the interval at which end offsets are read."""

FIRST_LOOKUP_S = 60.0
"""The first age to look up where no point bounds it."""

MAX_AGE_S = 10 * 365 * 86400.0
"""Where the search for an upper bound ends."""


@dataclass(frozen=True, slots=True)
class Point:
    """At this time, in seconds since the epoch, the partition's next offset was this one."""

    time_s: float
    offset: int


Timeline = tuple[Point, ...]
"""A partition's points, in order of time and of offset."""


@dataclass(frozen=True, slots=True)
class AgeBounds:
    """The bounds of a record's age.

    Attributes:
        at_least_s: It is no younger.
        at_most_s: It is no older; None while nothing bounds it.
    """

    at_least_s: float
    at_most_s: float | None

    @property
    def estimate_s(self) -> float:
        """Return one number: the middle of the bounds, or the lower bound where there is no upper one."""
        return self.at_least_s if self.at_most_s is None else (self.at_least_s + self.at_most_s) / 2


NO_WAIT = AgeBounds(0.0, 0.0)


def observed(timeline: Timeline, now_s: float, end: int) -> Timeline:
    """Return a timeline with the end offset that was read now.

    Points that contradict it are dropped: the log was recreated or truncated, or the clock went back.
    """
    return extended(tuple(point for point in timeline if point.time_s < now_s), Point(now_s, end))


def looked_up(timeline: Timeline, time_s: float, offset: int | None, end: int) -> Timeline:
    """Return a timeline with a broker's answer: the first offset that is not older; None: all records up to end are."""
    return extended(timeline, Point(time_s, end if offset is None else offset))


def extended(timeline: Timeline, point: Point) -> Timeline:
    """Return a timeline with one more point, anywhere in time, without those that contradict it."""
    before = [known for known in timeline if known.time_s < point.time_s and known.offset <= point.offset]
    after = [known for known in timeline if known.time_s > point.time_s and known.offset >= point.offset]
    return _thinned((*before, point, *after))


def age_of(timeline: Timeline, offset: int, now_s: float) -> AgeBounds:
    """Return the age of the record at an offset that the partition has; NO_WAIT where nothing was written there yet."""
    first_after = bisect_right(timeline, offset, key=lambda point: point.offset)
    if first_after == len(timeline):
        return NO_WAIT
    at_least_s = max(0.0, now_s - timeline[first_after].time_s)
    at_most_s = max(0.0, now_s - timeline[first_after - 1].time_s) if first_after else None
    return AgeBounds(at_least_s, at_most_s)


def group_wait(timeline: Timeline, committed: int, end: int, start: int | None, now_s: float) -> AgeBounds:
    """Return how long the oldest unread record waits, of those that retention has left."""
    first_unread = committed if start is None else max(committed, start)
    return NO_WAIT if first_unread >= end else age_of(timeline, first_unread, now_s)


def lookup_time_s(ages: Iterable[AgeBounds], now_s: float) -> float | None:
    """Return the time to ask the broker about, so as to narrow the widest of a partition's intervals.

    None where all are narrow enough. One question per partition and cycle: the next cycle asks the next.
    """
    widest = max((age for age in ages if _too_wide(age)), key=_width_s, default=None)
    if widest is None:
        return None
    if widest.at_most_s is None:
        return now_s - min(max(FIRST_LOOKUP_S, 8 * widest.at_least_s), MAX_AGE_S)
    return now_s - (widest.at_least_s + widest.at_most_s) / 2


def _too_wide(age: AgeBounds) -> bool:
    if age.at_most_s is None:
        return age.at_least_s < MAX_AGE_S
    return age.at_most_s - age.at_least_s > max(MIN_WIDTH_S, RELATIVE_ERROR * age.at_most_s) * 2


def _width_s(age: AgeBounds) -> float:
    return float("inf") if age.at_most_s is None else age.at_most_s - age.at_least_s


def _thinned(points: Timeline) -> Timeline:
    """Drop each point whose neighbours alone are narrow enough for its age, and the inside of flat stretches."""
    newest_s = points[-1].time_s
    kept = [points[0]]
    for point, following in pairwise(points[1:]):
        flat = kept[-1].offset == point.offset == following.offset
        allowed_s = max(MIN_WIDTH_S, RELATIVE_ERROR * (newest_s - point.time_s))
        if not flat and following.time_s - kept[-1].time_s > allowed_s:
            kept.append(point)
    return (*kept, points[-1]) if len(points) > 1 else tuple(kept)
