"""An asyncio front of a librdkafka producer: sends on the loop's thread, collects delivery reports on its own.

librdkafka's `produce` only queues, so it may be called on the loop. Reports come from `poll`, which blocks and so has
its own thread; it wakes the loop once per burst of reports instead of once per report.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from confluent_kafka import KafkaError

from kraftd.web.background import on_loop
from kraftd_apps.common.problems import Outcome, Problem, problem
from kraftd_apps.producer.record import Record

_POLL_S = 0.05


_BY_KAFKA_NAME: dict[str, tuple[str, Outcome]] = {
    "_MSG_TIMED_OUT": ("delivery_timeout", "unknown"),
    "_TIMED_OUT_QUEUE": ("delivery_timeout", "not_written"),
    "_TIMED_OUT": ("delivery_timeout", "unknown"),
    "REQUEST_TIMED_OUT": ("delivery_timeout", "unknown"),
    "_QUEUE_FULL": ("queue_full", "not_written"),
    "_UNKNOWN_TOPIC": ("unknown_topic", "not_written"),
    "UNKNOWN_TOPIC_OR_PART": ("unknown_topic", "not_written"),
    "UNKNOWN_TOPIC_ID": ("unknown_topic", "not_written"),
    "INCONSISTENT_TOPIC_ID": ("unknown_topic", "not_written"),
    "_UNKNOWN_PARTITION": ("unknown_partition", "not_written"),
    "MSG_SIZE_TOO_LARGE": ("too_large", "not_written"),
    "RECORD_LIST_TOO_LARGE": ("too_large", "not_written"),
    "INVALID_MSG": ("invalid_record", "not_written"),
    "INVALID_RECORD": ("invalid_record", "not_written"),
    "TOPIC_EXCEPTION": ("invalid_record", "not_written"),
    "POLICY_VIOLATION": ("invalid_record", "not_written"),
    "UNSUPPORTED_COMPRESSION_TYPE": ("invalid_record", "not_written"),
    "UNSUPPORTED_FOR_MESSAGE_FORMAT": ("invalid_record", "not_written"),
    "INVALID_TIMESTAMP": ("bad_parameter", "not_written"),
    "_INVALID_ARG": ("bad_parameter", "not_written"),
    "TOPIC_AUTHORIZATION_FAILED": ("not_authorized", "not_written"),
    "CLUSTER_AUTHORIZATION_FAILED": ("not_authorized", "not_written"),
    "NOT_ENOUGH_REPLICAS": ("not_enough_replicas", "not_written"),
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND": ("not_enough_replicas", "unknown"),
    "_ALL_BROKERS_DOWN": ("brokers_down", "unknown"),
    "_TRANSPORT": ("brokers_down", "unknown"),
    # librdkafka forgets a broker that is not in the metadata any more, such as one that was fenced.
    "_DESTROY_BROKER": ("brokers_down", "unknown"),
    # A record that was sent without an answer waits in the queue again for its next try.
    "_PURGE_QUEUE": ("draining", "unknown"),
    "_PURGE_INFLIGHT": ("draining", "unknown"),
    "_FATAL": ("producer_restarting", "unknown"),
}


class DeliveredMessage(Protocol):
    """The part of librdkafka's message that a report needs."""

    def partition(self) -> int | None:
        """The partition."""

    def offset(self) -> int | None:
        """The offset; None if it is unknown."""

    def timestamp(self) -> tuple[int, int]:
        """The kind of timestamp, and the timestamp in milliseconds."""


OnDelivery = Callable[[KafkaError | None, DeliveredMessage], None]


class Report(NamedTuple):
    """The delivery report of a record: written, or not acknowledged."""

    error: KafkaError | None
    """None if every in-sync replica has the record; the other fields are then its place."""
    partition: int = -1
    """Of a record that is not written, the one it asked for; -1 for any."""
    offset: int | None = None
    """None if the record is written at an unknown offset: librdkafka counts a request whose response was lost as
    acknowledged as soon as a later one to the same partition is."""
    timestamp_ms: int = -1


Settled = asyncio.Future[Report] | None
"""The future for a record's report; None if nothing waits for it."""


def partition_asked_for(message: DeliveredMessage) -> int:
    """Return the partition of a record that was not written; -1 if it might have been any."""
    partition = message.partition()
    return -1 if partition is None else partition


class Delivery:
    """The callback for a record's report, which librdkafka calls on the polling thread."""

    __slots__ = ("_reports", "_settled")

    def __init__(self, settled: Settled, reports: deque[tuple[Settled, Report]]) -> None:
        self._settled = settled
        self._reports = reports

    def __call__(self, error: KafkaError | None, message: DeliveredMessage) -> None:
        """Queue the report for the loop."""
        if error is not None:
            self._reports.append((self._settled, Report(error, partition_asked_for(message))))
            return
        report = Report(None, message.partition() or 0, message.offset(), message.timestamp()[1])
        self._reports.append((self._settled, report))


class Client(Protocol):
    """The part of `confluent_kafka.Producer` that sends."""

    def produce(self, topic: str, *record: Any) -> None:
        """Queue value, key, partition, callback, nothing, timestamp and, where there are any, headers.

        Raises BufferError if the queue is full, KafkaException if the record is invalid.
        """

    def poll(self, timeout: float) -> int:
        """Run the callbacks of all reports that have arrived, waiting at most `timeout` seconds for the first."""

    def purge(self) -> None:
        """Fail all records that are queued or in flight."""

    def __len__(self) -> int:
        """The number of records without a report."""


class AsyncProducer:
    """Sends records, and passes each one's report to `on_report` on the loop's thread."""

    def __init__(
        self, client: Client, topic: str, loop: asyncio.AbstractEventLoop, on_report: Callable[[Settled, Report], None]
    ) -> None:
        self._client = client
        self._topic = topic
        self._loop = loop
        self._on_report = on_report
        self._reports: deque[tuple[Settled, Report]] = deque()
        self._waking = False
        self._closing = False
        self._thread = threading.Thread(target=self._poll, name="kafka-reports", daemon=True)

    def start(self) -> None:
        """Start the thread that collects reports."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def queued(self) -> int:
        """The number of records without a report."""
        return len(self._client)

    def send(self, record: Record, settled: Settled) -> None:
        """Queue a record; its report goes to `on_report`, exactly once.

        Raises:
            BufferError: The client's queue is full.
            KafkaException: The client knows at once that the record cannot be written.
        """
        self.produce(record, Delivery(settled, self._reports))

    def produce(self, record: Record, on_delivery: OnDelivery) -> None:
        """Queue a record whose report goes to `on_delivery` on the thread that collects reports.

        Raises:
            BufferError: The client's queue is full.
            KafkaException: The client knows at once that the record cannot be written.
        """
        if record.headers:
            self._client.produce(
                self._topic,
                record.value,
                record.key,
                record.partition,
                on_delivery,
                None,
                record.timestamp_ms,
                list(record.headers),
            )
        else:
            self._client.produce(
                self._topic, record.value, record.key, record.partition, on_delivery, None, record.timestamp_ms
            )

    def purge(self) -> None:
        """Fail every record without a report; their reports then state which may have been written."""
        self._client.purge()

    def close(self) -> None:
        """Make the thread end as soon as every record has its report."""
        self._closing = True

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread to end, and return whether it did."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _poll(self) -> None:
        while not (self._closing and len(self._client) == 0):
            self._client.poll(_POLL_S)
            if self._reports and not self._waking:
                self._waking = True
                on_loop(self._loop, self._hand_over)

    def _hand_over(self) -> None:
        self._waking = False
        while self._reports:
            self._on_report(*self._reports.popleft())


def problem_of(error: KafkaError, *, partition: int = -1, partitions: int = 0, restarting: bool = False) -> Problem:
    """Return the problem of a record that was not acknowledged.

    Args:
        error: librdkafka's error; names of its own errors begin with an underscore, those of brokers do not.
        partition: The partition that the record asked for; negative for any.
        partitions: The number of partitions that the topic had when it was last seen. librdkafka fails the records of
            a topic that was just deleted as if only their partitions were missing.
        restarting: Whether a purge is due to the replacement of the client, not to the app's shutdown.
    """
    code, outcome = _BY_KAFKA_NAME.get(error.name(), ("internal", "unknown"))
    if code == "unknown_partition" and not 0 < partitions <= partition:
        code = "unknown_topic"
    if error.fatal() or (restarting and code == "draining"):
        code = "producer_restarting"
    return problem(code, f"{error.name()}: {error.str()}", outcome=outcome)
