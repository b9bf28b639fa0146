"""What of a partition a group has not read, and can read: found from the headers of the batches after its commit. Pure.

An offset is not always a record: the marker that ends a transaction takes one, records of an aborted transaction are
skipped by every read_committed consumer, and compaction and retention leave gaps. No commit ever passes a marker at the
end of a log, so that the plain difference to the end would stay forever. Batches are looked at only where a group has
unread offsets and its commit did not move, a bounded number of bytes in a cycle, and each batch once for each commit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from kraftd.kafka.model import FetchedBatches, Partial, Partition, TopicPartition

MOST_LOOKS = 50
"""Partitions in one cycle."""

MOST_BYTES = 1_048_576
"""After so many bytes from a commit on, with a record among them that can be read, offsets count as records."""

LOOK_AGAIN_CYCLES = 60
"""After so many, what was found to be readable is looked at again: compaction may have removed some of it."""

Position = tuple[TopicPartition, int]
"""A partition, and the commit of a group on it."""


@dataclass(frozen=True, slots=True)
class Unread:
    """What was found after a commit.

    Attributes:
        looked_to: The next offset to look at; each batch before it is counted.
        readable: Records before it that can be read. Of a compacted batch in which the commit lies, at most so many.
        first_readable: The offset of the first of them.
        looked_bytes: Bytes of batches before it.
        end: The end of the log when the last stable offset was read.
        stable: The last stable offset: read_committed consumers wait there while a transaction is open.
        looked_in: The cycle of the last look; the oldest come first.
        begun_in: The cycle of the first.
    """

    looked_to: int
    readable: int = 0
    first_readable: int | None = None
    looked_bytes: int = 0
    end: int | None = None
    stable: int | None = None
    looked_in: int = 0
    begun_in: int = 0

    def lag(self, committed: int, end: int) -> int:
        """Return how many records the group can still read; offsets that were not looked at count as records.

        A group whose commit lies beyond the last stable offset reads uncommitted records too.
        """
        until = end
        if self.stable is not None and self.end == end and committed <= self.stable:
            until = min(end, self.stable)
        return self.readable + max(0, until - self.looked_to)

    def first_unread(self) -> int:
        """Return the offset of the first record that can be read, as far as that is known."""
        return self.looked_to if self.first_readable is None else self.first_readable

    def needs_look(self, end: int) -> bool:
        """Return whether there are batches to look at."""
        return self.looked_to < end and (not self.readable or self.looked_bytes < MOST_BYTES)

    def after(self, fetched: FetchedBatches, committed: int, end: int, cycle: int) -> "Unread":
        """Return what is known with further batches."""
        found = replace(self, end=end, stable=fetched.stable)
        aborted = sorted(fetched.aborted, key=lambda each: each.first_offset)
        aborting: set[int] = set()
        for batch in fetched.batches:
            while aborted and aborted[0].first_offset <= batch.last_offset:
                aborting.add(aborted.pop(0).producer_id)
            if batch.is_control:
                aborting.discard(batch.producer_id)
            if batch.last_offset < found.looked_to:
                continue
            # The first batch may hold records from before the commit.
            unread = min(batch.records, batch.last_offset - max(committed, found.looked_to) + 1)
            is_aborted = batch.is_transactional and batch.producer_id in aborting
            if unread > 0 and not batch.is_control and not is_aborted:
                first = max(batch.base_offset, found.looked_to)
                found = replace(
                    found,
                    readable=found.readable + unread,
                    first_readable=first if found.first_readable is None else found.first_readable,
                )
            bytes_so_far = found.looked_bytes + batch.size_bytes
            found = replace(found, looked_to=batch.last_offset + 1, looked_bytes=bytes_so_far, looked_in=cycle)
        # At the last stable offset there is nothing to fetch; an empty answer before it means that there was no room.
        return replace(found, looked_in=cycle) if found.looked_to >= fetched.stable else found


@dataclass(slots=True)
class UnreadMemory:
    """What was found after each commit that does not move; it lasts as long as the commit.

    Attributes:
        found: What was found, complete or not.
        fewer: Of these, where a group can read fewer records than there are offsets; most often none.
    """

    found: dict[Position, Unread] = field(default_factory=dict)
    fewer: dict[Position, Unread] = field(default_factory=dict)
    _cycle: int = 0

    def questions(
        self,
        positions: Iterable[Position],
        partitions: Mapping[TopicPartition, Partition],
        ends: Mapping[TopicPartition, int],
        starts: Mapping[TopicPartition, int],
    ) -> list[tuple[Partition, int]]:
        """Return which batches to fetch now, from which offsets on: one place in a partition at most.

        Args:
            positions: Where a commit is before the end and did not move.
            partitions: Those that have a leader now.
            ends: The end offsets.
            starts: The start offsets: what is before them was deleted.
        """
        self._cycle += 1
        self.found = {
            (key, committed): self._known(key, committed, starts.get(key, 0))
            for key, committed in positions
            if key in partitions
        }
        wanted: dict[TopicPartition, Unread] = {}
        for (key, _), unread in self.found.items():
            if unread.needs_look(ends[key]) and (key not in wanted or _turn(unread) < _turn(wanted[key])):
                wanted[key] = unread
        chosen = sorted(wanted, key=lambda key: wanted[key].looked_in)[:MOST_LOOKS]
        return [(partitions[key], wanted[key].looked_to) for key in chosen]

    def _known(self, key: TopicPartition, committed: int, start: int) -> Unread:
        found = self.found.get((key, committed))
        if found is None or found.first_unread() < start:
            # Retention may have deleted what was counted.
            return Unread(max(committed, start), begun_in=self._cycle)
        if found.readable and self._cycle - found.begun_in >= LOOK_AGAIN_CYCLES:
            return Unread(found.first_unread(), begun_in=self._cycle)
        return found

    def forget(self, key: TopicPartition) -> None:
        """Forget what was found in a log that is gone."""
        for of_log in (self.found, self.fewer):
            for position in [position for position in of_log if position[0] == key]:
                del of_log[position]

    def compare(self, ends: Mapping[TopicPartition, int]) -> None:
        """Note where fewer records can be read than there are offsets."""
        self.fewer = {
            (key, committed): unread
            for (key, committed), unread in self.found.items()
            if unread.lag(committed, ends[key]) < ends[key] - committed
        }

    def store(
        self,
        questions: Iterable[tuple[Partition, int]],
        answers: Partial[TopicPartition, FetchedBatches],
        ends: Mapping[TopicPartition, int],
    ) -> None:
        """Store the answers to ``questions()``: they tell something of every commit after the offset asked for."""
        asked = {partition.key: offset for partition, offset in questions}
        for (key, committed), unread in self.found.items():
            if key in answers.values and asked[key] <= unread.looked_to:
                self.found[key, committed] = unread.after(answers.values[key], committed, ends[key], self._cycle)


def _turn(unread: Unread) -> tuple[int, int]:
    return unread.looked_in, unread.looked_to
