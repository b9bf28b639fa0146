"""`kraftd logs`: the programs' logs, prefixed, and followed through rotation."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kraftd.host.files import last_lines, tail
from kraftd.operate.context import CommandContext
from kraftd.plan.plan import Plan

_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of one program."""

    program: str
    file: str
    text: str


def last_log_lines(plan: Plan, names: tuple[str, ...], lines: int) -> list[LogLine]:
    """Return the last lines of each program's files, at most ``lines`` of each."""
    return [
        LogLine(name, path.name, text)
        for name in names or plan.names
        for path in plan.layout.log_files(plan.program(name))
        for text in tail(path, lines, most_bytes=None)
    ]


def follow(plan: Plan, names: tuple[str, ...], lines: int, command_context: CommandContext) -> Iterator[LogLine]:
    """Yield the last lines of each file and then what the programs write, for ever; no line is lost or repeated.

    A rotated file is read to its end, and then those that follow it, as long as they are kept; a truncated one is read
    from its beginning.
    """
    with contextlib.ExitStack() as open_files:
        followed = [
            open_files.enter_context(contextlib.closing(FollowedLog(name, path)))
            for name in names or plan.names
            for path in plan.layout.log_files(plan.program(name))
        ]
        for each in followed:
            yield from each.last_lines(lines)
        while True:
            for each in followed:
                yield from each.new_lines()
            command_context.clock.sleep(_POLL_S)


class FollowedLog:
    """One log, read as it is written. Its file stays open, so that it can be read to its end after its rotation."""

    def __init__(self, program: str, path: Path) -> None:
        self._program = program
        self._path = path
        self._rest = b""
        self._file = _opened(path)
        if self._file is not None:
            self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def last_lines(self, lines: int) -> Iterator[LogLine]:
        """Yield the last lines of what was written before it was opened."""
        if self._file is not None:
            end = self._file.tell()
            found = last_lines(self._file, lines, end)
            self._file.seek(end)
            yield from (self._line(text) for text in found)

    def new_lines(self) -> Iterator[LogLine]:
        """Yield what was written since the last call."""
        if self._file is None:
            self._file = _opened(self._path)
        while self._file is not None:
            yield from self._unread(self._file)
            following = self._following(self._file)
            if following is None:
                return
            # The last lines that were written to it before its rotation.
            yield from self._unread(self._file)
            self._file.close()
            self._file = following

    def _unread(self, file: BinaryIO) -> Iterator[LogLine]:
        if os.fstat(file.fileno()).st_size < file.tell():
            file.seek(0)
            self._rest = b""
        # A line may begin in one file and end in the next: supervisord rotates at a size, not at a line.
        *whole, self._rest = (self._rest + file.read()).split(b"\n")
        yield from (self._line(line.decode("utf-8", errors="replace")) for line in whole)

    def _following(self, file: BinaryIO) -> BinaryIO | None:
        """Return the file that was begun when this one was rotated; None while this one is written to."""
        following = _opened(self._path)
        if following is None or _is_same(following, file):
            _close(following)
            return None
        absent = 0
        for number in itertools.count(1):
            older = _opened(self._path.with_name(f"{self._path.name}.{number}"))
            absent = absent + 1 if older is None else 0
            # One number may be free for a moment, while the others are renamed.
            if absent > 1:
                return following
            if older is not None and (_is_same(older, file) or _written_ns(older) < _written_ns(file)):
                older.close()
                return following
            if older is not None:
                following.close()
                following = older
        return following

    def _line(self, text: str) -> LogLine:
        return LogLine(self._program, self._path.name, text)


def _opened(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb") if path.is_file() else None
    except FileNotFoundError:
        return None


def _close(file: BinaryIO | None) -> None:
    if file is not None:
        file.close()


def _is_same(one: BinaryIO, other: BinaryIO) -> bool:
    return os.path.sameopenfile(one.fileno(), other.fileno())


def _written_ns(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_mtime_ns
