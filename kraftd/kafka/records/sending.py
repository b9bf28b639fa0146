"""Records to topics, each acknowledged by every in-sync replica. Importing this is cheap.

``RecordSender`` takes them one by one and tells what became of each; ``RecordWriter`` takes columns of them in bulk.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from kraftd.kafka.model import Records, TopicPartition
from kraftd.kafka.records.librdkafka import access_error, client_settings, load_library
from kraftd.plan.plan import Access

_FULL_WAIT_S = 0.1
_ANY = -1
_NO_LIMIT_BYTES = 1_000_000_000
"""The largest record that the library takes: the topic's max.message.bytes decides, not the library's 1 MB."""
_IN_FLIGHT_BYTES = 8 * 1024 * 1024
_FLUSH_S = 1.0
_MOST_PLACES = 1000


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record to send; partition None leaves the choice to the key, else to the client."""

    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where an acknowledged record is; the offset is None where the answer with it was lost."""

    partition: int
    offset: int | None


class RecordSender:
    """Sends records to a topic, as a context manager, and counts what became of them.

    Attributes:
        acknowledged: The number of records that every in-sync replica has.
        places: Where the first of these are, up to a bound.
        failures: By reason, the number of records that were not acknowledged.
    """

    def __init__(self, access: Access, topic: str, *, timeout_s: float) -> None:
        self.acknowledged = 0
        self.places: list[Place] = []
        self.failures: dict[str, int] = {}
        self._access = access
        self._topic = topic
        self._timeout_s = timeout_s
        self._producer: Any = None

    def __enter__(self) -> Self:
        self._producer = load_library().Producer(
            client_settings(self._access, "kraftd-send")
            | {
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.max.bytes": _NO_LIMIT_BYTES,
                "message.timeout.ms": max(1, round(self._timeout_s * 1000)),
            }
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._producer = None

    def send(self, record: NewRecord) -> None:
        """Take a record over; waits while too many are on their way."""
        refused = load_library().KafkaException
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    value=record.value,
                    key=record.key,
                    headers=list(record.headers) or None,
                    partition=_ANY if record.partition is None else record.partition,
                    on_delivery=self._settled,
                )
            except BufferError:
                self._producer.poll(_FULL_WAIT_S)
            except refused as failed:
                self._failed(failed.args[0])
                return
            else:
                self._producer.poll(0)
                return

    def flush(self) -> None:
        """Wait until every record is acknowledged or has failed."""
        while self._producer.flush(_FULL_WAIT_S):
            pass

    def _settled(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failed(error)
            return
        self.acknowledged += 1
        if len(self.places) < _MOST_PLACES:
            offset = message.offset()
            self.places.append(Place(message.partition(), offset if offset is not None and offset >= 0 else None))

    def _failed(self, error: Any) -> None:
        reason = error.str()
        self.failures[reason] = self.failures.get(reason, 0) + 1


class RecordWriter:
    """Writes records to partitions that nobody else writes to, in order and each once.

    What the broker refused for good is raised by the next call; everything after it may be missing.
    """

    def __init__(
        self,
        access: Access,
        open_producer: Callable[[Mapping[str, Any]], Any] = lambda each: load_library().Producer(each),
    ) -> None:
        self._failure: Any = None
        self._in_flight: deque[tuple[int, int]] = deque()
        self._producer = open_producer(
            client_settings(access, "kraftd-restore")
            | {
                "acks": "all",
                "enable.idempotence": True,
                "delivery.report.only.error": True,
                "linger.ms": 20,
                "batch.size": 512 * 1024,
                "compression.type": "lz4",
                "message.max.bytes": _NO_LIMIT_BYTES,
                # The most that the library allows: write() waits before, but for a frame that is larger.
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
            is_queued = False
            while not is_queued:
                try:
                    # To librdkafka, the time 0 means now.
                    produce(topic, value, key, index, delivered, timestamp=time_ms or 1, headers=headers)
                    is_queued = True
                except BufferError:
                    self._producer.poll(_FULL_WAIT_S)
                    self._raise_failure()
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
