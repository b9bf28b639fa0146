"""The publisher of records: back-pressure, the wait for delivery reports, a new client after a fatal error."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException

from kraftd.web.background import in_thread, on_loop
from kraftd_apps.common.problems import Problem, ProblemError, problem
from kraftd_apps.producer.async_producer import AsyncProducer, Client, Report, Settled, problem_of
from kraftd_apps.producer.record import Record

HEALTHY_INTERVAL_S = 5.0
AWAY_INTERVAL_S = 0.25
STALE_S = 15.0
_TIMEOUT_S = 1.0

_REPLACEMENT_PAUSE_S = 1.0
_FLUSH_S = 3.0
_RETIRED_JOIN_S = 0.5

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TopicView:
    """The last known state of the topic."""

    topic: str
    seen_s: float | None = None
    """Monotonic time of the last answer from a broker; None before the first."""
    partitions: int = 0
    """0 if the topic does not exist."""
    leaderless: tuple[int, ...] = ()
    fault: str = ""
    """Why the last request had no answer; empty if it had one."""


class MetadataClient(Protocol):
    """The part of `confluent_kafka.Producer` that requests metadata."""

    def list_topics(self, topic: str, timeout: float) -> Any:
        """Return a topic's metadata from any broker; raises KafkaException after `timeout` seconds."""


def view_of(metadata: Any, topic: str, now_s: float) -> TopicView:
    """Return the view in a metadata response."""
    found = metadata.topics.get(topic)
    if found is None or (found.error is not None and not found.partitions):
        return TopicView(topic, now_s)
    leaderless = tuple(sorted(number for number, partition in found.partitions.items() if partition.leader < 0))
    return TopicView(topic, now_s, len(found.partitions), leaderless)


def unready_reasons(view: TopicView, now_s: float) -> list[str]:
    """Return why records cannot be written now; empty if they can."""
    if view.seen_s is None or now_s - view.seen_s > STALE_S:
        return [view.fault or "no broker has answered yet"]
    if not view.partitions:
        return [f"topic {view.topic} does not exist"]
    if view.leaderless:
        return [f"partitions without a leader: {', '.join(map(str, view.leaderless))}"]
    return []


class TopicWatch:
    """Requests the topic's metadata every few seconds, more often during a fault."""

    def __init__(
        self, client: Callable[[], MetadataClient], topic: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._clock = clock
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="kafka-metadata", daemon=True)
        self.view = TopicView(topic)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Make the thread end; a request in progress runs into its timeout."""
        self._stopping = True
        self._wake.set()

    def reasons(self) -> list[str]:
        """Return why records cannot be written now; empty if they can."""
        return unready_reasons(self.view, self._clock())

    def ask(self) -> None:
        """Request the metadata once and update the view."""
        before = self.view
        try:
            metadata = self._client().list_topics(before.topic, timeout=_TIMEOUT_S)
        except KafkaException as error:
            self.view = replace(before, fault=f"no broker answers: {error.args[0].str()}")
        else:
            self.view = view_of(metadata, before.topic, self._clock())
        if self.view.fault and not before.fault:
            logger.warning("Kafka is unavailable: %s", self.view.fault)
        elif before.fault and not self.view.fault:
            logger.info("Kafka is available again")

    def _run(self) -> None:
        while not self._stopping:
            self.ask()
            away = self.view.fault or unready_reasons(self.view, self._clock())
            self._wake.wait(AWAY_INTERVAL_S if away else HEALTHY_INTERVAL_S)


class ProducerClient(Client, MetadataClient, Protocol):
    """The part of `confluent_kafka.Producer` that the publisher uses."""


Connect = Callable[[Callable[[KafkaError], None]], ProducerClient]
"""Makes a client that reports its errors to the given function, on the thread that polls it."""


class ProducerMetrics(Protocol):
    """The counters of a publisher."""

    def replaced(self) -> None:
        """A client failed for good."""

    def lost(self, problem_code: str) -> None:
        """A record that nobody waited for was not acknowledged."""


class RateLimit:
    """A token bucket with the capacity of one second.

    A batch is accepted as a whole while a token is left, and its excess delays later records: otherwise a batch larger
    than the bucket would never be accepted.

    Args:
        per_second: Records per second; 0 for no limit.
        clock: Monotonic seconds.
    """

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self._clock = clock
        self._left = float(per_second)
        self._since_s = clock()

    def take(self, records: int) -> bool:
        """Take tokens for records and return True, if a token is left."""
        if not self.per_second:
            return True
        now_s = self._clock()
        self._left = min(self.per_second, self._left + (now_s - self._since_s) * self.per_second)
        self._since_s = now_s
        if self._left < 1:
            return False
        self._left -= records
        return True


class RecordPublisher:
    """The owner of the Kafka client. All methods except `finish_stop` must be called on the loop's thread."""

    def __init__(
        self,
        connect: Connect,
        topic: str,
        *,
        max_inflight: int,
        metrics: ProducerMetrics,
        rate_limit: RateLimit,
    ) -> None:
        self._connect = connect
        self._topic = topic
        self._max_inflight = max_inflight
        self._metrics = metrics
        self._rate_limit = rate_limit
        self._loop: asyncio.AbstractEventLoop
        self._client: ProducerClient
        self._producer: AsyncProducer | None = None
        self._replaced_s = float("-inf")
        self._all_brokers_down = False
        self.draining = False
        self.inflight = 0
        self.watch = TopicWatch(lambda: self._client, topic)

    def start(self) -> None:
        """Make the client and start the watch of the topic, without waiting for a broker."""
        self._loop = asyncio.get_running_loop()
        self._open()
        self.watch.start()

    @property
    def alive(self) -> bool:
        """Whether delivery reports are collected."""
        return self._producer is None or self._producer.alive

    def unready_reasons(self) -> list[str]:
        """Return why records cannot be written now; empty if they can."""
        if self.draining:
            return ["the app is stopping"]
        if self._producer is None:
            return ["the Kafka client is being replaced"]
        reasons = self.watch.reasons()
        if self.inflight > 0.8 * self._max_inflight:
            reasons.append(f"{self.inflight} of at most {self._max_inflight} records are waiting for Kafka")
        return reasons

    async def publish(self, record: Record) -> Report:
        """Write a record and wait until Kafka has acknowledged or refused it.

        Raises:
            ProblemError: The record was refused or not acknowledged; the problem has its outcome.
        """
        settled: asyncio.Future[Report] = self._loop.create_future()
        self._submit(record, settled)
        report = await settled
        if report.error is not None:
            raise ProblemError(self.problem_of(report.error, report.partition))
        return report

    def publish_unacknowledged(self, record: Record) -> None:
        """Queue a record without waiting for its report; a loss is counted and logged.

        Raises:
            ProblemError: The record was refused.
        """
        self._submit(record, None)

    @contextlib.contextmanager
    def room_for(self, records: int) -> Iterator[AsyncProducer]:
        """Reserve room for records in flight until the end of the block.

        Raises:
            ProblemError: There is no room; no record was accepted.
        """
        producer = self._ready_producer()
        if self.inflight + records > self._max_inflight:
            raise ProblemError(self._queue_full())
        self._check_rate(records)
        self.inflight += records
        try:
            yield producer
        finally:
            self.inflight -= records

    def refusal_of(self, error: BufferError | KafkaException, record: Record) -> Problem:
        """Return the problem of a record that the client refused."""
        if isinstance(error, BufferError):
            return problem("queue_full", "the Kafka client's queue is full")
        found = self.problem_of(error.args[0], record.partition)
        return problem(found.code, found.detail, outcome="not_written")

    def problem_of(self, error: KafkaError, partition: int) -> Problem:
        """Return the problem of a record that was not acknowledged, from the partition it asked for; -1 for any."""
        known = self.watch.view.partitions
        return problem_of(error, partition=partition, partitions=known, restarting=not self.draining)

    def begin_stop(self, drain_s: float) -> None:
        """Refuse new records, and fail those without a report after `drain_s` seconds."""
        self.draining = True
        self.watch.stop()
        if self._producer:
            self._loop.call_later(drain_s, self._producer.purge)

    async def finish_stop(self) -> None:
        """Wait briefly for the records with ack=none, then give them up."""
        producer = self._producer
        if producer is None:
            return
        producer.close()
        if await in_thread(producer.join, _FLUSH_S):
            return
        logger.error("Giving up %d records that Kafka has not acknowledged", producer.queued)
        producer.purge()
        await in_thread(producer.join, _RETIRED_JOIN_S)

    def _ready_producer(self) -> AsyncProducer:
        if self.draining:
            raise ProblemError(problem("draining", "the app is stopping"))
        if self._producer is None:
            raise ProblemError(problem("producer_restarting", "the Kafka client failed and is being replaced"))
        if self._all_brokers_down and self.watch.view.fault:
            raise ProblemError(problem("brokers_down", self.watch.view.fault))
        if self.inflight >= self._max_inflight:
            raise ProblemError(self._queue_full())
        return self._producer

    def _submit(self, record: Record, settled: Settled) -> None:
        producer = self._ready_producer()
        self._check_rate(1)
        try:
            producer.send(record, settled)
        except (BufferError, KafkaException) as error:
            raise ProblemError(self.refusal_of(error, record)) from error
        self.inflight += 1

    def _check_rate(self, records: int) -> None:
        if not self._rate_limit.take(records):
            detail = f"more than {self._rate_limit.per_second} records per second (APP_RATE_LIMIT)"
            raise ProblemError(problem("rate_limited", detail))

    def _queue_full(self) -> Problem:
        detail = f"{self.inflight} of at most {self._max_inflight} records are waiting for Kafka (APP_MAX_INFLIGHT)"
        return problem("queue_full", detail)

    def _settle(self, settled: Settled, report: Report) -> None:
        self.inflight -= 1
        if report.error is None:
            self._all_brokers_down = False
        elif report.error.fatal():
            self._replace(report.error)
        if settled is None:
            self._note_loss(report)
        elif not settled.done():
            settled.set_result(report)

    def _note_loss(self, report: Report) -> None:
        if report.error is not None:
            found = self.problem_of(report.error, report.partition)
            self._metrics.lost(found.code)
            logger.error("A record sent with ack=none was lost: %s", found.detail)

    def _open(self) -> None:
        if self.draining:
            return

        def on_error(error: KafkaError) -> None:
            on_loop(self._loop, self._client_failed, producer, error)

        self._client = self._connect(on_error)
        producer = AsyncProducer(self._client, self._topic, self._loop, self._settle)
        producer.start()
        self._producer = producer

    def _client_failed(self, producer: AsyncProducer, error: KafkaError) -> None:
        if producer is not self._producer:
            return
        if error.fatal():
            self._replace(error)
        elif error.name() == "_ALL_BROKERS_DOWN":
            self._all_brokers_down = True

    def _replace(self, error: KafkaError) -> None:
        retired, self._producer = self._producer, None
        if retired is None:
            return
        logger.error("Replacing the Kafka client after a fatal error: %s", error.str())
        self._metrics.replaced()
        retired.purge()
        retired.close()
        now_s = time.monotonic()
        pause_s = max(0.0, self._replaced_s + _REPLACEMENT_PAUSE_S - now_s)
        self._replaced_s = now_s + pause_s
        self._loop.call_later(pause_s, self._open)
