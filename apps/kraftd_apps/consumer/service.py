"""The composition root of the consumer app."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import cast

from confluent_kafka import Consumer, KafkaException

from kraftd_apps.consumer import history, member
from kraftd_apps.consumer.member import Member
from kraftd_apps.consumer.record import SeenRecord
from kraftd_apps.consumer.ring import Ring
from kraftd_apps.consumer.settings import Config, ConsumerSettings, member_config, reader_config
from kraftd_apps.web.asgi import Answer, App
from kraftd_apps.web.errors import SettingsError
from kraftd_apps.web.front import Front, LazyApp
from kraftd_apps.web.guard import Guard
from kraftd_apps.web.health import answered, liveness, readiness
from kraftd_apps.web.kafka_log import client_logger
from kraftd_apps.web.telemetry import HttpMetrics

_TAIL_RECORDS = 25
_TAIL_TIMEOUT_S = 5.0
_WARM_AFTER_S = 1.0
_LEAVE_S = 5.0

logger = logging.getLogger(__name__)


class KafkaClients:
    """Makes the two librdkafka clients of the app."""

    def __init__(self, settings: ConsumerSettings) -> None:
        self._settings = settings
        self._logger = client_logger("kafka.consumer")

    def member(self) -> member.Client:
        """Return a client that joins the group when polled.

        Raises:
            SettingsError: librdkafka does not know a property.
        """
        return cast("member.Client", self._consumer(member_config(self._settings)))

    def reader(self) -> history.Client:
        """Return a client that reads given offsets."""
        return cast("history.Client", self._consumer(reader_config(self._settings)))

    def _consumer(self, config: Config) -> Consumer:
        try:
            return Consumer(config, logger=self._logger)
        except KafkaException as error:
            raise SettingsError([f"KAFKA_CLIENT_CONFIG: {error.args[0].str()}"]) from error


class ConsumerService:
    """The consumer app: its routes, its member of the group, the ring between them, and their common life."""

    def __init__(self, settings: ConsumerSettings, clients: KafkaClients | None = None) -> None:
        self._settings = settings
        self._clients = clients or KafkaClients(settings)
        self._loop = asyncio.get_running_loop()
        self._tail_read = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.ring = Ring(settings.ring_records)
        self.member = Member(
            self._clients.member(),
            settings.kafka.topic,
            on_records=self._arrived,
            on_assigned=lambda own: self._on_loop(self._assigned, own),
        )
        http_metrics = HttpMetrics()
        self._api = LazyApp(self._build_api)
        front = Front(
            {
                ("GET", "/healthz"): answered(self._liveness),
                ("GET", "/readyz"): answered(lambda: readiness(self.member.unready_reasons())),
                ("GET", "/metrics"): answered(http_metrics.answer),
            },
            behind=self._api,
        )
        self.app: App = Guard(front, settings.http, http_metrics)

    async def start(self) -> None:
        """Begin to join the group; waits for no broker."""
        self.member.start()

    def begin_stop(self) -> None:
        """Commit and leave the group."""
        self.member.stop()

    async def finish_stop(self) -> None:
        """Wait until the member has left."""
        self.member.stop()
        if not await asyncio.to_thread(self.member.join, _LEAVE_S):
            logger.warning("Ending without having left the group: no broker answers")

    async def tail_read(self, timeout_s: float) -> None:
        """Wait until the end of the log has been read back after the start, or for this many seconds."""
        try:
            await asyncio.wait_for(self._tail_read.wait(), timeout_s)
        except TimeoutError:
            logger.info("The page is shown before the end of the log has been read")

    def _arrived(self, records: list[SeenRecord]) -> None:
        self.ring.add(records)

    def _assigned(self, partitions: tuple[int, ...]) -> None:
        if not self._tail_read.is_set():
            self._begin(self._warm())
        self._begin(self._read_tail(partitions))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _warm(self) -> None:
        """Load FastAPI before the page is first asked for, once the start has had its share of the processor."""
        await asyncio.sleep(_WARM_AFTER_S)
        await self._api.load()

    async def _read_tail(self, partitions: tuple[int, ...]) -> None:
        try:
            self.ring.add_older(await asyncio.to_thread(self._newest, partitions))
        except KafkaException as error:
            logger.warning("Reading back the end of the log failed: %s", error)
        finally:
            self._tail_read.set()

    def _newest(self, partitions: tuple[int, ...]) -> list[SeenRecord]:
        if not partitions:
            return []
        topic = self._settings.kafka.topic
        return history.read_newest(
            self._clients.reader(), topic, partitions, count=_TAIL_RECORDS, timeout_s=_TAIL_TIMEOUT_S
        )

    def _build_api(self) -> App:
        from kraftd_apps.consumer.api import build_api  # noqa: PLC0415 - FastAPI is loaded when it is first needed

        return build_api(self, self._settings)

    def _on_loop(self, call: Callable[..., None], *arguments: object) -> None:
        self._loop.call_soon_threadsafe(call, *arguments)

    def _liveness(self) -> Answer:
        return liveness([] if self.member.alive else ["the polling thread has ended"])
