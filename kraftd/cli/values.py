"""The values of options: durations, moments and regular expressions."""

import math
import os
import re
from datetime import datetime
from typing import AnyStr

from kraftd.errors import ConfigurationError

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)?")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_LONGEST_TIMEOUT_S = (2**31 - 1) // 1000
"""Its milliseconds are an int32."""


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as ``180s``, ``500ms``, ``3m`` or ``2h``; a bare number is seconds.

    Raises:
        ValueError: The text is not a duration, or is empty or beyond the range of a double.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("it is not a duration")
    seconds = float(match[1]) * _UNITS_S[match[2]]
    if not seconds:
        raise ValueError("it leaves no time")
    if math.isinf(seconds):
        raise ValueError("it is too long")
    return seconds


def parse_timeout(text: str) -> float:
    """Return the seconds of a time limit: at most the longest that a request to Kafka can state, which is as good.

    Raises:
        ValueError: The text is not a duration.
    """
    return min(parse_duration(text), _LONGEST_TIMEOUT_S)


def parse_since(text: str, now_s: float) -> float:
    """Return the moment that a duration before now, or an RFC 3339 time, names, in seconds since the Unix epoch.

    One before the epoch is the epoch: Kafka takes negative times for something else, as -1 for the end of a log.

    Raises:
        ValueError: The text is neither, or a time without its zone.
    """
    if _DURATION.fullmatch(text.strip()):
        return max(0.0, now_s - parse_duration(text))
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError("it is neither a duration nor a time") from None
    if moment.tzinfo is None:
        raise ValueError("it has no time zone")
    return max(0.0, moment.timestamp())


def moment_s(text: str | None, now_s: float, option: str = "--since") -> float | None:
    """Return the moment that the value of an option names, in seconds since the Unix epoch; None without one.

    Raises:
        ConfigurationError: It names none.
    """
    if text is None:
        return None
    try:
        return parse_since(text, now_s)
    except ValueError as error:
        raise ConfigurationError(
            f"cannot use {option} {text}: {error}",
            hint="Give a duration such as 10m or 24h, or a time such as 2026-01-31T12:00:00Z.",
            code=f"bad_{option.lstrip('-')}",
        ) from error


def regular_expression(text: AnyStr) -> re.Pattern[AnyStr]:
    """Return the regular expression in the value of ``--grep``, for text or for bytes.

    Raises:
        ConfigurationError: The text is not one.
    """
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigurationError(
            f"cannot look for {os.fsdecode(text)!r}: {error}",
            hint="Give a regular expression of Python; . and ( need a backslash.",
            code="bad_grep",
        ) from error
