"""Events of a cluster: a file of JSON lines for each writer, merged when read, and followed through rotation."""

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kraftd.clock import Clock
from kraftd.host.environment import user_name
from kraftd.host.files import make_private_directory, open_for_owner, os_errors_named
from kraftd.host.logs import LogReader, tail
from kraftd.units import timestamp

COMMANDS = "commands"
WRITERS = (COMMANDS, "daemon")
"""The parts of kraftd that record events."""

_MOST_BYTES = 1_048_576
_RECENT_BYTES = 65_536
_LAST_LINES = 3

_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a cluster.

    Attributes:
        at: RFC 3339, UTC.
        writer: The part of kraftd that recorded it.
        kind: A stable word, such as ``started`` or ``restarted``.
        program: The program concerned; empty for the cluster.
        number: Counts the events of its writer; a gap is what a rotation has dropped. 0 in records of an older kraftd.
        who: The user and the process that recorded it, as ``ada (pid 4711)``.
    """

    at: str
    writer: str
    kind: str
    program: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0
    who: str = ""


class EventLog:
    """Appends the events of one writer."""

    def __init__(self, directory: Path, writer: str, clock: Clock) -> None:
        self._path = event_file(directory, writer)
        self._writer = writer
        self._clock = clock

    def record(self, kind: str, text: str, *, program: str = "", **facts: Any) -> None:
        """Append an event in one write, so that lines of two processes never mix; a full file is rotated.

        Raises:
            FileAccessError: The file cannot be written.
        """
        make_private_directory(self._path.parent)
        with os_errors_named("write", self._path):
            descriptor = _locked(self._path)
            try:
                self._append(descriptor, kind, text, program, facts)
                too_long = os.fstat(descriptor).st_size > _MOST_BYTES
                if too_long:
                    self._path.replace(_rotated(self._path))
            finally:
                os.close(descriptor)

    def _append(self, descriptor: int, kind: str, text: str, program: str, facts: Mapping[str, Any]) -> None:
        entry = {
            "at": timestamp(self._clock.now_s()),
            "number": _last_number(self._path) + 1,
            "writer": self._writer,
            "who": f"{user_name()} (pid {os.getpid()})",
            "kind": kind,
            "program": program,
            "text": text,
            **({"facts": facts} if facts else {}),
        }
        _append_line(descriptor, json.dumps(entry, ensure_ascii=False).encode("utf-8", "backslashreplace"))


def _locked(path: Path) -> int:
    """Return the descriptor of a file of events, which no other process appends to or rotates until it is closed."""
    while True:
        descriptor = open_for_owner(path, os.O_RDWR | os.O_APPEND)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        # It was rotated meanwhile.
        os.close(descriptor)


def _append_line(descriptor: int, line: bytes) -> None:
    """Append a line as a whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    size = os.fstat(descriptor).st_size
    # What a crash left of the line before must not become a part of this one.
    is_cut_off = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
    text = b"\n" * is_cut_off + line + b"\n"
    if os.write(descriptor, text) < len(text):
        # The disk became full in the middle of it: the system tells that only to the next one that writes.
        os.ftruncate(descriptor, size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _last_number(path: Path) -> int:
    """Return the number of the newest event, which may be in the file that was rotated; 0 where none has one."""
    for line in reversed(tail(path, _LAST_LINES, most_bytes=None)):
        # A crash may have cut a line off.
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return int(json.loads(line)["number"])
    return 0


def _rotated(path: Path) -> Path:
    return path.with_suffix(".jsonl.1")


def read_events(directory: Path) -> list[Event]:
    """Return every writer's events, oldest first; a line that a crash cut off is skipped."""
    lines = (
        line
        for path in sorted(directory.glob("*.jsonl*"))
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
    )
    return merged(lines)


def recent_events(directory: Path, most: int) -> list[Event]:
    """Return the newest events, oldest first, without reading whole files; none of a file that is another user's."""
    lines: list[str] = []
    for path in sorted(directory.glob("*.jsonl")):
        with contextlib.suppress(PermissionError):
            lines += tail(path, most, most_bytes=_RECENT_BYTES)
    return merged(lines)[-most:] if most else []


def event_file(directory: Path, writer: str) -> Path:
    """Return the file that a writer appends to; a full one is renamed to the same name with ``.1``."""
    return directory / f"{writer}.jsonl"


def merged(lines: Iterable[str]) -> list[Event]:
    """Return the events of some lines, oldest first; a line that a crash cut off is skipped."""
    events = []
    for line in lines:
        try:
            raw = json.loads(line)
            events.append(
                Event(
                    *(str(raw["at"]), raw["writer"], raw["kind"], raw["program"], raw["text"], raw.get("facts", {})),
                    *(int(raw.get("number", 0)), str(raw.get("who", ""))),
                )
            )
        except (ValueError, KeyError, TypeError):
            continue
    return sorted(events, key=lambda event: event.at)


def events_since(directory: Path, since_s: float) -> list[Event]:
    """Return the events that are kept, oldest first.

    Args:
        directory: The cluster's directory of events.
        since_s: The earliest time of interest, in seconds since the Unix epoch.
    """
    return list(_since(read_events(directory), since_s))


class EventFollower:
    """The events of a cluster as they are recorded; none is lost or repeated."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._followed = [LogReader(event_file(directory, writer)) for writer in WRITERS]
        for each in self._followed:
            each.seek_since(0.0)

    def close(self) -> None:
        """Close the files."""
        for each in self._followed:
            each.close()

    def kept(self, since_s: float) -> list[Event]:
        """Return what was recorded before and is kept, oldest first; called once, and first."""
        return list(_since(self.new(), since_s))

    def new(self) -> list[Event]:
        """Return what was recorded since the last call, oldest first."""
        return merged(line for each in self._followed for line in each.lines())


def follow_events(directory: Path, since_s: float, clock: Clock) -> Iterator[Event]:
    """Yield the events that are kept, and then those that are recorded, forever; none is lost or repeated."""
    with contextlib.closing(EventFollower(directory)) as follower:
        yield from follower.kept(since_s)
        while True:
            yield from follower.new()
            clock.sleep(_POLL_S)


def _since(events: Iterable[Event], since_s: float) -> Iterator[Event]:
    # Both have one form, so that their order is that of their texts.
    earliest = timestamp(max(0.0, since_s))
    return (event for event in events if event.at >= earliest)
