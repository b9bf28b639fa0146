"""The composition root of the producer app."""

from collections.abc import Callable
from typing import cast

from confluent_kafka import KafkaError, KafkaException, Producer

from kraftd.web.asgi import Answer, App, endpoint
from kraftd.web.background import LazyApp
from kraftd.web.guard import Guard
from kraftd_apps.common.metrics import HttpMetrics
from kraftd_apps.common.problems import problem
from kraftd_apps.common.serving import FastRoutes, liveness, readiness
from kraftd_apps.common.settings import SettingsError, client_logger
from kraftd_apps.producer.metrics import PublisherMetrics
from kraftd_apps.producer.publisher import Connect, ProducerClient, RateLimit, RecordPublisher
from kraftd_apps.producer.routes import BatchRoute, SendRoute
from kraftd_apps.producer.settings import ProducerSettings, client_config


class ProducerService:
    """The producer app: its routes, its publisher, and their common lifecycle."""

    def __init__(self, settings: ProducerSettings, connect: Connect | None = None) -> None:
        self._settings = settings
        http_metrics = HttpMetrics()
        metrics = PublisherMetrics(http_metrics.registry)
        self.publisher = RecordPublisher(
            connect or kafka_connect(settings, metrics.take_statistics),
            settings.kafka.topic,
            max_inflight=settings.max_inflight,
            metrics=metrics,
            rate_limit=RateLimit(settings.rate_limit),
        )
        metrics.watch_inflight(lambda: self.publisher.inflight)
        self.send = SendRoute(self.publisher, settings.kafka.topic, settings.http)
        self.batch = BatchRoute(self.publisher, settings.http, max_inflight=settings.max_inflight)
        front = FastRoutes(
            {
                ("POST", "/send"): self.send,
                ("POST", "/send/batch"): self.batch,
                ("GET", "/healthz"): endpoint(self._liveness),
                ("GET", "/readyz"): endpoint(lambda: readiness(self.unready_reasons())),
                ("GET", "/metrics"): endpoint(http_metrics.answer),
            },
            behind=LazyApp(self._build_api),
        )
        self.app: App = Guard(front, settings.http.access, problem, http_metrics.count)

    async def start(self) -> None:
        """Make the Kafka client, without waiting for a broker."""
        self.publisher.start()

    def begin_stop(self) -> None:
        """Refuse new records and let those in flight finish."""
        self.publisher.begin_stop(self._settings.http.drain_s)

    async def finish_stop(self) -> None:
        """Flush the records with ack=none."""
        await self.publisher.finish_stop()

    def unready_reasons(self) -> list[str]:
        """Return why records cannot be written now; empty if they can."""
        return self.publisher.unready_reasons()

    def _build_api(self) -> App:
        from kraftd_apps.producer.api import build_api  # noqa: PLC0415 - FastAPI is loaded when it is first needed

        return build_api(self, self._settings)

    def _liveness(self) -> Answer:
        return liveness([] if self.publisher.alive else ["the thread that collects reports has ended"])


def kafka_connect(settings: ProducerSettings, on_statistics: Callable[[str], None]) -> Connect:
    """Return a factory of librdkafka producers with these settings.

    The factory raises SettingsError if a property is unknown to librdkafka.
    """
    logger = client_logger("kafka.producer")

    def connect(on_error: Callable[[KafkaError], None]) -> ProducerClient:
        config = {**client_config(settings), "error_cb": on_error, "stats_cb": on_statistics}
        try:
            return cast("ProducerClient", Producer(config, logger=logger))
        except KafkaException as error:
            raise SettingsError([f"KAFKA_CLIENT_CONFIG: {error.args[0].str()}"]) from error

    return connect
