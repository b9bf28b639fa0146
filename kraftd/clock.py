"""The only reader of time and the only waiter; and schedules, which are pure."""

import re
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from datetime import time as time_of_day
from typing import Protocol

_DAY_S = 86400.0
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": _DAY_S}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_EVERY = re.compile(r"every ([1-9][0-9]{0,5})([smhd])")
_AT = re.compile(rf"(?:daily|weekly ({'|'.join(_WEEKDAYS)})) ([01][0-9]|2[0-3]):([0-5][0-9])")


class Clock(Protocol):
    """What code that waits or stamps is given."""

    def now_s(self) -> float:
        """Return the wall clock, in seconds since the Unix epoch; for stamps, never for durations."""

    def monotonic_s(self) -> float:
        """Return a clock that never steps, in seconds; for durations and deadlines."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """This machine's clock."""

    def now_s(self) -> float:
        """Return the wall clock, in seconds since the Unix epoch."""
        return time.time()

    def monotonic_s(self) -> float:
        """Return a clock that never steps, in seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, not at all for a negative time."""
        time.sleep(max(0.0, seconds))


@dataclass(frozen=True, slots=True)
class Schedule:
    """When something repeats.

    Attributes:
        interval_s: The longest time between two moments of it, a change to summer time apart.
        at: The time of day, on the clock of its time zone; None where only the interval counts.
        weekday: The only day, from Monday, 0; None for every day.
    """

    interval_s: float
    at: time_of_day | None = None
    weekday: int | None = None

    def next_after_s(self, moment_s: float, zone: tzinfo | None = None) -> float:
        """Return the first moment after another one, both in seconds since the Unix epoch.

        A time that a change to summer time leaves out is an hour later, and one that comes twice is the first.

        Args:
            moment_s: The moment.
            zone: The time zone; None for that of this machine.
        """
        if self.at is None:
            return moment_s + self.interval_s
        day = datetime.fromtimestamp(moment_s, zone).date()
        while True:
            due_s = datetime.combine(day, self.at, zone).timestamp()
            if due_s > moment_s and self.weekday in (None, day.weekday()):
                return due_s
            day += timedelta(days=1)


def parse_schedule(text: str) -> Schedule:
    """Return the schedule of a text such as ``every 6h``, ``daily 03:00`` or ``weekly sunday 03:00``.

    Raises:
        ValueError: The text is none.
    """
    words = " ".join(text.lower().split())
    if found := _EVERY.fullmatch(words):
        return Schedule(int(found[1]) * _UNITS_S[found[2]])
    if found := _AT.fullmatch(words):
        weekday = _WEEKDAYS.index(found[1]) if found[1] else None
        return Schedule(_DAY_S * (1 if weekday is None else 7), time_of_day(int(found[2]), int(found[3])), weekday)
    raise ValueError("it is no schedule")
