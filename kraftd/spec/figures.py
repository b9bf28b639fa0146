"""Numbers as people read them. What is not known is a question for the caller, never a number."""

from datetime import UTC, datetime

_UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def count(number: float) -> str:
    """Return a whole number with its thousands apart: ``1,234,567``."""
    return f"{round(number):,}"


def plural(number: int, noun: str) -> str:
    """Return a count with its noun: ``1 record``, ``2,000 records``."""
    return f"{count(number)} {noun}" + ("" if number == 1 else "s")


def rate(per_s: float) -> str:
    """Return a rate per second, with one decimal where it is small: ``2.5/s``, ``1,234/s``."""
    return f"{per_s:.1f}/s" if 0 < per_s < 10 else f"{count(per_s)}/s"


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: ``0.4 s``, ``12 s``, ``3 min 5 s``, ``2 d 4 h``."""
    if 0 < seconds < 1:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for unit_s, name, next_s, next_name in _UNITS:
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
