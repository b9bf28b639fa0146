"""`kraftd logs`: what is kept of the programs' logs, in the order of time, and followed through rotation."""

import contextlib
import heapq
import itertools
import math
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from kraftd.clock import Clock
from kraftd.host.logs import LogReader, log_files
from kraftd.plan.plan import Plan
from kraftd.units import timestamp

_POLL_S = 0.2
_MOST_UNTIMED = 100_000
_SEARCHED_CHARACTERS = 65_536
_STAMP = re.compile(
    r"(?:\[|(?:logger=\S+ )?(?:time|ts|t)=\"?)?"
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?"
)
"""The time at the beginning of a line: of log4j, Python and supervisord in UTC, of the JVM's collectors with the zone,
of Prometheus and Alertmanager (``time=``, ``ts=``) and Grafana (``t=``)."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of one program.

    Attributes:
        at: When it was written, in RFC 3339; that of the line that it continues, if it has no time; None where neither
            has one.
    """

    program: str
    file: str
    text: str
    at: str | None = None


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines are wanted.

    Attributes:
        since_s: The earliest time, in seconds since the Unix epoch; None for all that is kept.
        until_s: The latest time.
        pattern: What a line, or one that it continues, must contain. The first 64 Ki characters are searched.
        last: How many lines of each file at most, the last ones; None for all.
    """

    since_s: float | None = None
    until_s: float | None = None
    pattern: re.Pattern[str] | None = None
    last: int | None = None

    @property
    def is_by_number(self) -> bool:
        """Whether nothing but the number of lines decides."""
        return (self.since_s, self.until_s, self.pattern) == (None, None, None)


def kept_lines(
    plan: Plan, names: tuple[str, ...], wanted: LogFilter, *, with_further: bool = False
) -> Iterator[LogLine]:
    """Yield the lines that are kept, also in rotated and compressed files, in the order of their times.

    Args:
        plan: The cluster.
        names: Its programs; none for all.
        wanted: Which lines.
        with_further: Whether files that say nothing about a failure count, such as those of the garbage collectors.
    """
    with _opened(plan, names, wanted, with_further=with_further) as logs:
        yield from _merged(log.kept(is_followed=False) for log in logs)


def follow(
    plan: Plan, names: tuple[str, ...], wanted: LogFilter, clock: Clock, *, with_further: bool = False
) -> Iterator[LogLine]:
    """Yield the lines that are kept, and then what the programs write, forever; no line is lost or repeated."""
    with _opened(plan, names, wanted, with_further=with_further) as logs:
        yield from _merged(log.kept(is_followed=True) for log in logs)
        while True:
            for log in logs:
                yield from log.new()
            clock.sleep(_POLL_S)


@contextlib.contextmanager
def _opened(
    plan: Plan, names: tuple[str, ...], wanted: LogFilter, *, with_further: bool
) -> Iterator[tuple["_ProgramLog", ...]]:
    paths = plan.layout.all_log_files if with_further else plan.layout.log_files
    with contextlib.ExitStack() as open_files:
        yield tuple(
            _ProgramLog(name, open_files.enter_context(contextlib.closing(LogReader(path))), wanted)
            for name in names or plan.names
            for path in paths(plan.program(name))
        )


@dataclass(frozen=True, slots=True)
class _Timed:
    at_s: float
    line: LogLine


def _merged(logs: Iterable[Iterable[_Timed]]) -> Iterator[LogLine]:
    return (timed.line for timed in heapq.merge(*logs, key=lambda timed: timed.at_s))


class _ProgramLog:
    """One log of a program; the times of its lines do not fall."""

    def __init__(self, program: str, reader: LogReader, wanted: LogFilter) -> None:
        self._program = program
        self._reader = reader
        self._wanted = wanted
        self._at_s = -math.inf
        self._at: str | None = None
        self._matched = False

    def kept(self, *, is_followed: bool) -> Iterable[_Timed]:
        """Return the wanted lines that are kept; what is followed keeps a line without its end until that comes."""
        wanted = self._wanted
        if wanted.is_by_number and wanted.last is not None:
            self._reader.seek_last(wanted.last)
        else:
            self._reader.seek_since(wanted.since_s or 0.0)
        rest = () if is_followed else self._reader.unfinished()
        found = self._chosen(self._begun(itertools.chain(self._reader.lines(), rest)))
        return found if wanted.last is None else deque(found, maxlen=min(wanted.last, sys.maxsize))

    def new(self) -> Iterator[LogLine]:
        """Yield the wanted lines that were written since the last call."""
        return (timed.line for timed in self._chosen(self._reader.lines(), is_new=True))

    def _begun(self, lines: Iterator[str]) -> Iterator[str]:
        """Yield lines, once it is known when those before the first time were written: then, or at the last write."""
        untimed = []
        for line in lines:
            untimed.append(line)
            if (found := _moment(line)) or len(untimed) > _MOST_UNTIMED:
                self._at_s = found or self._at_s
                break
        else:
            self._at_s = max((each.written_ns / 1e9 for each in log_files(self._reader.path)), default=self._at_s)
        yield from untimed
        yield from lines

    def _chosen(self, lines: Iterable[str], *, is_new: bool = False) -> Iterator[_Timed]:
        wanted = self._wanted
        for text in lines:
            moment = _moment(text)
            if moment is not None:
                self._at_s, self._at = max(moment, self._at_s), timestamp(moment)
                self._matched = False
            if wanted.until_s is not None and self._at_s > wanted.until_s:
                return
            if wanted.since_s is not None and self._at_s < wanted.since_s and not is_new:
                continue
            if wanted.pattern is not None and not self._is_match(wanted.pattern, text):
                continue
            yield _Timed(self._at_s, LogLine(self._program, self._reader.path.name, text, self._at))

    def _is_match(self, pattern: re.Pattern[str], text: str) -> bool:
        is_found = pattern.search(text, 0, _SEARCHED_CHARACTERS) is not None
        # What follows a line with a time, and has none itself, continues it, as the lines of a stack trace do.
        self._matched = self._at is not None and (self._matched or is_found)
        return is_found or self._matched


def _moment(text: str) -> float | None:
    """Return the time at the beginning of a line, in seconds since the Unix epoch; None where it has none."""
    found = _STAMP.match(text)
    if found is None:
        return None
    day, time, fraction, zone = found.groups(default="")
    try:
        return datetime.fromisoformat(f"{day}T{time}.{fraction[:6] or 0}{zone or 'Z'}").astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        return None
