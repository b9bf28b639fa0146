"""Batches that cannot be decoded: what the app asks about them, and what it says."""

import logging
from collections.abc import Callable

from confluent_kafka import KafkaException

from kraftd.damage import Batch

logger = logging.getLogger(__name__)


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
