"""Reading of the topic's log without the group: the newest records, and parts from an offset or a time on."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from kraftd.damage import Batch
from kraftd.web.background import in_thread
from kraftd_apps.common.problems import Problem, ProblemError, problem
from kraftd_apps.consumer.record import SeenRecord, is_end, is_refused, is_undecodable, record_of, undecodable
from kraftd_apps.consumer.ring import Ring

_CALL_TIMEOUT_S = 2.0
_BATCH = 500
_MAX_BYTES = 8 * 1024 * 1024
_TAIL_RECORDS = 25
_TAIL_TIMEOUTS_S = (5.0, 10.0, 20.0, 40.0, 40.0)
"""One for each attempt: a log with much damage on a busy machine takes long, and each attempt begins anew."""
_TAIL_PAUSE_S = 2.0
_HISTORY_TIMEOUT_S = 2.0
_BATCH_TIMEOUT_S = 2.0
_SILENT_S = 0.5
"""A broker that has not answered for this time may have a batch that librdkafka drops without a word."""
_READERS = 4
_STEP_GROWTH = 4

logger = logging.getLogger(__name__)

ReadBatch = Callable[[int, int, float], Batch | None]
"""Returns the batch of a partition that contains an offset, or the next one; None at the end of the log.

The last argument is the timeout in seconds. Blocks; raises KafkaException if the brokers do not answer, or refuse.
"""


def batch_or_none(read_batch: ReadBatch, partition: int, offset: int, timeout_s: float) -> Batch | None:
    """Return the batch at an offset; None also if it cannot be read, which is logged."""
    try:
        return read_batch(partition, offset, timeout_s)
    except KafkaException as error:
        logger.info("The batch at %d:%d cannot be read: %s", partition, offset, error)
        return None


@dataclass(frozen=True, slots=True)
class Start:
    """A start position in a partition: an offset, or a time if given."""

    partition: int
    offset: int = 0
    timestamp_ms: int | None = None


class NoAnswerError(KafkaException):
    """The brokers did not answer in time."""

    def __init__(self) -> None:
        super().__init__(KafkaError(KafkaError._TIMED_OUT, "no answer in time"))  # noqa: SLF001 - a public constant


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

    def __init__(
        self,
        connect: Callable[[], ReadingClient],
        read_batch: ReadBatch,
        topic: str,
        ring: Ring,
        *,
        tail_timeouts_s: Sequence[float] = _TAIL_TIMEOUTS_S,
        tail_pause_s: float = _TAIL_PAUSE_S,
    ) -> None:
        self._connect = connect
        self._read_batch = read_batch
        self._topic = topic
        self._ring = ring
        self._tail_timeouts_s = tail_timeouts_s
        self._tail_pause_s = tail_pause_s
        self._places = asyncio.Semaphore(_READERS)
        self._tail_read = asyncio.Event()
        self.tail_fault = "the end of the log has not been read yet"

    async def read_tail(self, partitions: tuple[int, ...]) -> None:
        """Put the newest records of these partitions into the ring, as older than those that have arrived since.

        Repeats that, with more time for each attempt: a new topic has no leaders yet, and damage takes time to pass.
        """
        for timeout_s in self._tail_timeouts_s:
            self.tail_fault = await self._read_tail(partitions, timeout_s)
            self._tail_read.set()
            if not self.tail_fault:
                return
            logger.info("Reading the end of the log failed: %s", self.tail_fault)
            await asyncio.sleep(self._tail_pause_s)
        logger.warning("The end of the log was not read")

    async def _read_tail(self, partitions: tuple[int, ...], timeout_s: float) -> str:
        """Read the end of the log once, and return why it could not be read; empty if it could."""
        if not partitions:
            return ""
        try:
            records, is_complete = await in_thread(self._newest, partitions, timeout_s)
        except KafkaException as error:
            return f"the end of the log cannot be read: {error.args[0].str()}"
        self._ring.add_older(records)
        return "" if is_complete else "the end of the log cannot be read: no answer in time"

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
            is_there = found and (found[0].offset == offset or (found[0].fault and found[0].offset < offset))
            record = found[0] if is_there else None
        if record is None:
            raise ProblemError(problem("not_found", f"there is no record at {partition}:{offset}"))
        return record

    async def batch(self, partition: int, offset: int) -> Batch:
        """Return the batch that contains an offset, also one that cannot be decoded.

        Raises:
            ProblemError: There is none, or Kafka does not answer.
        """
        async with self._places:
            try:
                found = await in_thread(self._read_batch, partition, offset, _BATCH_TIMEOUT_S)
            except KafkaException as error:
                raise ProblemError(_problem_of(error, Start(partition, offset))) from error
        if found is None or found.first > offset:
            raise ProblemError(problem("not_found", f"there is no batch at {partition}:{offset}"))
        if not found.content:
            raise ProblemError(problem("undecodable_record", f"{partition}:{offset}: {found.fault}"))
        return found

    def _newest(self, partitions: tuple[int, ...], timeout_s: float) -> tuple[list[SeenRecord], bool]:
        with self._reading(timeout_s) as reading:
            return reading.newest(partitions, _TAIL_RECORDS)

    def _from(self, start: Start, limit: int) -> list[SeenRecord]:
        with self._reading(_HISTORY_TIMEOUT_S) as reading:
            return reading.from_start(start, limit)

    @contextlib.contextmanager
    def _reading(self, timeout_s: float) -> Iterator["LogReading"]:
        client = self._connect()
        try:
            yield LogReading(client, self._read_batch, self._topic, time.monotonic() + timeout_s)
        finally:
            client.close()


def _problem_of(error: KafkaException, start: Start) -> Problem:
    name = error.args[0].name()
    detail = f"{name}: {error.args[0].str()}"
    if name in {"_UNKNOWN_PARTITION", "UNKNOWN_TOPIC_OR_PART"}:
        return problem("not_found", f"there is no partition {start.partition}: {detail}")
    if name == "OFFSET_OUT_OF_RANGE":
        return problem("not_found", f"there is nothing at {start.partition}:{start.offset}: {detail}")
    return problem("brokers_down", detail)


@dataclass(slots=True)
class _Tail:
    """The newest records of a partition, as far as they have been read."""

    log_start: int
    until: int
    """Everything from this offset on has been read."""
    records: list[SeenRecord]


@dataclass(frozen=True, slots=True)
class LogReading:
    """One reading of the topic's log, which must end at a monotonic time."""

    client: ReadingClient
    read_batch: ReadBatch
    topic: str
    deadline_s: float
    clock: Callable[[], float] = time.monotonic

    def newest(self, partitions: Iterable[int], count: int) -> tuple[list[SeenRecord], bool]:
        """Return the newest `count` records of each partition, oldest first, and whether all brokers answered in time.

        Goes back further, in growing steps, where the last offsets have fewer records: compaction leaves gaps, and
        markers and aborted records of transactions cannot be read.
        """
        tails = {number: tail for number in partitions if (tail := self._tail_of(number))}
        pending, step = dict(tails), count
        while pending:
            starts = {number: max(tail.log_start, tail.until - step) for number, tail in pending.items()}
            found = self._between(starts, {number: tail.until for number, tail in pending.items()}, count)
            for number, records in found.items():
                tail = pending[number]
                tail.until, tail.records = starts[number], [*records, *tail.records][-count:]
                if len(tail.records) == count or tail.until == tail.log_start:
                    del pending[number]
            if len(found) < len(starts):
                break
            step *= _STEP_GROWTH
        return merged({number: tail.records for number, tail in tails.items()}), not pending

    def from_start(self, start: Start, limit: int) -> list[SeenRecord]:
        """Return records of a partition in log order, from an offset or a time on.

        An offset without a record means the next one that has a record. Fewer than `limit` records are returned at the
        log's end, beyond 8 MiB, or at the deadline.

        Raises:
            KafkaException: The brokers did not answer in time.
        """
        offset = self._offset_of(start)
        found: list[SeenRecord] = []
        if offset is None:
            return found
        size_bytes = 0
        try:
            for record in self._records(start.partition, offset, min(limit, _BATCH)):
                found.append(record)
                size_bytes += record.size_bytes
                if len(found) == limit or size_bytes > _MAX_BYTES:
                    break
        except NoAnswerError:
            if not found:
                raise
        return found

    def _tail_of(self, partition: int) -> _Tail | None:
        log_start, log_end = self._watermarks(partition)
        return _Tail(log_start, log_end, []) if log_end > log_start else None

    def _watermarks(self, partition: int) -> tuple[int, int]:
        marks = self.client.get_watermark_offsets(TopicPartition(self.topic, partition), timeout=_CALL_TIMEOUT_S)
        if marks is None:
            raise NoAnswerError
        return marks

    def _offset_of(self, start: Start) -> int | None:
        if start.timestamp_ms is not None:
            asked = TopicPartition(self.topic, start.partition, start.timestamp_ms)
            found = self.client.offsets_for_times([asked], timeout=_CALL_TIMEOUT_S)[0]
            if found.error is not None:
                raise KafkaException(found.error)
            return found.offset if found.offset >= 0 else None
        log_start, log_end = self._watermarks(start.partition)
        return max(start.offset, log_start) if start.offset < log_end else None

    def _messages(self, starts: Mapping[int, int], most: int) -> Iterator[Any]:
        """Yield the messages and errors of these partitions from these offsets on, without end; None for a silence."""
        self.client.assign([TopicPartition(self.topic, number, offset) for number, offset in starts.items()])
        heard_s = self.clock()
        while (now_s := self.clock()) < self.deadline_s:
            messages = self.client.consume(most, 0.02)
            yield from messages
            if messages:
                heard_s = now_s
            elif now_s - heard_s >= _SILENT_S:
                heard_s = now_s
                yield None
        raise NoAnswerError

    def _records(self, partition: int, offset: int, most: int) -> Iterator[SeenRecord]:
        """Yield the records of a partition up to its end; a batch that cannot be decoded is one record."""
        position: int | None = offset
        while position is not None:
            begun, following, position = position, position, None
            for message in self._messages({partition: following}, most):
                if message is not None and message.error() is None:
                    following = message.offset() + 1
                    if message.offset() >= offset:
                        yield record_of(message)
                elif message is not None and is_end(message.error()):
                    break
                elif skipped := self._skipped(partition, begun, following, message):
                    entries, position = skipped
                    yield from entries
                    break

    def _skipped(
        self, partition: int, begun: int, following: int, message: Any
    ) -> tuple[Sequence[SeenRecord], int] | None:
        """Return the entry for what cannot be decoded, and the offset to go on from; None if there is no such thing.

        Args:
            partition: The partition.
            begun: Where the reading of it began.
            following: The next offset to read.
            message: An error, or None where nothing comes.
        """
        error = message and message.error()
        if error is not None and not is_undecodable(error) and not is_refused(error):
            return None
        place = following if error is None else message.offset()
        batch = self._batch_at(partition, place)
        if error is not None and not is_refused(error):
            return ([], following) if batch is None else ([undecodable(partition, place, error.str())], batch.end)
        if batch is None or not batch.fault:
            return None
        if batch.first < following == begun:
            # Its first records may be readable, and its entry comes after them.
            return [], batch.first
        return [undecodable(partition, following, batch.fault)], batch.end

    def _between(
        self, starts: Mapping[int, int], ends: Mapping[int, int], most: int
    ) -> dict[int, Sequence[SeenRecord]]:
        """Return the last records before each partition's end; a partition without an answer in time is left out."""
        found: dict[int, deque[SeenRecord]] = {number: deque(maxlen=most) for number in starts}
        following = dict(starts)
        pending, damaged = set(starts), set[int]()
        with contextlib.suppress(NoAnswerError):
            for message in self._messages(starts, _BATCH):
                if message is None:
                    damaged |= {number for number in pending if self._is_damaged(number, following[number])}
                elif (error := message.error()) is not None:
                    if (is_undecodable(error) or is_refused(error)) and message.partition() in pending:
                        damaged.add(message.partition())
                    elif is_end(error):
                        pending.discard(message.partition())
                else:
                    number = message.partition()
                    following[number] = message.offset() + 1
                    if number in pending and message.offset() < ends[number]:
                        found[number].append(record_of(message))
                    if following[number] >= ends[number]:
                        pending.discard(number)
                pending -= damaged
                if not pending:
                    break
            for number in sorted(damaged):
                pending.add(number)
                records = self._records(number, starts[number], _BATCH)
                found[number] = deque(takewhile(lambda record: record.offset < ends[number], records), maxlen=most)  # noqa: B023
                pending.discard(number)
        return {number: records for number, records in found.items() if number not in pending}

    def _is_damaged(self, partition: int, offset: int) -> bool:
        batch = self._batch_at(partition, offset)
        return batch is not None and bool(batch.fault)

    def _batch_at(self, partition: int, offset: int) -> Batch | None:
        timeout_s = min(_BATCH_TIMEOUT_S, self.deadline_s - self.clock())
        return batch_or_none(self.read_batch, partition, offset, timeout_s) if timeout_s > 0 else None


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
