"""The daemon's part in the rotation of logs: a new file each day, old ones compressed, the oldest removed.

What writes a log rotates it by size: supervisord, log4j, the JVM. None of them compresses files, or begins one for a
new day. That is done here for all of them, to files that their writers have closed.
"""

import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from kraftd.clock import Clock
from kraftd.errors import FileAccessError
from kraftd.host.files import os_errors_named
from kraftd.host.logs import LogFile, archive_numbered, compress, log_files, number_current
from kraftd.plan.kinds import Node
from kraftd.plan.plan import Plan

logger = logging.getLogger("kraftd.daemon")

LOOK_EVERY_S = 5.0
_DAY = re.compile(rb"^\D{0,40}(\d{4}-\d\d-\d\d)[ T]\d\d:\d\d:\d\d", re.MULTILINE)
_FIRST_BYTES = 65_536
_JVM_CRASHES = "hs_err_*.log"
T = TypeVar("T")


class LogRotator:
    """Rotates the logs of a plan's programs further than their writers do.

    Args:
        plan: The cluster.
        clock: Time.
        reopen: Has supervisord, where it runs, reopen its programs' logs by their names.
    """

    def __init__(self, plan: Plan, clock: Clock, reopen: Callable[[], None]) -> None:
        layout = plan.layout
        self._rotation = plan.log_rotation
        self._clock = clock
        self._reopen = reopen
        self._consoles = tuple(layout.console(name) for name in plan.names)
        self._logs = (layout.supervisord_log, *(path for each in plan.programs for path in layout.all_log_files(each)))
        self._crash_directories = tuple(layout.logs(each.name) for each in plan.programs if isinstance(each, Node))
        self._failed = ""

    def look(self) -> None:
        """Do what is due; what the system refuses, as on a full disk, is logged once, and tried again next time."""
        failures = [failure for log in self._logs for failure in self._maintain(log)]
        failures += [*self._guarded(self._begin_day), *self._guarded(self._remove_crashes)]
        failed = failures[0] if failures else ""
        if failed and failed != self._failed:
            logger.warning("Logs are not rotated as they should: %s", failed)
        self._failed = failed

    def _maintain(self, log: Path) -> Iterator[str]:
        yield from self._guarded(self._take_over, log)
        archived = [each for each in log_files(log) if each.archived]
        too_many = self._beyond_those_kept(archived)
        yield from self._guarded(_remove, *(each.path for each in too_many))
        yield from self._guarded(_compress, *archived[len(too_many) :])

    def _beyond_those_kept(self, oldest_first: list[T]) -> list[T]:
        return oldest_first[: max(0, len(oldest_first) - self._rotation.kept_files)]

    @staticmethod
    def _guarded(step: Callable[..., None], *arguments: object) -> Iterator[str]:
        try:
            step(*arguments)
        except FileAccessError as error:
            yield str(error)

    def _take_over(self, log: Path) -> None:
        archive_numbered(log, self._clock.now_s())

    def _begin_day(self) -> None:
        """Begin a new file for each console that was begun on an earlier day.

        supervisord goes on writing to the renamed file until it reopens its logs, so that no line is lost.
        """
        today = _day(self._clock.now_s())
        known = {log: log_files(log) for log in self._consoles}
        due = [log for log, files in known.items() if self._rotation.is_daily and _is_due(files, today)]
        for log in due:
            number_current(log)
            self._take_over(log)
        if due or any(map(_is_written_under_its_new_name, known.values())):
            self._reopen()

    def _remove_crashes(self) -> None:
        for directory in self._crash_directories:
            reports = sorted(directory.glob(_JVM_CRASHES), key=lambda path: path.lstat().st_mtime_ns)
            _remove(*self._beyond_those_kept(reports))


def _is_due(files: list[LogFile], today: str) -> bool:
    """Return whether a log has lines of an earlier day, and was not rotated today yet."""
    if not files or not files[-1].is_current or not files[-1].size_bytes or files[-1].path.is_symlink():
        return False
    if any(each.number == 0 for each in files):
        return False
    rotated_today = any(each.archived and _day(each.archived_at.timestamp()) == today for each in files)
    return not rotated_today and _begun(files[-1]) < today


def _begun(current: LogFile) -> str:
    """Return the day of a file's first line with a time, else the day on which it was last written to."""
    with os_errors_named("read", current.path), current.path.open("rb") as file:
        stamp = _DAY.search(file.read(_FIRST_BYTES))
    written = _day(current.written_ns / 1e9)
    return min(written, str(stamp[1], "ascii")) if stamp else written


def _is_written_under_its_new_name(files: list[LogFile]) -> bool:
    """Return whether supervisord has yet to reopen a log: nothing else writes to a file that is archived."""
    newest = files[-1] if files else None
    return newest is not None and bool(newest.archived) and newest.written_ns / 1e9 > newest.archived_at.timestamp()


def _day(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d")


def _remove(*paths: Path) -> None:
    for path in paths:
        with os_errors_named("remove", path):
            path.unlink(missing_ok=True)


def _compress(*archived: LogFile) -> None:
    """Compress all but the newest, to which supervisord may still write; remove those that are empty."""
    for each in archived[:-1]:
        if not each.size_bytes:
            _remove(each.path)
        elif not each.is_compressed:
            compress(each)
