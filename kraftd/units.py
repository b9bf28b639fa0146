"""Sizes, counts, durations, times, schedules and long texts as people and the JVM write them."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from datetime import time as time_of_day

_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3}
_SIZE = re.compile(r"([1-9][0-9]*)([kmg])", re.IGNORECASE)
_BYTES = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kmgt]?)(i?b|)", re.IGNORECASE)
_LONG_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(ms|s|m|min|h|d|w)", re.IGNORECASE)
_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PREFIXES = ("", "k", "m", "g", "t")
_DAY_S = 86400.0
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": _DAY_S}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_EVERY = re.compile(r"every ([1-9][0-9]{0,5})([smhd])")
_AT = re.compile(rf"(?:daily|weekly ({'|'.join(_WEEKDAYS)})) ([01][0-9]|2[0-3]):([0-5][0-9])")


_BYTE_UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def parse_size(text: str) -> int:
    """Return the bytes of a size such as ``4g``, ``512m`` or ``65536k``.

    Raises:
        ValueError: The text is not a whole number followed by k, m or g.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not a size: {text!r}")
    return int(match.group(1)) * _UNITS[match.group(2).lower()]


def parse_bytes(text: str) -> int:
    """Return the bytes of a size such as ``1GiB``, ``500MB``, ``64k`` or ``1024``; i and a bare letter mean 1024.

    Raises:
        ValueError: The text is not a size, or is empty or beyond the range of a double.
    """
    match = _BYTES.fullmatch(text.strip())
    if match is None:
        raise ValueError("it is not a size")
    power = _PREFIXES.index(match[2].lower())
    is_decimal = match[3].lower() == "b" and match[2]
    size: float = float(match[1]) * (1000 if is_decimal else 1024) ** power
    if math.isinf(size):
        raise ValueError("it is too large")
    if not (found := round(size)):
        raise ValueError("it leaves no room")
    return found


def parse_long_duration_ms(text: str) -> int:
    """Return the milliseconds of a duration such as ``7d``, ``2w``, ``12h``, ``90min`` or ``500ms``.

    Raises:
        ValueError: The text is not a duration, or is empty or beyond the range of a double.
    """
    match = _LONG_DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("it is not a duration")
    length_ms = float(match[1]) * _UNITS_MS[match[2].lower()]
    if math.isinf(length_ms):
        raise ValueError("it is too long")
    if not (found := round(length_ms)):
        raise ValueError("it leaves no time")
    return found


def format_size(size_bytes: int) -> str:
    """Return the shortest exact form that the JVM reads back: ``4g``, ``1536m``, ``65536k``."""
    for suffix in ("g", "m", "k"):
        if size_bytes % _UNITS[suffix] == 0:
            return f"{size_bytes // _UNITS[suffix]}{suffix}"
    return str(size_bytes)


def shortened(text: str, most_characters: int) -> str:
    """Return a text cut to a number of characters, the last three of which say so."""
    return text if len(text) <= most_characters else text[: most_characters - 3] + "..."


def human_size(size_bytes: int) -> str:
    """Return a size for people, with one decimal: ``23.4 GiB``, ``61.3 MiB``."""
    for suffix, unit in (("GiB", _UNITS["g"]), ("MiB", _UNITS["m"])):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.1f} {suffix}"
    return f"{size_bytes / 1024:.1f} KiB"


def count(number: float) -> str:
    """Return a whole number with thousands separators: ``1,234,567``."""
    return f"{round(number):,}"


def count_or_dash(number: int | None) -> str:
    """Return a whole number as ``count`` does; a dash where it is not known."""
    return "-" if number is None else count(number)


def plural(number: int | None, noun: str) -> str:
    """Return a count with its noun: ``1 record``, ``2,000 records``; ``- records`` where it is not known."""
    return f"{count_or_dash(number)} {noun}" + ("" if number == 1 else "s")


def listed(names: Sequence[str], most: int) -> str:
    """Return names for people: at most some of them, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {count(more)} more" if more > 0 else "")


def rate(per_s: float) -> str:
    """Return a rate per second, with one decimal where it is small: ``2.5/s``, ``1,234/s``."""
    return f"{per_s:.1f}/s" if 0 < per_s < 10 else f"{count(per_s)}/s"


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: ``0.4 s``, ``12 s``, ``3 min 5 s``, ``2 d 4 h``."""
    if 0 < seconds < 1:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for unit_s, name, next_s, next_name in _BYTE_UNITS:
        if whole >= unit_s:
            rest = whole % unit_s // next_s
            return f"{whole // unit_s} {name}" + (f" {rest} {next_name}" if rest else "")
    return f"{whole} s"


def latency(seconds: float) -> str:
    """Return a short time: ``0.4 ms``, ``23 ms``, ``1.2 s``."""
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"


def timestamp(now_s: float) -> str:
    """Return seconds since the epoch as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_timestamp(text: str) -> float:
    """Return the seconds since the epoch of a time in RFC 3339.

    Raises:
        ValueError: The text is none.
    """
    return datetime.fromisoformat(text).timestamp()


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

    def next_after_s(self, moment_s: float, zone: tzinfo) -> float:
        """Return the first moment after another one, both in seconds since the Unix epoch.

        A time that a change to summer time leaves out is an hour later, and one that comes twice is the first.

        Args:
            moment_s: The moment.
            zone: The time zone of the time of day.
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
        return Schedule(int(found[1]) * _SECONDS[found[2]])
    if found := _AT.fullmatch(words):
        weekday = _WEEKDAYS.index(found[1]) if found[1] else None
        return Schedule(_DAY_S * (1 if weekday is None else 7), time_of_day(int(found[2]), int(found[3])), weekday)
    raise ValueError("it is not a schedule")
