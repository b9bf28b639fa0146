"""The composition root of the producer app."""

from collections.abc import Callable
from typing import cast

from confluent_kafka import KafkaError, KafkaException, Producer

from kraftd_apps.producer.batch import BatchRoute
from kraftd_apps.producer.gateway import Connect, Gateway, ProducerClient
from kraftd_apps.producer.metrics import GatewayMetrics
from kraftd_apps.producer.rate import RateLimit
from kraftd_apps.producer.send import SendRoute
from kraftd_apps.producer.settings import ProducerSettings, client_config
from kraftd_apps.web.asgi import Answer, App
from kraftd_apps.web.errors import SettingsError
from kraftd_apps.web.front import Front, LazyApp
from kraftd_apps.web.guard import Guard
from kraftd_apps.web.health import answered, liveness, readiness
from kraftd_apps.web.kafka_log import client_logger
from kraftd_apps.web.spool import Spool
from kraftd_apps.web.telemetry import HttpMetrics


class ProducerService:
    """The producer app: its routes, its gateway to Kafka, and their common life."""

    def __init__(self, settings: ProducerSettings, spool: Spool | None = None, connect: Connect | None = None) -> None:
        self._settings = settings
        self.http_metrics = http_metrics = HttpMetrics(spool)
        metrics = GatewayMetrics(http_metrics.registry)
        self.gateway = Gateway(
            connect or kafka_connect(settings, metrics.take_statistics),
            settings.kafka.topic,
            max_inflight=settings.max_inflight,
            metrics=metrics,
            rate_limit=RateLimit(settings.rate_limit),
        )
        metrics.watch_inflight(lambda: self.gateway.inflight)
        self.send = SendRoute(self.gateway, settings.kafka.topic, settings.http)
        self.batch = BatchRoute(self.gateway, settings.http, max_inflight=settings.max_inflight)
        front = Front(
            {
                ("POST", "/send"): self.send,
                ("POST", "/send/batch"): self.batch,
                ("GET", "/healthz"): answered(self._liveness),
                ("GET", "/readyz"): answered(lambda: readiness(self.unready_reasons())),
                ("GET", "/metrics"): answered(http_metrics.answer),
            },
            behind=LazyApp(self._build_api),
        )
        self.app: App = Guard(front, settings.http, http_metrics)

    async def start(self) -> None:
        """Make the Kafka client; waits for no broker."""
        self.gateway.start()

    def begin_stop(self) -> None:
        """Refuse new records and let those in flight end."""
        self.gateway.begin_stop(self._settings.http.drain_s)

    async def finish_stop(self) -> None:
        """Flush what nobody waits for."""
        await self.gateway.finish_stop()

    def unready_reasons(self) -> list[str]:
        """Return why records cannot be written now; none when they can."""
        return self.gateway.unready_reasons()

    def _build_api(self) -> App:
        from kraftd_apps.producer.api import build_api  # noqa: PLC0415 - FastAPI is loaded when it is first needed

        return build_api(self, self._settings)

    def _liveness(self) -> Answer:
        return liveness([] if self.gateway.alive else ["the thread that collects reports has ended"])


def kafka_connect(settings: ProducerSettings, on_statistics: Callable[[str], None]) -> Connect:
    """Return what makes librdkafka producers with these settings.

    The maker raises SettingsError where librdkafka does not know a property.
    """
    logger = client_logger("kafka.producer")

    def connect(on_error: Callable[[KafkaError], None]) -> ProducerClient:
        config = {**client_config(settings), "error_cb": on_error, "stats_cb": on_statistics}
        try:
            return cast("ProducerClient", Producer(config, logger=logger))
        except KafkaException as error:
            raise SettingsError([f"KAFKA_CLIENT_CONFIG: {error.args[0].str()}"]) from error

    return connect
