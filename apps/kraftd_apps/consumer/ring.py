"""The newest records, in memory: filled by the polling thread, read by the loop's."""

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from kraftd_apps.consumer.record import SeenRecord

MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """A record and its number in the order of arrival here; records read back from before the start count down."""

    sequence: int
    record: SeenRecord


class Ring:
    """Holds the newest records, bounded by number and by bytes; keeps each record once."""

    def __init__(self, max_records: int, max_bytes: int = MAX_BYTES) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._entries: deque[Entry] = deque()
        self._places: set[tuple[int, int, int | None]] = set()
        self._bytes = 0
        self._next = 1
        self._before = 0
        self._lock = threading.Lock()

    def add(self, records: Iterable[SeenRecord]) -> list[Entry]:
        """Append records, the newest last, and return those that were not there yet."""
        added = []
        with self._lock:
            for record in records:
                if record.place in self._places:
                    continue
                entry = Entry(self._next, record)
                self._next += 1
                self._keep(entry)
                self._entries.append(entry)
                added.append(entry)
            while self._too_full() and len(self._entries) > 1:
                self._forget(self._entries.popleft())
        return added

    def add_older(self, records: Sequence[SeenRecord]) -> None:
        """Put records before all others, as far as there is room; the newest of them last."""
        with self._lock:
            for record in reversed(records):
                if record.place in self._places:
                    continue
                entry = Entry(self._before, record)
                self._keep(entry)
                if self._too_full():
                    self._forget(entry)
                    return
                self._before -= 1
                self._entries.appendleft(entry)

    def newest(self, count: int) -> list[Entry]:
        """Return up to this many entries, the newest first."""
        with self._lock:
            return list(islice(reversed(self._entries), count))

    def _keep(self, entry: Entry) -> None:
        self._places.add(entry.record.place)
        self._bytes += entry.record.memory_bytes

    def _forget(self, entry: Entry) -> None:
        self._places.discard(entry.record.place)
        self._bytes -= entry.record.memory_bytes

    def _too_full(self) -> bool:
        return len(self._places) > self._max_records or self._bytes > self._max_bytes
