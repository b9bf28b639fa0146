"""Settings of the consumer app, and the librdkafka configurations made from them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kraftd_apps.common.settings import HttpSettings, KafkaSettings, Reader, read_http, read_kafka

_PRODUCER_URL = re.compile(r"http://(?:[\w.-]+|\[[0-9a-fA-F:]+\])(?::(?P<port>\d{1,5}))?")

_TOPIC_REFRESH_MS = 5000
"""How often a member refreshes the metadata of its topic."""

Config = dict[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """All settings of the consumer app."""

    http: HttpSettings
    kafka: KafkaSettings
    group_id: str
    group_protocol: str
    """`classic` works with every broker and tool; `consumer` (KIP-848) needs brokers from 4.0; `auto` detects it.

    Not `auto` by default: with `consumer`, brokers reassign a killed member's partitions only after 45 s instead of 6.
    """
    auto_offset_reset: str
    """The start of a group without a committed offset: `earliest` or `latest`."""
    ring_records: int
    """The number of records to keep in memory for the page."""
    max_pages: int
    """The maximum number of live pages."""
    producer_url: str
    """The producer app that resends records; empty for none."""
    member_file: Path | None
    """Where the id of the group's member is kept while it is one; None to keep it nowhere."""


def read_settings(values: Mapping[str, str]) -> ConsumerSettings:
    """Read and check the settings.

    Raises:
        SettingsError: Settings are wrong; the text lists all of them.
    """
    reader = Reader(values)
    settings = ConsumerSettings(
        http=read_http(reader, port=8002),
        kafka=read_kafka(reader),
        group_id=reader.text("KAFKA_GROUP_ID", "test-group"),
        group_protocol=reader.choice("KAFKA_GROUP_PROTOCOL", "classic", allowed=("classic", "consumer", "auto")),
        auto_offset_reset=reader.choice("KAFKA_AUTO_OFFSET_RESET", "earliest", allowed=("earliest", "latest")),
        ring_records=reader.integer("APP_RING", 1000, minimum=10, maximum=100_000),
        max_pages=reader.integer("APP_SSE_MAX_CLIENTS", 100, minimum=1, maximum=10_000),
        producer_url=reader.text("APP_PRODUCER_URL", "http://127.0.0.1:8001"),
        member_file=Path(member_file) if (member_file := reader.text("APP_MEMBER_FILE", "")) else None,
    )
    if settings.producer_url == "off":
        settings = replace(settings, producer_url="")
    elif not _is_producer_url(settings.producer_url):
        reader.wrong("APP_PRODUCER_URL", f"must be http://host:port or off, not {settings.producer_url!r}")
    if len(settings.group_id) > 255:
        reader.wrong("KAFKA_GROUP_ID", "must be at most 255 characters")
    reader.check()
    return settings


def _is_producer_url(text: str) -> bool:
    found = _PRODUCER_URL.fullmatch(text)
    return found is not None and 1 <= int(found["port"] or 80) <= 65_535


def member_config(settings: ConsumerSettings, *, incremental: bool) -> Config:
    """Return the librdkafka properties of the group's member, for the consumer protocol if `incremental`.

    Offsets are stored explicitly once a record is in the ring, and at a partition's end, and committed in the
    background. A killed member holds its partitions until its session times out, so the timeout is the shortest that
    brokers allow by default.
    """
    config: Config = {
        **_common(settings, "kraftd-consumer"),
        "group.id": settings.group_id,
        "auto.offset.reset": settings.auto_offset_reset,
        "enable.auto.commit": True,
        "auto.commit.interval.ms": 1000,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "statistics.interval.ms": 2000,
        # A client whose topic was deleted looks for it again only after this time; the default is five minutes.
        "topic.metadata.refresh.interval.ms": _TOPIC_REFRESH_MS,
    }
    if incremental:
        config["group.protocol"] = "consumer"
    else:
        config |= {"session.timeout.ms": 6000, "heartbeat.interval.ms": 2000}
    return {**config, **settings.kafka.client_config}


def reader_config(settings: ConsumerSettings) -> Config:
    """Return the librdkafka properties of a client that reads given offsets and never touches the group."""
    return {
        **_common(settings, "kraftd-consumer-history"),
        "group.id": f"{settings.group_id}-history",
        # Only when a fetch at the end of a log is answered, which is after this time, is one from another offset sent.
        "fetch.wait.max.ms": 10,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        **settings.kafka.client_config,
    }


def admin_config(settings: ConsumerSettings) -> Config:
    """Return the librdkafka properties of a client that requests metadata of the topic."""
    return {**settings.kafka.connection("kraftd-consumer-admin"), **settings.kafka.client_config, "log_level": 0}


def _common(settings: ConsumerSettings, client_id: str) -> Config:
    return {
        **settings.kafka.connection(client_id),
        "fetch.error.backoff.ms": 100,
        # The size of librdkafka's read-ahead.
        "queued.max.messages.kbytes": 16_384,
    }
