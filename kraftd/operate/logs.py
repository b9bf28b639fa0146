"""`kraftd logs`: the programs' logs, prefixed, and followed through rotation."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kraftd.host.files import tail
from kraftd.operate.workspace import Workspace
from kraftd.spec.plan import Plan

_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of one program."""

    program: str
    file: str
    text: str


def last_log_lines(plan: Plan, names: tuple[str, ...], lines: int) -> list[LogLine]:
    """Return the last lines of each program, at most so many of each of its files."""
    return [
        LogLine(name, path.name, text)
        for name in names or plan.names
        for path in plan.layout.log_files(plan.program(name))
        for text in tail(path, lines)
    ]


def follow(plan: Plan, names: tuple[str, ...], lines: int, workspace: Workspace) -> Iterator[LogLine]:
    """Yield the last lines of each file and then what the programs write, for ever; no line is lost or told twice.

    A rotated or truncated file is read from its beginning.
    """
    followed = [
        _Followed(name, path) for name in names or plan.names for path in plan.layout.log_files(plan.program(name))
    ]
    for each in followed:
        each.skip_to_end()
    for each in followed:
        yield from each.last_lines(lines)
    while True:
        for each in followed:
            yield from each.new_lines()
        workspace.clock.sleep(_POLL_S)


class _Followed:
    def __init__(self, program: str, path: Path) -> None:
        self._program = program
        self._path = path
        self._offset = 0
        self._inode = 0
        self._rest = b""

    def skip_to_end(self) -> None:
        if self._path.is_file():
            status = self._path.stat()
            self._offset, self._inode = status.st_size, status.st_ino

    def last_lines(self, lines: int) -> Iterator[LogLine]:
        for text in tail(self._path, lines, before=self._offset):
            yield LogLine(self._program, self._path.name, text)

    def new_lines(self) -> Iterator[LogLine]:
        if not self._path.is_file():
            return
        status = self._path.stat()
        if status.st_ino != self._inode or status.st_size < self._offset:
            self._offset, self._inode, self._rest = 0, status.st_ino, b""
        if status.st_size == self._offset:
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            chunk = self._rest + file.read()
            self._offset = file.tell()
        *whole, self._rest = chunk.split(b"\n")
        for line in whole:
            yield LogLine(self._program, self._path.name, line.decode("utf-8", errors="replace"))
