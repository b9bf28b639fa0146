"""The newest records, in memory: filled by the polling thread, read by the loop's."""

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from kraftd_apps.consumer.record import SeenRecord

MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """A record and its number in the order of arrival here; records read back from before the start count down."""

    sequence: int
    record: SeenRecord
    time_ms: int
    """When it counts as written: its timestamp, but neither before its predecessor in the partition nor after its
    arrival, because clients may set any timestamp."""


class Ring:
    """Holds the newest records, bounded by number and by bytes; keeps each record once."""

    def __init__(
        self,
        max_records: int,
        max_bytes: int = MAX_BYTES,
        now_ms: Callable[[], int] = lambda: round(time.time() * 1000),
    ) -> None:
        self._now_ms = now_ms
        self._latest_ms: dict[int, int] = {}
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._entries: deque[Entry] = deque()
        self._places: dict[tuple[int, int, int | None], Entry] = {}
        self._bytes = 0
        self._next = 1
        self._before = 0
        self._lock = threading.Lock()

    def add(self, records: Iterable[SeenRecord]) -> list[Entry]:
        """Append records, the newest last, and return those that had not arrived yet.

        A record that was read back before it arrived takes its place among the arrived ones.
        """
        added = []
        with self._lock:
            for record in records:
                known = self._places.get(record.place)
                if known is not None:
                    if known.sequence > 0:
                        continue
                    self._entries.remove(known)
                    self._forget(known)
                entry = Entry(self._next, record, self._time_ms(record))
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
                entry = Entry(self._before, record, min(record.timestamp_ms or 0, self._now_ms()))
                self._keep(entry)
                if self._too_full():
                    self._forget(entry)
                    return
                self._before -= 1
                self._entries.appendleft(entry)

    @property
    def last_sequence(self) -> int:
        """The number of the newest record that arrived; 0 before the first."""
        return self._next - 1

    def since(self, sequence: int) -> tuple[list[Entry], int]:
        """Return the entries after a sequence number, oldest first, and how many after it are forgotten already."""
        with self._lock:
            missed = [entry for entry in self._entries if entry.sequence > max(sequence, 0)]
            return missed, max(0, self._next - 1 - max(sequence, 0)) - len(missed)

    def find(self, partition: int, offset: int) -> SeenRecord | None:
        """Return a record by its place, if it is here."""
        with self._lock:
            for entry in reversed(self._entries):
                if (entry.record.partition, entry.record.offset) == (partition, offset):
                    return entry.record
        return None

    def newest(self, count: int) -> list[Entry]:
        """Return up to this many entries, the newest first.

        Partitions have no common order but time: a member that catches up gets them one after the other.
        """
        with self._lock:
            return heapq.nlargest(count, self._entries, key=lambda entry: (entry.time_ms, entry.sequence))

    def _time_ms(self, record: SeenRecord) -> int:
        now_ms = self._now_ms()
        stamped_ms = now_ms if record.timestamp_ms is None else min(record.timestamp_ms, now_ms)
        time_ms = max(stamped_ms, self._latest_ms.get(record.partition, 0))
        self._latest_ms[record.partition] = time_ms
        return time_ms

    def _keep(self, entry: Entry) -> None:
        self._places[entry.record.place] = entry
        self._bytes += entry.record.memory_bytes

    def _forget(self, entry: Entry) -> None:
        self._places.pop(entry.record.place, None)
        self._bytes -= entry.record.memory_bytes

    def _too_full(self) -> bool:
        return len(self._places) > self._max_records or self._bytes > self._max_bytes
