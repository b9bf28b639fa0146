"""From a record to what became of it: back-pressure, the wait for Kafka, and a new client after a fatal error."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException

from kraftd_apps.producer.bridge import Bridge, Client
from kraftd_apps.producer.outcome import problem_of
from kraftd_apps.producer.rate import RateLimit
from kraftd_apps.producer.record import Record, Report, Settle
from kraftd_apps.producer.topic import MetadataClient, TopicWatch
from kraftd_apps.web.problems import Problem, Refused, problem
from kraftd_apps.web.threads import in_thread

_REPLACEMENT_PAUSE_S = 1.0
_FLUSH_S = 3.0
_RETIRED_JOIN_S = 0.5

logger = logging.getLogger(__name__)


class ProducerClient(Client, MetadataClient, Protocol):
    """Everything the gateway needs of `confluent_kafka.Producer`."""


Connect = Callable[[Callable[[KafkaError], None]], ProducerClient]
"""Makes a client that tells its own errors, on the thread that polls it, to the function given."""


class ProducerMetrics(Protocol):
    """What the gateway counts."""

    def replaced(self) -> None:
        """A client failed for good."""

    def lost(self, problem_code: str) -> None:
        """A record that nobody waited for was not acknowledged."""


class Gateway:
    """Owns the Kafka client. Every method but `finish_stop` is for the loop's thread."""

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
        self._bridge: Bridge | None = None
        self._replaced_s = float("-inf")
        self._all_brokers_down = False
        self.draining = False
        self.inflight = 0
        self.watch = TopicWatch(lambda: self._client, topic)

    def start(self) -> None:
        """Make the client and begin to look for the topic; waits for no broker."""
        self._loop = asyncio.get_running_loop()
        self._open()
        self.watch.start()

    @property
    def alive(self) -> bool:
        """Whether reports reach those who wait for them."""
        return self._bridge is None or self._bridge.alive

    def unready_reasons(self) -> list[str]:
        """Return why a record would not be written now; none when it would."""
        if self.draining:
            return ["the app is stopping"]
        if self._bridge is None:
            return ["the Kafka client is being replaced"]
        reasons = self.watch.reasons()
        if self.inflight > 0.8 * self._max_inflight:
            reasons.append(f"{self.inflight} of at most {self._max_inflight} records wait for Kafka")
        return reasons

    async def publish(self, record: Record) -> Report:
        """Write a record and wait until Kafka has acknowledged or refused it.

        Raises:
            Refused: It was not taken, or not acknowledged; the problem says whether it may have been written.
        """
        settled: asyncio.Future[Report] = self._loop.create_future()
        self.submit(record, partial(_resolve, settled))
        report = await settled
        if report.error is not None:
            raise Refused(self.problem_of(report.error))
        return report

    def publish_unacknowledged(self, record: Record) -> None:
        """Hand a record to the client and wait for nothing; a loss is counted and logged.

        Raises:
            Refused: It was not taken.
        """
        self.submit(record, self._note_loss)

    def submit(self, record: Record, settle: Settle) -> None:
        """Hand a record to the client; its report goes to `settle`.

        Raises:
            Refused: It was not taken; `settle` is never called.
        """
        bridge = self._ready_bridge()
        self._keep_to_rate(1)
        try:
            bridge.send(record, partial(self._settle, settle))
        except (BufferError, KafkaException) as error:
            raise Refused(self.refusal_of(error)) from error
        self.inflight += 1

    @contextlib.contextmanager
    def room_for(self, records: int) -> Iterator[Bridge]:
        """Take room for so many records until the end of the block.

        Raises:
            Refused: There is none; none of them was taken.
        """
        bridge = self._ready_bridge()
        if self.inflight + records > self._max_inflight:
            raise Refused(self._queue_full())
        self._keep_to_rate(records)
        self.inflight += records
        try:
            yield bridge
        finally:
            self.inflight -= records

    def refusal_of(self, error: BufferError | KafkaException) -> Problem:
        """Return the answer for a record that the client did not take."""
        if isinstance(error, BufferError):
            return problem("queue_full", "the Kafka client's queue is full")
        found = self.problem_of(error.args[0])
        return problem(found.code, found.detail, outcome="not_written")

    def problem_of(self, error: KafkaError) -> Problem:
        """Return the answer for a record that was not acknowledged."""
        return problem_of(error, restarting=not self.draining)

    def begin_stop(self, drain_s: float) -> None:
        """Take no more records; what has no report after `drain_s` seconds is failed."""
        self.draining = True
        self.watch.stop()
        if self._bridge:
            self._loop.call_later(drain_s, self._bridge.purge)

    async def finish_stop(self) -> None:
        """Wait a little for records that nobody waits for, then give them up."""
        bridge = self._bridge
        if bridge is None:
            return
        bridge.close()
        if await in_thread(bridge.join, _FLUSH_S):
            return
        logger.error("Giving up %d records that Kafka has not acknowledged", bridge.queued)
        bridge.purge()
        await in_thread(bridge.join, _RETIRED_JOIN_S)

    def _ready_bridge(self) -> Bridge:
        if self.draining:
            raise Refused(problem("draining", "the app is stopping"))
        if self._bridge is None:
            raise Refused(problem("producer_restarting", "the Kafka client failed and is being replaced"))
        if self._all_brokers_down and self.watch.view.fault:
            raise Refused(problem("brokers_down", self.watch.view.fault))
        if self.inflight >= self._max_inflight:
            raise Refused(self._queue_full())
        return self._bridge

    def _keep_to_rate(self, records: int) -> None:
        if not self._rate_limit.take(records):
            detail = f"more than {self._rate_limit.per_second} records a second (APP_RATE_LIMIT)"
            raise Refused(problem("rate_limited", detail))

    def _queue_full(self) -> Problem:
        detail = f"{self.inflight} of at most {self._max_inflight} records wait for Kafka (APP_MAX_INFLIGHT)"
        return problem("queue_full", detail)

    def _settle(self, settle: Settle, report: Report) -> None:
        self.inflight -= 1
        if report.error is None:
            self._all_brokers_down = False
        elif report.error.fatal():
            self._replace(report.error)
        settle(report)

    def _note_loss(self, report: Report) -> None:
        if report.error is not None:
            found = self.problem_of(report.error)
            self._metrics.lost(found.code)
            logger.error("A record sent with ack=none was lost: %s", found.detail)

    def _open(self) -> None:
        if self.draining:
            return

        def on_error(error: KafkaError) -> None:
            self._loop.call_soon_threadsafe(self._client_failed, bridge, error)

        self._client = self._connect(on_error)
        bridge = Bridge(self._client, self._topic, self._loop)
        bridge.start()
        self._bridge = bridge

    def _client_failed(self, bridge: Bridge, error: KafkaError) -> None:
        if bridge is not self._bridge:
            return
        if error.fatal():
            self._replace(error)
        elif error.name() == "_ALL_BROKERS_DOWN":
            self._all_brokers_down = True

    def _replace(self, error: KafkaError) -> None:
        retired, self._bridge = self._bridge, None
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


def _resolve(settled: asyncio.Future[Any], report: Report) -> None:
    if not settled.done():
        settled.set_result(report)
