"""Partitions whose last stable offset does not move: an open transaction holds back what was written after it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kraftd.kafka.model import OpenTransaction, Partial, Partition, TopicPartition

HELD_S = 8.0
"""A last stable offset that stayed so long before the end is asked about; a busy producer's moves all the time."""

ASK_AGAIN_S = 60.0
MOST_ASKED = 20
"""Partitions in one cycle."""


@dataclass(slots=True)
class HeldMemory:
    """Remembers which partitions are held back, since when, and by which transaction."""

    transactions: dict[TopicPartition, OpenTransaction] = field(default_factory=dict)
    _since: dict[TopicPartition, tuple[int, float]] = field(default_factory=dict)
    _ask_at_s: dict[TopicPartition, float] = field(default_factory=dict)

    def observe(
        self, stable: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int], monotonic_s: float
    ) -> None:
        """Note the last stable offsets that were read now, with end offsets from before them."""
        for key in [key for key in self._since if key not in ends]:
            self._forget(key)
        for key, offset in stable.items():
            known = self._since.get(key)
            if known is not None and known[0] == offset < ends.get(key, offset):
                continue
            self._forget(key)
            if offset < ends.get(key, offset):
                self._since[key] = (offset, monotonic_s)

    def questions(self, partitions: Mapping[TopicPartition, Partition], monotonic_s: float) -> list[Partition]:
        """Return the partitions whose open transaction to ask for: once each, and later again where none was found."""
        due = [
            key
            for key, (_, since_s) in self._since.items()
            if key in partitions
            and key not in self.transactions
            and monotonic_s - since_s >= HELD_S
            and monotonic_s >= self._ask_at_s.get(key, 0.0)
        ][:MOST_ASKED]
        self._ask_at_s |= dict.fromkeys(due, monotonic_s + ASK_AGAIN_S)
        return [partitions[key] for key in due]

    def store(self, answers: Partial[TopicPartition, OpenTransaction]) -> None:
        """Store the open transactions that were found."""
        self.transactions |= answers.values

    def _forget(self, key: TopicPartition) -> None:
        self._since.pop(key, None)
        self._ask_at_s.pop(key, None)
        self.transactions.pop(key, None)
