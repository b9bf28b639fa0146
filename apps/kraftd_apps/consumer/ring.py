"""The ring of the newest records in memory, filled by the polling thread and read by the loop's."""

import heapq
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from kraftd_apps.consumer.record import SeenRecord

MAX_BYTES = 16 * 1024 * 1024

Place = tuple[int, int, int | None]


@dataclass(frozen=True, slots=True)
class Entry:
    """A record and its number in the order of arrival; records from before the start have decreasing numbers."""

    sequence: int
    record: SeenRecord
    time_ms: int
    """The effective time of writing: its timestamp, limited to the range from its predecessor in the partition to its
    arrival, because clients may set any timestamp."""


class Ring:
    """The newest records by time, bounded by number and by bytes, each kept once.

    Partitions have no common order except time: a member that catches up reads one partition after the other, and
    older records of the last must not displace newer ones of the first.
    """

    def __init__(
        self,
        max_records: int,
        max_bytes: int = MAX_BYTES,
        now_ms: Callable[[], int] = lambda: round(time.time() * 1000),
    ) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._now_ms = now_ms
        self._entries: dict[Place, Entry] = {}
        self._oldest_first: list[tuple[int, int, Place]] = []
        self._latest_ms: dict[int, int] = {}
        self._bytes = 0
        self._next = 1
        self._before = 0
        self._lock = threading.Lock()

    def add(self, records: Iterable[SeenRecord]) -> list[Entry]:
        """Add records that arrive, and return those that had not arrived yet.

        A record that was already added as older becomes an arrived one.
        """
        added = []
        with self._lock:
            for record in records:
                known = self._entries.get(record.place)
                if known is not None:
                    if known.sequence > 0:
                        continue
                    self._forget(known.record.place)
                entry = Entry(self._next, record, self._time_ms(record))
                self._next += 1
                self._keep(entry)
                added.append(entry)
            self._shrink()
        return added

    def add_older(self, records: Sequence[SeenRecord]) -> None:
        """Add records from before the start, latest last, as far as there is room."""
        with self._lock:
            for record in reversed(records):
                if record.place not in self._entries:
                    self._keep(Entry(self._before, record, min(record.timestamp_ms or 0, self._now_ms())))
                    self._before -= 1
            self._shrink()

    @property
    def last_sequence(self) -> int:
        """The number of the newest record that arrived; 0 before the first."""
        return self._next - 1

    def since(self, sequence: int) -> tuple[list[Entry], int]:
        """Return the entries after a sequence number, in order, and the number of those no longer in memory."""
        seen = max(sequence, 0)
        with self._lock:
            missed = [entry for entry in self._entries.values() if entry.sequence > seen]
            forgotten = max(0, self._next - 1 - seen) - len(missed)
        return sorted(missed, key=lambda entry: entry.sequence), forgotten

    def find(self, partition: int, offset: int) -> SeenRecord | None:
        """Return the last added record at an offset; None if none is in memory.

        An offset has several where the topic was deleted and recreated.
        """
        with self._lock:
            for record in (entry.record for entry in reversed(self._entries.values())):
                if (record.partition, record.offset) == (partition, offset):
                    return record
        return None

    def newest(self, count: int) -> list[Entry]:
        """Return up to `count` entries, latest first."""
        with self._lock:
            return heapq.nlargest(count, self._entries.values(), key=lambda entry: (entry.time_ms, entry.sequence))

    def _time_ms(self, record: SeenRecord) -> int:
        now_ms = self._now_ms()
        stamped_ms = now_ms if record.timestamp_ms is None else min(record.timestamp_ms, now_ms)
        time_ms = max(stamped_ms, self._latest_ms.get(record.partition, 0))
        self._latest_ms[record.partition] = time_ms
        return time_ms

    def _keep(self, entry: Entry) -> None:
        place = entry.record.place
        self._entries[place] = entry
        heapq.heappush(self._oldest_first, (entry.time_ms, entry.sequence, place))
        self._bytes += entry.record.memory_bytes

    def _forget(self, place: Place) -> None:
        self._bytes -= self._entries.pop(place).record.memory_bytes

    def _shrink(self) -> None:
        while len(self._entries) > 1 and (len(self._entries) > self._max_records or self._bytes > self._max_bytes):
            _, sequence, place = heapq.heappop(self._oldest_first)
            kept = self._entries.get(place)
            if kept is not None and kept.sequence == sequence:
                self._forget(place)
