"""The composition root of the consumer app."""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from kraftd.damage import Batch
from kraftd.web.asgi import Answer, App, endpoint
from kraftd.web.background import LazyApp, in_thread, on_loop
from kraftd.web.guard import Guard
from kraftd_apps.common.metrics import HttpMetrics
from kraftd_apps.common.problems import problem
from kraftd_apps.common.serving import FastRoutes, liveness, readiness
from kraftd_apps.common.settings import SettingsError, client_logger
from kraftd_apps.consumer.group_protocol import (
    ConsumerClient,
    GroupClient,
    MembershipFile,
    ProtocolDetectingConsumer,
    Standby,
    has_free_partition,
    stands_by,
    supports_consumer_protocol,
)
from kraftd_apps.consumer.hub import EventsRoute, Hub
from kraftd_apps.consumer.log import Log, ReadingClient
from kraftd_apps.consumer.member import Member, TopicIdentity
from kraftd_apps.consumer.metrics import ConsumerMetrics, statistics_of
from kraftd_apps.consumer.record import SeenRecord
from kraftd_apps.consumer.ring import Ring
from kraftd_apps.consumer.settings import ConsumerSettings, admin_config, member_config, reader_config

_WARM_AFTER_S = 1.0
_LEAVE_LIMIT_S = 5.0
_LEAVE_LIMIT_DEGRADED_S = 1.0
"""The same while a broker is gone. librdkafka leaves only when its last commit is answered, and a commit waits for each
replica that is in sync, so for a dead one until its session of 5 s is over; and a dead coordinator has no successor
before."""
_LEAVE_REQUEST_LIMIT_S = 1.0
_CONNECT_LIMIT_S = 0.5

logger = logging.getLogger(__name__)


class KafkaClients:
    """Makes the librdkafka clients of the app."""

    def __init__(self, settings: ConsumerSettings) -> None:
        self._settings = settings
        self._logger = client_logger("kafka.consumer")
        self._describing: AdminClient | None = None

    def member(self, on_statistics: Callable[[str], None], on_error: Callable[[KafkaError], None]) -> ConsumerClient:
        """Return a client that joins the group when polled, and reports errors, and its statistics every few seconds.

        Raises:
            SettingsError: A property is unknown to librdkafka.
        """
        protocol = self._settings.group_protocol
        callbacks = {"stats_cb": on_statistics, "error_cb": on_error}
        if protocol != "auto":
            return self._member(callbacks, incremental=protocol == "consumer")
        return ProtocolDetectingConsumer(
            self._member(callbacks, incremental=False),
            partial(self._member, callbacks, incremental=True),
            partial(supports_consumer_protocol, self.admin()),
        )

    def reader(self) -> ReadingClient:
        """Return a client that reads given offsets."""
        return cast("ReadingClient", self._consumer(reader_config(self._settings)))

    def admin(self) -> AdminClient:
        """Return a client that requests metadata of the topic."""
        return AdminClient(admin_config(self._settings))

    def has_free_partition(self) -> bool:
        """Return whether no member of the group has one of the topic's partitions, see `has_free_partition`."""
        return has_free_partition(self._group_client(), self._settings.group_id, self._settings.kafka.topic)

    def stands_by(self, member_id: str) -> bool:
        """Return whether the group has a member and no partition for it, see `stands_by`."""
        return stands_by(self._group_client(), self._settings.group_id, member_id)

    def batch(self, partition: int, offset: int, timeout_s: float) -> Batch | None:
        """Return a batch of the topic as it is in the log, see `ReadBatch`."""
        from kraftd_apps.consumer.batches import fetch_batch  # noqa: PLC0415 - it is slow to load

        return fetch_batch(self._settings.kafka, partition, offset, timeout_s)

    def leave(self, group: str, member_id: str, timeout_s: float) -> None:
        """Leave a group for a member, see `leave_group`."""
        from kraftd_apps.consumer.batches import leave_group  # noqa: PLC0415 - it is slow to load

        leave_group(self._settings.kafka, group, member_id, timeout_s)

    def take_connections(self) -> bool:
        """Return whether every broker that the settings name does."""
        for server in self._settings.kafka.bootstrap_servers.split(","):
            host, _, port = server.rpartition("://")[2].rpartition(":")
            try:
                socket.create_connection((host.strip("[]"), int(port)), _CONNECT_LIMIT_S).close()
            except (OSError, UnicodeError):
                # The second for a name that cannot be one, such as a..b.
                return False
        return True

    def _group_client(self) -> GroupClient:
        self._describing = self._describing or self.admin()
        return cast("GroupClient", self._describing)

    def _member(self, callbacks: Mapping[str, object], *, incremental: bool) -> ConsumerClient:
        config = {**member_config(self._settings, incremental=incremental), **callbacks}
        return cast("ConsumerClient", self._consumer(config))

    def _consumer(self, config: Mapping[str, object]) -> Consumer:
        try:
            return Consumer(dict(config), logger=self._logger)
        except KafkaException as error:
            raise SettingsError([f"KAFKA_CLIENT_CONFIG: {error.args[0].str()}"]) from error


class ConsumerService:
    """The consumer app: its routes, its member of the group, and their common lifecycle."""

    def __init__(self, settings: ConsumerSettings, clients: KafkaClients | None = None) -> None:
        self.settings = settings
        clients = clients or KafkaClients(settings)
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._assigned_before = False
        http_metrics = HttpMetrics()
        self._metrics = ConsumerMetrics(http_metrics.registry)
        self.ring = Ring(settings.ring_records)
        self.hub = Hub(self.ring, max_subscribers=settings.max_pages, clock=self._loop.time)
        self._metrics.watch_pages(lambda: self.hub.subscribers)
        self.log = Log(clients.reader, clients.batch, settings.kafka.topic, self.ring)
        self._identity = TopicIdentity(clients.admin, settings.kafka.topic)
        is_new_protocol = settings.group_protocol == "consumer"
        member_file = None if is_new_protocol else settings.member_file
        self._take_connections = clients.take_connections
        self._former_member = MembershipFile(member_file, settings.group_id, clients.leave)
        self._standby = Standby(clients.has_free_partition)
        self._stands_by = clients.stands_by
        self.member = Member(
            clients.member(self._take_statistics, self._take_error),
            settings.kafka.topic,
            identity=self._identity,
            incremental=is_new_protocol,
            on_records=self._arrived,
            on_assigned=self._take_assignment,
            read_batch=clients.batch,
        )
        self._api = LazyApp(self._build_api)
        front = FastRoutes(
            {
                ("GET", "/events"): EventsRoute(self.hub),
                ("GET", "/healthz"): endpoint(self._liveness),
                ("GET", "/readyz"): endpoint(lambda: readiness(self.member.unready_reasons())),
                ("GET", "/metrics"): endpoint(http_metrics.answer),
            },
            behind=self._api,
        )
        self.app: App = Guard(front, settings.http.access, problem, http_metrics.count)

    async def start(self) -> None:
        """Start the member, without waiting for a broker."""
        self._former_member.remove_in_background()
        self.member.start()
        self._identity.start()

    def begin_stop(self) -> None:
        """Make the member commit and leave the group, and end the streams of open pages."""
        self.member.stop()
        self._identity.stop()
        self.hub.close()

    async def finish_stop(self) -> None:
        """Wait until the member has left the group, but not for long where a broker is down."""
        self.member.stop()
        has_left = await in_thread(self.member.join, _LEAVE_LIMIT_DEGRADED_S)
        # librdkafka tells late of a broker that is gone, and no more while it leaves.
        is_degraded = self.member.has_lost_broker or not await in_thread(self._take_connections)
        if not has_left and not is_degraded:
            has_left = await in_thread(self.member.join, _LEAVE_LIMIT_S - _LEAVE_LIMIT_DEGRADED_S)
        if not has_left:
            logger.warning("Ending although the last commit, or the leave of the group, is not answered")
            await in_thread(self._former_member.leave, _LEAVE_REQUEST_LIMIT_S)
        elif not is_degraded:
            # Else what is written of the leave may be lost with the only broker that has it.
            self._former_member.forget()

    def _arrived(self, records: list[SeenRecord]) -> None:
        """Take the records of a poll; on the member's thread, before their offsets are stored."""
        added = self.ring.add(records)
        self._metrics.received(records)
        if self.hub.subscribers:
            self._on_loop(self.hub.arrived, added)

    def _take_statistics(self, text: str) -> None:
        """Take librdkafka's statistics; on the member's thread."""
        own = self.member.membership.partitions
        statistics = statistics_of(text, self.settings.kafka.topic, own or ())
        self._metrics.show_lag(statistics)
        self.member.note_unread(statistics.unread)
        self.member.note_brokers(are_up=statistics.is_every_broker_up)
        if self._standby.is_over():
            self.member.rejoin()
        if (member_id := self.member.unreported_id) and self._stands_by(member_id):
            self.member.note_standby()
        status = {"partitions": own, "lag": dict(statistics.lag), "brokers_up": statistics.brokers_up}
        self._on_loop(self.hub.show_status, status)

    def _take_error(self, error: KafkaError) -> None:
        """Take an error of librdkafka's; on the member's thread."""
        self.member.note_error(error)

    def _take_assignment(self, partitions: tuple[int, ...], member_id: str | None) -> None:
        """Take the partitions of this member; on the member's thread."""
        self._former_member.note(member_id)
        self._standby.note(partitions, member_id)
        self._on_loop(self._assigned, partitions)

    def _assigned(self, partitions: tuple[int, ...]) -> None:
        if not self._assigned_before:
            self._assigned_before = True
            self._begin(self._warm())
        self._begin(self.log.read_tail(partitions))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _warm(self) -> None:
        """Load FastAPI before the first request for the page, but after the busiest part of the start."""
        await asyncio.sleep(_WARM_AFTER_S)
        await self._api.load()

    def _build_api(self) -> App:
        from kraftd_apps.consumer.api import build_api  # noqa: PLC0415 - FastAPI is loaded when it is first needed

        return build_api(self)

    def _on_loop(self, call: Callable[..., None], *arguments: object) -> None:
        on_loop(self._loop, call, *arguments)

    def _liveness(self) -> Answer:
        return liveness([] if self.member.alive else ["the polling thread has ended"])
