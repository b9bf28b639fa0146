"""Reading of the topic's log without the group: the newest records, and parts from an offset or a time on."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from kraftd.web.background import in_thread
from kraftd_apps.common.problems import Problem, ProblemError, problem
from kraftd_apps.consumer.record import SeenRecord, record_of
from kraftd_apps.consumer.ring import Ring

_CALL_TIMEOUT_S = 2.0
_BATCH = 500
_MAX_BYTES = 8 * 1024 * 1024
_TAIL_RECORDS = 25
_TAIL_TIMEOUT_S = 5.0
_TAIL_PAUSES_S = (0.5, 1.0, 2.0, 4.0)
_HISTORY_TIMEOUT_S = 2.0
_READERS = 4

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """A start position in a partition: an offset, or a time if given."""

    partition: int
    offset: int = 0
    timestamp_ms: int | None = None


class ReadingClient(Protocol):
    """The part of `confluent_kafka.Consumer` that reads given offsets."""

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int] | None:
        """Return the first and the next offset; None after `timeout` seconds."""

    def offsets_for_times(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Return the first offset at or after each partition's time, which is given as its offset."""

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Read these partitions from these offsets."""

    def consume(self, num_messages: int, timeout: float) -> Sequence[Any]:
        """Return up to `num_messages` messages, waiting at most `timeout` seconds."""

    def close(self) -> None:
        """Release the client."""


class Log:
    """Reads the topic without the group, with a few readers at a time, each with its own client."""

    def __init__(self, connect: Callable[[], ReadingClient], topic: str, ring: Ring) -> None:
        self._connect = connect
        self._topic = topic
        self._ring = ring
        self._places = asyncio.Semaphore(_READERS)
        self._tail_read = asyncio.Event()

    async def read_tail(self, partitions: tuple[int, ...]) -> None:
        """Put the newest records of these partitions into the ring, as older than those that have arrived since.

        Retries for some seconds, because a new topic has no leaders yet.
        """
        for pause_s in (*_TAIL_PAUSES_S, None):
            try:
                if partitions:
                    self._ring.add_older(await in_thread(self._newest, partitions))
            except KafkaException as error:
                logger.info("Reading the end of the log failed: %s", error)
            else:
                return
            finally:
                self._tail_read.set()
            if pause_s is not None:
                await asyncio.sleep(pause_s)
        logger.warning("The end of the log was not read")

    async def tail_was_read(self, timeout_s: float) -> None:
        """Wait for the first `read_tail`, at most `timeout_s` seconds."""
        try:
            await asyncio.wait_for(self._tail_read.wait(), timeout_s)
        except TimeoutError:
            logger.debug("The end of the log has not been read yet")

    async def read(self, start: Start, limit: int) -> list[SeenRecord]:
        """Return records of a partition from an offset or a time on.

        Raises:
            ProblemError: Kafka does not answer, or the partition does not exist.
        """
        async with self._places:
            try:
                return await in_thread(self._from, start, limit)
            except KafkaException as error:
                raise ProblemError(_problem_of(error, start)) from error

    async def find(self, partition: int, offset: int) -> SeenRecord:
        """Return the record at an offset.

        Raises:
            ProblemError: The record does not exist, or Kafka does not answer.
        """
        record = self._ring.find(partition, offset)
        if record is None:
            found = await self.read(Start(partition, offset), 1)
            record = found[0] if found and found[0].offset == offset else None
        if record is None:
            raise ProblemError(problem("not_found", f"there is no record at {partition}:{offset}"))
        return record

    def _newest(self, partitions: tuple[int, ...]) -> list[SeenRecord]:
        client = self._connect()
        return read_newest(client, self._topic, partitions, count=_TAIL_RECORDS, timeout_s=_TAIL_TIMEOUT_S)

    def _from(self, start: Start, limit: int) -> list[SeenRecord]:
        return read_from(self._connect(), self._topic, start, limit=limit, timeout_s=_HISTORY_TIMEOUT_S)


def _problem_of(error: KafkaException, start: Start) -> Problem:
    name = error.args[0].name()
    detail = f"{name}: {error.args[0].str()}"
    if name in {"_UNKNOWN_PARTITION", "UNKNOWN_TOPIC_OR_PART"}:
        return problem("not_found", f"there is no partition {start.partition}: {detail}")
    return problem("brokers_down", detail)


def read_newest(
    client: ReadingClient,
    topic: str,
    partitions: Iterable[int],
    *,
    count: int,
    timeout_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> list[SeenRecord]:
    """Return the newest records of each partition, oldest first.

    Args:
        client: The client to read with, which is closed at the end.
        topic: The topic.
        partitions: The partitions to read.
        count: Offsets to go back in each; gaps from compaction or transactions yield fewer records.
        timeout_s: Records that have not arrived by then are left out.
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
    client: ReadingClient,
    topic: str,
    start: Start,
    *,
    limit: int,
    timeout_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> list[SeenRecord]:
    """Return records of a partition in log order, from an offset or a time on.

    An offset before the log's first record means that record. Fewer than `limit` records are returned at the log's
    end, after `timeout_s` seconds, or beyond 8 MiB.
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


def _start_offset(client: ReadingClient, topic: str, start: Start) -> int | None:
    place = TopicPartition(topic, start.partition)
    if start.timestamp_ms is not None:
        asked = TopicPartition(topic, start.partition, start.timestamp_ms)
        found: int = client.offsets_for_times([asked], timeout=_CALL_TIMEOUT_S)[0].offset
        return found if found >= 0 else None
    marks = client.get_watermark_offsets(place, timeout=_CALL_TIMEOUT_S)
    if not marks or start.offset >= marks[1]:
        return None
    return max(start.offset, marks[0])


def _read(client: ReadingClient, limit: int, deadline_s: float, clock: Callable[[], float]) -> list[SeenRecord]:
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
    client: ReadingClient, partitions: set[int], deadline_s: float, clock: Callable[[], float]
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

    Partitions have no common order except time. Each keeps its own order even if clients set decreasing timestamps,
    because a record counts as no older than its predecessor.
    """
    timed = []
    for number, records in by_partition.items():
        newest_ms = 0
        for record in records:
            newest_ms = max(newest_ms, record.timestamp_ms or 0)
            timed.append((newest_ms, number, record.offset, record))
    return [entry[3] for entry in sorted(timed, key=lambda entry: entry[:3])]
