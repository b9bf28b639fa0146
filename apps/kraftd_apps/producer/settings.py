"""Settings of the producer app, and the librdkafka configuration made from them."""

from collections.abc import Mapping
from dataclasses import dataclass

from kraftd_apps.common.settings import HttpSettings, KafkaSettings, Reader, read_http, read_kafka

_RECORD_OVERHEAD_BYTES = 64 * 1024
"""Room for key and headers in addition to a value of the maximum length."""
_QUEUE_KIB = 65_536


@dataclass(frozen=True, slots=True)
class ProducerSettings:
    """All settings of the producer app."""

    http: HttpSettings
    kafka: KafkaSettings
    linger_ms: int
    """How long a record waits to be batched; 0 costs an idempotent producer far more CPU than it saves time."""
    delivery_timeout_ms: int
    """After this time an unacknowledged record is given up, which bounds every wait of a client."""
    max_inflight: int
    """The maximum number of records waiting for Kafka; more are refused with 503."""
    rate_limit: int
    """The maximum number of records per second; more are refused with 429. 0 for no limit."""


def read_settings(values: Mapping[str, str]) -> ProducerSettings:
    """Read and check the settings.

    Raises:
        SettingsError: Settings are wrong; the text lists all of them.
    """
    reader = Reader(values)
    settings = ProducerSettings(
        http=read_http(reader, port=8001),
        kafka=read_kafka(reader),
        linger_ms=reader.integer("KAFKA_LINGER_MS", 1, minimum=0, maximum=1000),
        delivery_timeout_ms=reader.integer("KAFKA_DELIVERY_TIMEOUT_MS", 15_000, minimum=1000, maximum=300_000),
        max_inflight=reader.integer("APP_MAX_INFLIGHT", 10_000, minimum=1, maximum=100_000),
        rate_limit=reader.integer("APP_RATE_LIMIT", 0, minimum=0, maximum=10_000_000),
    )
    if settings.linger_ms >= settings.delivery_timeout_ms:
        reader.wrong("KAFKA_LINGER_MS", "must be below KAFKA_DELIVERY_TIMEOUT_MS")
    reader.check()
    return settings


def client_config(settings: ProducerSettings) -> dict[str, str | int | float | bool]:
    """Return the librdkafka properties.

    The brokers' fencing of a dead broker bounds the delivery timeout from below: a record for one of its partitions
    waits for the new leader.
    """
    max_record_bytes = settings.http.max_body_bytes + _RECORD_OVERHEAD_BYTES
    return {
        **settings.kafka.connection("kraftd-producer"),
        "enable.idempotence": True,
        "acks": "all",
        "linger.ms": settings.linger_ms,
        "delivery.timeout.ms": settings.delivery_timeout_ms,
        # A leader waits for a dead follower until its session times out (5 to 8 s). A request with a shorter timeout is
        # retried, and its records may then be acknowledged without their offsets.
        "request.timeout.ms": min(10_000, settings.delivery_timeout_ms),
        "retry.backoff.max.ms": 500,
        # A missing topic is reported after this long instead of after the delivery timeout.
        "topic.metadata.propagation.max.ms": 2000,
        "queue.buffering.max.messages": 100_000,
        # A record that is longer than the queue never has room in it.
        "queue.buffering.max.kbytes": max(_QUEUE_KIB, 2 * max_record_bytes // 1024),
        "message.max.bytes": max_record_bytes,
        # Java's default: the same key goes to the same partition, whichever client sends it.
        "partitioner": "murmur2_random",
        # How long records without a key go to the same partition; librdkafka's 10 ms makes small batches.
        "sticky.partitioning.linger.ms": 100,
        "statistics.interval.ms": 10_000,
        **settings.kafka.client_config,
    }
