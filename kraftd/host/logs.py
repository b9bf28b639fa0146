"""A log with the files that it was rotated into: their names, their order, and its lines across all of them.

``server.log`` is written to. Its writer renames it to ``server.log.1`` and so on when it is full; the daemon takes
these out of the writer's numbering, as ``server.log-20260131T120000.000000Z``, and compresses all but the newest.
"""

import contextlib
import functools
import gzip
import itertools
import os
import re
import shutil
import stat
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, cast

from kraftd.host.files import os_errors_named

_NUMBERED = re.compile(r"\.(\d+)")
_ARCHIVED = re.compile(r"-(\d{8}T\d{6}\.\d{6}Z)(\.gz)?")
_STAMP_FORMAT = "%Y%m%dT%H%M%S.%fZ"
_TAIL_BYTES = 262_144
_BLOCK_BYTES = 262_144
_LEVEL = 6
_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class LogFile:
    """One of the files that hold a log.

    Attributes:
        archived: When the daemon archived it, in the form of its name; empty for the others.
        number: What its writer's numbering gave it; None for the others. The JVM begins with 0.
        written_ns: When it was last written to; that of the original for a compressed one.
    """

    path: Path
    inode: int
    written_ns: int
    size_bytes: int
    archived: str = ""
    number: int | None = None

    @property
    def is_current(self) -> bool:
        """Whether the log is written to this file."""
        return not self.archived and self.number is None

    @property
    def is_compressed(self) -> bool:
        """Whether it holds what it held as gzip."""
        return self.path.suffix == ".gz"

    @property
    def archived_at(self) -> datetime:
        """When it was archived."""
        return _moment(self.archived)


def log_files(path: Path) -> list[LogFile]:
    """Return the files of a log, oldest first; only regular files count. None where its directory is absent."""
    found: dict[str, LogFile] = {}
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(path.parent) as entries:
        for entry in entries:
            each = _log_file(path, entry) if entry.name.startswith(path.name) else None
            # A daemon that was killed may have left the original of a compressed file.
            if each is not None and not (each.is_compressed and each.archived in found):
                found[each.archived or entry.name] = each
    # A file that is renamed meanwhile may be seen by both of its names.
    by_inode: dict[int, LogFile] = {}
    for each in sorted(found.values(), key=_order):
        by_inode.setdefault(each.inode, each)
    return list(by_inode.values())


def _settled_log_files(path: Path) -> list[LogFile]:
    """Return the files of a log when none of them is renamed: until then, one may not be seen at all."""
    known = log_files(path)
    for _ in range(_ATTEMPTS):
        before, known = known, log_files(path)
        if [(each.path, each.inode) for each in before] == [(each.path, each.inode) for each in known]:
            break
    return known


def _order(each: LogFile) -> tuple[bool, bool, str, int, int]:
    return each.is_current, not each.archived, each.archived, each.written_ns, -(each.number or 0)


def _log_file(path: Path, entry: "os.DirEntry[str]") -> LogFile | None:
    rest = entry.name[len(path.name) :]
    numbered, archived = _NUMBERED.fullmatch(rest), _ARCHIVED.fullmatch(rest)
    if rest and not numbered and not archived:
        return None
    try:
        status = entry.stat(follow_symlinks=not rest)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return LogFile(
        path.with_name(entry.name),
        status.st_ino,
        status.st_mtime_ns,
        status.st_size,
        archived[1] if archived else "",
        int(numbered[1]) if numbered else None,
    )


class LogReader:
    """Reads the lines of a log in their order, as it is written to, rotated and compressed; none is lost or repeated.

    The file at hand stays open, so that it is read to its end after its rotation, and then those that follow it, as
    long as they are kept. The place to begin at is sought first; of a log that comes later, that is its beginning.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._is_compressed = False
        self._rest = b""

    def close(self) -> None:
        """Close the file at hand."""
        if self._file is not None:
            self._file.close()
        self._file, self._rest = None, b""

    def seek_since(self, since_s: float) -> None:
        """Go to the first file that was written to at a time, in seconds since the Unix epoch, or later."""
        for _ in range(_ATTEMPTS):
            self.close()
            known = log_files(self.path)
            with contextlib.suppress(FileNotFoundError):
                for each in (*(each for each in known if each.written_ns >= since_s * 1e9), *known[-1:])[:1]:
                    self._take(each)
                return

    def seek_last(self, lines: int, *, most_bytes: int | None = None, since_s: float = 0.0) -> None:
        """Go to the beginning of the last lines, where one without its end counts; in a compressed file, before it.

        Args:
            lines: The number of lines.
            most_bytes: The most bytes to look at, from the end; the first line may be cut then. None for no limit.
            since_s: Rotated files that were last written to before are not looked at, in seconds since the Unix epoch.
        """
        for _ in range(_ATTEMPTS):
            self.close()
            known = log_files(self.path)
            kept = [each for each in known[:-1] if each.written_ns >= since_s * 1e9]
            # What is renamed, or compressed, while it is looked for is looked for again.
            with contextlib.suppress(FileNotFoundError):
                self._go_back([*known[-1:], *reversed(kept)], lines, most_bytes)
                return

    def lines(self) -> Iterator[str]:
        """Yield the lines that are whole by now, after those that were read."""
        if self._file is None:
            self._take_first()
        while self._file is not None:
            yield from self._unread(self._file)
            following = self._following(self._file)
            if following is None:
                return
            # The last lines that were written to it before its rotation.
            yield from self._unread(self._file)
            rest = self._rest
            if not self._take_if_there(following):
                continue
            # A line may begin in one file and end in the next: supervisord rotates at a size, not at a line.
            self._rest = rest

    def unfinished(self) -> Iterator[str]:
        """Yield what was read of a line without its end; it is not yielded again."""
        if self._rest:
            rest, self._rest = self._rest, b""
            yield _text(rest)

    def _go_back(self, newest_first: list[LogFile], lines: int, most_bytes: int | None) -> None:
        breaks, left = 0, sys.maxsize if most_bytes is None else most_bytes
        needed: int | None = None
        for each in newest_first:
            file = self._take(each)
            for start, block in _whole(file) if self._is_compressed else _backwards(file, left):
                if needed is None and block:
                    needed = lines + 1 if block.endswith(b"\n") else max(1, lines)
                found = block.count(b"\n")
                if needed is not None and breaks + found >= needed:
                    file.seek(start + (0 if self._is_compressed else _after_break(block, needed - breaks)))
                    return
                breaks, left = breaks + found, left - len(block)
                file.seek(start)
            if left <= 0:
                return

    def _take_first(self) -> None:
        for each in log_files(self.path)[:1]:
            self._take_if_there(each)

    def _take_if_there(self, wanted: LogFile) -> bool:
        try:
            self._take(wanted)
        except FileNotFoundError:
            return False
        return True

    def _take(self, wanted: LogFile) -> BinaryIO:
        """Have a file at hand, from its beginning.

        Raises:
            FileNotFoundError: It was renamed or removed meanwhile; the one before stays at hand.
        """
        opened = (gzip.open if wanted.is_compressed else open)(wanted.path, "rb")
        if os.fstat(opened.fileno()).st_ino != wanted.inode:
            opened.close()
            raise FileNotFoundError(wanted.path)
        self.close()
        self._file, self._is_compressed = cast("BinaryIO", opened), wanted.is_compressed
        return self._file

    def _unread(self, file: BinaryIO) -> Iterator[str]:
        if not self._is_compressed and os.fstat(file.fileno()).st_size < file.tell():
            file.seek(0)
            self._rest = b""
        while block := _read(file):
            *whole, self._rest = (self._rest + block).split(b"\n")
            yield from map(_text, whole)

    def _following(self, file: BinaryIO) -> LogFile | None:
        """Return the file that the log goes on in after this one; None while this one is written to."""
        status = os.fstat(file.fileno())
        if not self._is_compressed and _is_at(self.path, status):
            return None
        known = _settled_log_files(self.path)
        place = next((at for at, each in enumerate(known) if each.inode == status.st_ino), None)
        if place is not None:
            return known[place + 1] if place + 1 < len(known) else None
        # It was compressed, and so has another inode and its old time, or it is not kept any more.
        return next((each for each in known if _is_later(each, status.st_mtime_ns)), None)


def _is_at(path: Path, status: os.stat_result) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), status)
    return False


def _is_later(each: LogFile, written_ns: int) -> bool:
    return each.is_current or each.written_ns > written_ns or (each.written_ns == written_ns and not each.is_compressed)


def tail(path: Path, lines: int, *, most_bytes: int | None = _TAIL_BYTES, since_s: float = 0.0) -> list[str]:
    """Return the last lines of a log, also those that were rotated; none if there is no such log.

    Args:
        path: The log.
        lines: The number of lines.
        most_bytes: The most bytes to read; None for no limit.
        since_s: Rotated files that were last written to before are not read, in seconds since the Unix epoch.
    """
    if not lines:
        return []
    with contextlib.closing(LogReader(path)) as reader:
        reader.seek_last(lines, most_bytes=most_bytes, since_s=since_s)
        return [*reader.lines(), *reader.unfinished()][-lines:]


def number_current(log: Path) -> None:
    """Take the file that a log is written to into its numbering, as the newest; its writer writes to it as before.

    supervisord begins its own numbering with 1. What it has numbered right before is older, so that both kinds are
    archived in one order.

    Raises:
        FileAccessError: The operating system refuses.
    """
    with os_errors_named("rename", log), contextlib.suppress(FileNotFoundError):
        log.rename(log.with_name(f"{log.name}.0"))


def archive_numbered(log: Path, now_s: float) -> None:
    """Take what a log was rotated into out of the numbering of its writer, the oldest first.

    Args:
        log: The log.
        now_s: The time in seconds since the Unix epoch, which becomes part of the names.

    Raises:
        FileAccessError: The operating system refuses.
    """
    while numbered := [each for each in log_files(log) if each.number is not None]:
        oldest = numbered[0]
        path = _archive_path(log, now_s)
        with os_errors_named("rename", oldest.path), contextlib.suppress(FileNotFoundError):
            oldest.path.rename(path)
            if path.stat().st_ino != oldest.inode:
                _put_back(path, log, cast("int", oldest.number))


def _archive_path(log: Path, now_s: float) -> Path:
    moment = datetime.fromtimestamp(now_s, UTC)
    if newest := max((each.archived for each in log_files(log)), default=""):
        # The names keep the order in which the files were written, whatever is done to the clock.
        moment = max(moment, _moment(newest) + timedelta(microseconds=1))
    return log.with_name(f"{log.name}-{moment.strftime(_STAMP_FORMAT)}")


def _put_back(path: Path, log: Path, number: int) -> None:
    """Number a file again that its writer had moved to the place of an older one, which now has a higher number.

    Its place is free, or, where the writer has moved all of them further, the first free one after it.
    """
    for each in itertools.count(number):
        with contextlib.suppress(FileExistsError):
            log.with_name(f"{log.name}.{each}").hardlink_to(path)
            path.unlink()
            return


def compress(each: LogFile) -> None:
    """Compress an archived file that nobody writes to any more; it is there as a whole, once or, after a crash, twice.

    Raises:
        FileAccessError: The operating system refuses; the file is as it was.
    """
    path = each.path.with_name(f"{each.path.name}.gz")
    temporary = each.path.with_name(f".{each.path.name}.gz")
    with os_errors_named("compress", each.path):
        try:
            temporary.unlink(missing_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                with each.path.open("rb") as original, gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed:
                    shutil.copyfileobj(original, packed, _BLOCK_BYTES)
                    written_ns = os.fstat(original.fileno()).st_mtime_ns
                file.flush()
                os.fsync(file.fileno())
            # By its time, a reader that has the original open finds its place.
            os.utime(temporary, ns=(written_ns, written_ns))
            temporary.rename(path)
            each.path.unlink()
        finally:
            temporary.unlink(missing_ok=True)


def _moment(archived: str) -> datetime:
    return datetime.strptime(archived, _STAMP_FORMAT).replace(tzinfo=UTC)


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace")


def _read(file: BinaryIO) -> bytes:
    try:
        return file.read(_BLOCK_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        # Of a damaged archive, the lines before the damage are yielded.
        return b""


def _backwards(file: BinaryIO, most_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Yield the blocks of a file from its end, each with its offset."""
    end = file.seek(0, os.SEEK_END)
    first = max(0, end - most_bytes)
    while end > first:
        start = max(first, end - _BLOCK_BYTES)
        file.seek(start)
        yield start, file.read(end - start)
        end = start


def _whole(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield what a compressed file holds, as one block: to read it backwards is to unpack it again and again."""
    yield 0, b"".join(iter(functools.partial(_read, file), b""))


def _after_break(block: bytes, number: int) -> int:
    """Return the place after one of the line breaks of a block, counted from its end."""
    at = len(block)
    for _ in range(number):
        at = block.rindex(b"\n", 0, at)
    return at + 1
