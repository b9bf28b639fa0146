"""One librdkafka producer behind asyncio: sends on the loop's thread, collects reports on its own.

librdkafka's `produce` only queues, so it may be called on the loop. Reports come out of `poll`, which blocks, hence the
thread; it wakes the loop once per burst of reports instead of once per report.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from confluent_kafka import KafkaError

from kraftd_apps.producer.record import Record, Report, Settle

_POLL_S = 0.05

logger = logging.getLogger(__name__)


class DeliveredMessage(Protocol):
    """The part of librdkafka's message that a report is made of."""

    def partition(self) -> int | None:
        """Where it was written."""

    def offset(self) -> int | None:
        """At which offset; None where that is not known."""

    def timestamp(self) -> tuple[int, int]:
        """Its kind of timestamp, and the timestamp in milliseconds."""


OnDelivery = Callable[[KafkaError | None, DeliveredMessage], None]


class Client(Protocol):
    """The part of `confluent_kafka.Producer` that the bridge uses."""

    def produce(self, topic: str, *record: Any) -> None:
        """Queue value, key, partition, callback, nothing, timestamp and, where there are any, headers.

        Raises BufferError when the queue is full, KafkaException when the record cannot be right.
        """

    def poll(self, timeout: float) -> int:
        """Call back for every report that is in, waiting this many seconds for the first."""

    def purge(self) -> None:
        """Fail whatever is queued or in flight."""

    def __len__(self) -> int:
        """How many records have no report yet."""


class Bridge:
    """Sends records and hands each one's report to its receiver, on the loop's thread."""

    def __init__(self, client: Client, topic: str, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._topic = topic
        self._loop = loop
        self._reports: deque[tuple[Settle, Report]] = deque()
        self._waking = False
        self._closing = False
        self._thread = threading.Thread(target=self._poll, name="kafka-reports", daemon=True)

    def start(self) -> None:
        """Begin to collect reports."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether reports are collected."""
        return self._thread.is_alive()

    @property
    def queued(self) -> int:
        """Records without a report."""
        return len(self._client)

    def send(self, record: Record, settle: Settle) -> None:
        """Queue a record; its report goes to `settle`, exactly once.

        Raises:
            BufferError: The client's queue is full.
            KafkaException: The client knows at once that the record cannot be written.
        """
        self.produce(record, partial(self._reported, settle))

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
        """Fail every record that has no report yet; the reports say which may have been written."""
        self._client.purge()

    def close(self) -> None:
        """Let the thread end as soon as every record has its report."""
        self._closing = True

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end; tells whether it came."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _poll(self) -> None:
        while not (self._closing and len(self._client) == 0):
            self._client.poll(_POLL_S)
            if self._reports and not self._waking:
                self._waking = True
                self._loop.call_soon_threadsafe(self._hand_over)

    def _reported(self, settle: Settle, error: KafkaError | None, message: DeliveredMessage) -> None:
        if error is not None:
            self._reports.append((settle, Report(error)))
            return
        report = Report(None, message.partition() or 0, message.offset(), message.timestamp()[1])
        self._reports.append((settle, report))

    def _hand_over(self) -> None:
        self._waking = False
        while self._reports:
            settle, report = self._reports.popleft()
            settle(report)
