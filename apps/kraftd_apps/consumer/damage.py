"""Batches that cannot be decoded: how they are noticed, and what the app knows of them."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaException

DAMAGED = "the bytes of the batch do not match its checksum"
MISPLACED = "the header of the batch says that it lies elsewhere"
UNKNOWN_FORMAT = "the format of the batch is unknown"
NOT_FOUND = "the log is damaged on disk: the broker finds no batch at this offset"
REFUSED = "the log is damaged on disk: the broker answers CORRUPT_MESSAGE for this offset"
STALLED_S = 3.0
_LONGEST_PAUSE_S = 60.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """A record batch in the log, or offsets at which the broker finds none though the log goes on."""

    content: bytes
    """Empty where no batch is found."""
    first: int
    """Its first offset."""
    end: int
    """The first offset after it."""
    fault: str = ""
    """Why it cannot be read; empty if it can."""
    is_end_known: bool = True
    """False where nothing behind it can be read either, up to the end of the log."""


ReadBatch = Callable[[int, int, float], Batch | None]
"""Returns the batch of a partition that contains an offset, or the next one; None at the end of the log.

The last argument is the timeout in seconds. Blocks; raises KafkaException if the brokers do not answer, or refuse.
"""


def known_batch(read_batch: ReadBatch, partition: int, offset: int, timeout_s: float) -> Batch | None:
    """Return the batch at an offset; None also if it cannot be read, which is logged."""
    try:
        return read_batch(partition, offset, timeout_s)
    except KafkaException as error:
        logger.info("The batch at %d:%d cannot be read: %s", partition, offset, error)
        return None


def held_back(partition: int, batch: Batch) -> str:
    """Return the sentence about a partition that cannot be read on."""
    return (
        f"partition {partition} cannot be read from offset {batch.first} on: {batch.fault}, "
        f"nor at any other up to the end of the log at {batch.end}"
    )


@dataclass(frozen=True, slots=True)
class _Stay:
    position: int
    due_s: float
    pause_s: float


class Stalls:
    """Watches positions, and names each that has not moved for a while, then after pauses that double.

    librdkafka drops some damaged batches silently, and fetches them for ever.
    """

    def __init__(self) -> None:
        self._stays: dict[int, _Stay] = {}

    def noted(self, positions: Mapping[int, int], now_s: float) -> list[tuple[int, int]]:
        """Take the positions of all partitions with unread records, and return which of them are to be looked at now.

        Args:
            positions: The next offset to read, by partition.
            now_s: Monotonic time.
        """
        due, stays = [], {}
        for partition, position in positions.items():
            stay = self._stays.get(partition)
            if stay is None or stay.position != position:
                stay = _Stay(position, now_s + STALLED_S, STALLED_S)
            elif now_s >= stay.due_s:
                due.append((partition, position))
                pause_s = min(_LONGEST_PAUSE_S, stay.pause_s * 2)
                stay = _Stay(position, now_s + pause_s, pause_s)
            stays[partition] = stay
        self._stays = stays
        return due
