"""Events of a cluster: a file of JSON lines for each writer, merged when read."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kraftd.clock import Clock
from kraftd.host.files import make_private_directory, os_errors_named, tail
from kraftd.units import timestamp

WRITERS = ("commands", "daemon")
"""The parts of kraftd that record events."""

_MOST_BYTES = 1_048_576
_RECENT_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a cluster.

    Attributes:
        at: RFC 3339, UTC.
        writer: The part of kraftd that recorded it.
        kind: A stable word, such as ``started`` or ``restarted``.
        program: The program concerned; empty for the cluster.
    """

    at: str
    writer: str
    kind: str
    program: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)


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
        entry = {
            "at": timestamp(self._clock.now_s()),
            "writer": self._writer,
            "kind": kind,
            "program": program,
            "text": text,
            **({"facts": facts} if facts else {}),
        }
        make_private_directory(self._path.parent)
        with os_errors_named("write", self._path):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, (json.dumps(entry, ensure_ascii=False) + "\n").encode())
                too_long = os.fstat(descriptor).st_size > _MOST_BYTES
            finally:
                os.close(descriptor)
            if too_long:
                self._path.replace(self._path.with_suffix(".jsonl.1"))


def read_events(directory: Path) -> list[Event]:
    """Return every writer's events, oldest first; a line that a crash cut off is skipped."""
    lines = (
        line
        for path in sorted(directory.glob("*.jsonl*"))
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
    )
    return merged(lines)


def recent_events(directory: Path, most: int) -> list[Event]:
    """Return the newest events, oldest first, without reading whole files."""
    lines = (line for path in sorted(directory.glob("*.jsonl")) for line in tail(path, most, most_bytes=_RECENT_BYTES))
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
                Event(str(raw["at"]), raw["writer"], raw["kind"], raw["program"], raw["text"], raw.get("facts", {}))
            )
        except (ValueError, KeyError, TypeError):
            continue
    return sorted(events, key=lambda event: event.at)
