"""Kafka settings of the apps, and the logger of their clients."""

import logging
import re
from dataclasses import dataclass, field

from kraftd_apps.common.settings import Reader

_BROKER = re.compile(r"(?:[A-Z0-9_]+://)?(?:[\w.-]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_PLAINTEXT = "plaintext"
_SECURITY_PROTOCOLS = (_PLAINTEXT, "ssl", "sasl_plaintext", "sasl_ssl")
_REPEATED = ("FAIL", "ERROR")
"""The beginnings of the lines that librdkafka logs at each attempt to connect to an absent broker."""


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """The cluster to use, and further client properties."""

    bootstrap_servers: str
    topic: str
    client_config: dict[str, str | int | float | bool] = field(repr=False)
    """librdkafka properties, merged last; never printed, because they may contain a password."""


def read_kafka(reader: Reader) -> KafkaSettings:
    """Read the `KAFKA_*` variables that both apps use."""
    servers = ",".join(reader.words("KAFKA_BOOTSTRAP_SERVERS")) or "127.0.0.1:9092,127.0.0.1:9093"
    for server in servers.split(","):
        match = _BROKER.fullmatch(server)
        if not match or not 1 <= int(match[1]) <= 65535:
            reader.wrong("KAFKA_BOOTSTRAP_SERVERS", f"must be host:port[,host:port...], not {server!r}")
    topic = reader.text("KAFKA_TOPIC", "test-topic")
    if not _TOPIC.fullmatch(topic) or topic in {".", ".."}:
        reader.wrong("KAFKA_TOPIC", f"must be 1 to 249 letters, digits, '.', '_' or '-', not {topic!r}")
    protocol = reader.choice("KAFKA_SECURITY_PROTOCOL", _PLAINTEXT, allowed=_SECURITY_PROTOCOLS)
    security = {} if protocol == _PLAINTEXT else {"security.protocol": protocol}
    return KafkaSettings(servers, topic, {**security, **reader.scalars("KAFKA_CLIENT_CONFIG")})


def client_logger(name: str) -> logging.Logger:
    """Return a logger for librdkafka without the lines that the app replaces by one for each change of state."""
    logger = logging.getLogger(name)
    logger.addFilter(lambda record: not record.getMessage().startswith(_REPEATED))
    return logger
