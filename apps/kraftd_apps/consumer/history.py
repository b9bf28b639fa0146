"""Reading back what is already in the log, with a client that never touches the group."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from confluent_kafka import KafkaError, TopicPartition

from kraftd_apps.consumer.record import SeenRecord, record_of

_CALL_TIMEOUT_S = 2.0
_BATCH = 500
_MAX_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin in a partition: at an offset, or at a time where one is given."""

    partition: int
    offset: int = 0
    timestamp_ms: int | None = None


class Client(Protocol):
    """The part of `confluent_kafka.Consumer` that reads given offsets."""

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int] | None:
        """Return the first and the next offset; None after `timeout` seconds."""

    def offsets_for_times(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Return the first offset at or after each partition's time, which stands in the offset's place."""

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Read these partitions from these offsets."""

    def consume(self, num_messages: int, timeout: float) -> Sequence[Any]:
        """Return up to so many messages, waiting up to so many seconds."""

    def close(self) -> None:
        """Release the client."""


def read_newest(
    client: Client,
    topic: str,
    partitions: Iterable[int],
    *,
    count: int,
    timeout_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> list[SeenRecord]:
    """Return the newest records of each partition, oldest first.

    Args:
        client: Is closed at the end.
        topic: Where to read.
        partitions: Of this topic.
        count: Offsets to go back in each; fewer records come where compaction or transactions left gaps.
        timeout_s: What has not come by then is left out.
        clock: Monotonic seconds.
    """
    deadline_s = clock() + timeout_s
    try:
        starts = []
        for number in partitions:
            marks = client.get_watermark_offsets(TopicPartition(topic, number), timeout=_CALL_TIMEOUT_S)
            if marks and marks[1] > marks[0]:
                starts.append(TopicPartition(topic, number, max(marks[0], marks[1] - count)))
        client.assign(starts)
        return merged(_read_to_end(client, {start.partition for start in starts}, deadline_s, clock))
    finally:
        client.close()


def read_from(
    client: Client,
    topic: str,
    start: Start,
    *,
    limit: int,
    timeout_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> list[SeenRecord]:
    """Return records of one partition in their order, from an offset or a time on.

    An offset before the log's first record means that record. The answer may be short: nothing is waited for at the
    log's end, after `timeout_s` seconds, or beyond 8 MiB.
    """
    deadline_s = clock() + timeout_s
    try:
        offset = _start_offset(client, topic, start)
        if offset is None:
            return []
        client.assign([TopicPartition(topic, start.partition, offset)])
        return _read(client, limit, deadline_s, clock)
    finally:
        client.close()


def _start_offset(client: Client, topic: str, start: Start) -> int | None:
    place = TopicPartition(topic, start.partition)
    if start.timestamp_ms is not None:
        asked = TopicPartition(topic, start.partition, start.timestamp_ms)
        found: int = client.offsets_for_times([asked], timeout=_CALL_TIMEOUT_S)[0].offset
        return found if found >= 0 else None
    marks = client.get_watermark_offsets(place, timeout=_CALL_TIMEOUT_S)
    if not marks or start.offset >= marks[1]:
        return None
    return max(start.offset, marks[0])


def _read(client: Client, limit: int, deadline_s: float, clock: Callable[[], float]) -> list[SeenRecord]:
    found: list[SeenRecord] = []
    size_bytes = 0
    while clock() < deadline_s:
        for message in client.consume(min(limit, _BATCH), 0.02):
            if message.error() is not None:
                if message.error().code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - a public constant
                    return found
                continue
            found.append(record_of(message))
            size_bytes += found[-1].size_bytes
            if len(found) == limit or size_bytes > _MAX_BYTES:
                return found
    return found


def _read_to_end(
    client: Client, partitions: set[int], deadline_s: float, clock: Callable[[], float]
) -> dict[int, list[SeenRecord]]:
    found: dict[int, list[SeenRecord]] = {number: [] for number in partitions}
    pending = set(partitions)
    while pending and clock() < deadline_s:
        for message in client.consume(_BATCH, 0.02):
            error = message.error()
            if error is None:
                found[message.partition()].append(record_of(message))
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - a public constant
                pending.discard(message.partition())
    return found


def merged(by_partition: dict[int, list[SeenRecord]]) -> list[SeenRecord]:
    """Return records of several partitions as one list, oldest first.

    Partitions have no common order but time. Each keeps its own order, also where clients set timestamps that run
    backwards: a record counts as no older than the one before it.
    """
    timed = []
    for number, records in by_partition.items():
        newest_ms = 0
        for record in records:
            newest_ms = max(newest_ms, record.timestamp_ms or 0)
            timed.append((newest_ms, number, record.offset, record))
    return [entry[3] for entry in sorted(timed, key=lambda entry: entry[:3])]
