"""Records in bulk: a partition read from an offset to another, and columns of records written to a partition.

Importing this module does not import confluent-kafka; the first reader or writer does.
"""

import operator
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any

from kraftd.kafka.model import KafkaRejectedError, KafkaUnavailableError, TopicPartition
from kraftd.kafka.transfer.admin import access_error, client_settings, load_library
from kraftd.kafka.transfer.model import OffsetRange, Records
from kraftd.plan.plan import Access

_BATCH_BYTES = 1024 * 1024
"""What one batch of records holds, about: little enough for memory, enough that the cost of a batch is small."""
_MOST_RECORDS = 5_000
_FIRST_RECORDS = 100
_PARALLEL = 4
"""How many partitions are read at the same time: each holds a batch in memory."""
_QUEUED_KIB = 2 * 1024
_POLL_S = 0.1
_SILENT_S = 60.0
_IN_FLIGHT_BYTES = 8 * 1024 * 1024
_FLUSH_S = 1.0
_FINAL = frozenset({"_BAD_MSG", "_BAD_COMPRESSION", "_NOT_IMPLEMENTED", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION"})
"""The errors of librdkafka itself that do not pass: it looks for brokers and leaders again, and reads on."""


@dataclass(slots=True)
class _Reading:
    """A partition that is being read: the messages that wait to fill a batch, and how many fill one."""

    end: int
    messages: list[Any] = field(default_factory=list)
    batch: int = _FIRST_RECORDS
    is_done: bool = False


class RecordReader:
    """Reads ranges of partitions; control records and records of aborted transactions are left out."""

    def __init__(self, access: Access) -> None:
        library = load_library()
        self._library = library
        self._consumer = library.Consumer(
            client_settings(access)
            | {
                # librdkafka asks for a name; nothing joins or commits under it.
                "group.id": "kraftd-backup",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "check.crcs": True,
                "fetch.message.max.bytes": 262144,
                "queued.max.messages.kbytes": _QUEUED_KIB,
                "fetch.queue.backoff.ms": 5,
            }
        )

    def close(self) -> None:
        """End the connections."""
        self._consumer.close()

    def read(self, ranges: Mapping[TopicPartition, OffsetRange]) -> Iterator[tuple[TopicPartition, Records]]:
        """Yield the records of each range in batches, those of several partitions in turn.

        Raises:
            KafkaAccessError: The leaders do not answer for a minute, or a record cannot be read.
        """
        waiting = iter([(each, found) for each, found in ranges.items() if found.begin < found.end])
        active: dict[TopicPartition, _Reading] = {}
        silent_s, at_once = 0.0, _FIRST_RECORDS
        while self._fill(active, waiting):
            # A wait for one record only: a wait for many would hold back those that have arrived.
            messages = self._consumer.consume(1, _POLL_S)
            if messages:
                messages += self._consumer.consume(at_once, 0)
            silent_s = 0.0 if messages else silent_s + _POLL_S
            if silent_s > _SILENT_S:
                names = ", ".join(sorted({name for name, _ in active}))
                raise KafkaUnavailableError(
                    f"cannot read {names}: nothing arrived for {_SILENT_S:g} s",
                    hint="'kraftd status' shows which brokers run.",
                )
            for place, run in _runs(messages):
                # What was fetched before its partition was left may still come.
                if (reading := active.get(place)) is not None:
                    _take(place, reading, run)
            for place, reading in active.items():
                if reading.messages and (reading.is_done or len(reading.messages) >= reading.batch):
                    records = _columns(place, reading.messages)
                    reading.messages, reading.batch = [], _next_batch(records)
                    yield place, records
            at_once = min([reading.batch for reading in active.values()])

    def _fill(
        self, active: dict[TopicPartition, _Reading], waiting: Iterator[tuple[TopicPartition, OffsetRange]]
    ) -> bool:
        """Leave the partitions that are done, and begin others; returns whether any is left."""
        done = [place for place, reading in active.items() if reading.is_done]
        if done:
            self._consumer.incremental_unassign([self._library.TopicPartition(*place) for place in done])
            for place in done:
                del active[place]
        begun = list(islice(waiting, _PARALLEL - len(active)))
        if begun:
            self._consumer.incremental_assign(
                [self._library.TopicPartition(*place, found.begin) for place, found in begun]
            )
            active.update({place: _Reading(found.end) for place, found in begun})
        return bool(active)


def _runs(messages: Sequence[Any]) -> Iterator[tuple[TopicPartition, list[Any]]]:
    """Yield the messages of one partition that came together; by calls through C, as these are many."""
    kind = load_library().Message
    places = zip(map(kind.topic, messages), map(kind.partition, messages), strict=True)
    for place, run in groupby(zip(places, messages, strict=True), operator.itemgetter(0)):
        yield place, [message for _, message in run]


def _take(place: TopicPartition, reading: _Reading, messages: list[Any]) -> None:
    """Add the messages before the end; errors and the end of a partition come as messages too."""
    library = load_library()
    if not any(map(library.Message.error, messages)) and messages[-1].offset() + 1 < reading.end:
        reading.messages += messages
        return
    for message in messages:
        error = message.error()
        if error is None and message.offset() < reading.end:
            reading.messages.append(message)
        if error is None:
            reading.is_done = reading.is_done or message.offset() + 1 >= reading.end
        elif error.code() == library.KafkaError._PARTITION_EOF:  # noqa: SLF001 - a public constant
            # The last offsets may be those of control records, which are not given.
            reading.is_done = reading.is_done or message.offset() >= reading.end
        elif error.code() > 0 or error.name() in _FINAL:
            raise access_error(f"cannot read {place[0]}-{place[1]} at offset {message.offset()}", error)


def _columns(place: TopicPartition, messages: Sequence[Any]) -> Records:
    library = load_library()
    # Calls through C: a loop in Python takes twice the time, and a name that is not UTF-8 is raised at once.
    offsets = list(map(library.Message.offset, messages))
    times = list(map(library.Message.timestamp, messages))
    try:
        headers = list(map(library.Message.headers, messages))
    except (SystemError, UnicodeDecodeError) as error:
        # confluent-kafka does not give such a name; to leave it out would be a backup of something else.
        raise KafkaRejectedError(
            f"cannot read {place[0]}-{place[1]} between the offsets {offsets[0]} and {offsets[-1]}: "
            "the name of a header is not UTF-8",
            hint="Leave the topic out with --exclude.",
            code="unreadable_header",
        ) from error
    return Records(
        offsets,
        [time_ms if kind else -1 for kind, time_ms in times],
        [kind for kind, _ in times],
        list(map(library.Message.key, messages)),
        list(map(library.Message.value, messages)),
        {index: tuple(pairs) for index, pairs in enumerate(headers) if pairs} if any(headers) else {},
    )


def _next_batch(records: Records) -> int:
    return max(1, min(_MOST_RECORDS, _BATCH_BYTES * len(records) // max(records.size_bytes, 1)))


class RecordWriter:
    """Writes records to partitions that nobody else writes to, in order and each once.

    What the broker refused for good is raised by the next call; everything after it may be missing.
    """

    def __init__(self, access: Access) -> None:
        library = load_library()
        self._failure: Any = None
        self._in_flight: deque[tuple[int, int]] = deque()
        self._producer = library.Producer(
            client_settings(access)
            | {
                "acks": "all",
                "enable.idempotence": True,
                "delivery.report.only.error": True,
                "linger.ms": 20,
                "batch.size": 512 * 1024,
                "compression.type": "lz4",
                "message.max.bytes": 1_000_000_000,
                # Never reached: write() waits before.
                "queue.buffering.max.messages": 0,
                "queue.buffering.max.kbytes": 2_097_151,
            }
        )

    def write(self, partition: TopicPartition, records: Records, size_bytes: int) -> None:
        """Queue records; waits while too many bytes are in flight.

        Raises:
            KafkaAccessError: These or earlier records were refused.
        """
        while self._bytes_in_flight() > _IN_FLIGHT_BYTES:
            self._producer.poll(0.01)
            self._raise_failure()
        self._in_flight.append((len(records), size_bytes))
        topic, index = partition
        produce, delivered = self._producer.produce, self._delivered
        rows = zip(records.values, records.keys, records.timestamps_ms, strict=True)
        for row, (value, key, time_ms) in enumerate(rows):
            headers = list(records.headers[row]) if row in records.headers else None
            # To librdkafka, the time 0 means now.
            produce(topic, value, key, index, delivered, timestamp=time_ms or 1, headers=headers)
        self._producer.poll(0)
        self._raise_failure()

    def flush(self) -> None:
        """Wait until everything queued is acknowledged.

        Raises:
            KafkaAccessError: Something was refused.
        """
        while self._producer.flush(_FLUSH_S):
            self._raise_failure()
        self._raise_failure()

    def abandon(self) -> None:
        """Give up what is queued and not sent."""
        self._producer.purge()

    def _bytes_in_flight(self) -> int:
        """Return the bytes that are in flight, about: what was queued last is taken for what is left."""
        left, size_bytes = len(self._producer), 0
        kept = 0
        for count, frame_bytes in reversed(self._in_flight):
            if left <= 0:
                break
            left, size_bytes, kept = left - count, size_bytes + frame_bytes, kept + 1
        while len(self._in_flight) > kept:
            self._in_flight.popleft()
        return size_bytes

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None and self._failure is None:
            self._failure = (error, message.topic(), message.partition())

    def _raise_failure(self) -> None:
        if self._failure is not None:
            error, topic, partition = self._failure
            raise access_error(f"cannot write to {topic}-{partition}", error)
