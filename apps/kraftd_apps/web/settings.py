"""The settings that both apps have: where to listen, whom to serve, which Kafka to talk to."""

import re
from dataclasses import dataclass, field

from kraftd_apps.web.environment import Reader

_BROKER = re.compile(r"(?:[A-Z0-9_]+://)?(?:[\w.-]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_PLAINTEXT = "plaintext"
_SECURITY_PROTOCOLS = (_PLAINTEXT, "ssl", "sasl_plaintext", "sasl_ssl")
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, never bound by itself


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How an app serves HTTP."""

    host: str
    """Address to listen on; loopback unless the user says otherwise."""
    port: int
    allowed_hosts: frozenset[str]
    """Names a request may use in `Host`; holds `*` where every name may. Stops DNS rebinding."""
    api_token: str = field(repr=False)
    """Token that every request but the health checks needs, as a bearer token or a password; empty: none."""
    max_body_bytes: int
    """Longest request body; longer ones are answered with 413 before they are read to the end."""
    max_batch_bytes: int
    """The same for a batch, whose single records keep to `max_body_bytes`."""
    body_timeout_s: float
    """How long a client may take to send one body."""
    drain_s: float
    """How long requests in flight may take after SIGTERM before they are failed, with their outcome."""
    access_log: bool
    workers: int
    """Processes that share the port."""


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Which Kafka, and with what extra client properties."""

    bootstrap_servers: str
    topic: str
    client_config: dict[str, str | int | float | bool] = field(repr=False)
    """librdkafka properties merged last; may hold a password, so it is never printed."""


def read_http(reader: Reader, *, port: int, most_workers: int = 1) -> HttpSettings:
    """Read the `APP_*` variables; `port` is the port where none is set."""
    host = reader.text("APP_HOST", "127.0.0.1")
    named = {name.lower().strip("[]") for name in reader.words("APP_ALLOWED_HOSTS")}
    own = set() if host in _EVERY_ADDRESS else {host.lower()}
    return HttpSettings(
        host=host,
        port=reader.integer("APP_PORT", port, minimum=1, maximum=65535),
        allowed_hosts=_LOOPBACK_NAMES | named | own,
        api_token=reader.text("APP_API_TOKEN", ""),
        max_body_bytes=reader.integer("APP_MAX_BODY", 1024 * 1024, minimum=1024, maximum=100 * 1024 * 1024),
        max_batch_bytes=reader.integer(
            "APP_MAX_BATCH_BODY", 16 * 1024 * 1024, minimum=1024, maximum=1024 * 1024 * 1024
        ),
        body_timeout_s=reader.seconds("APP_BODY_TIMEOUT_SECONDS", 30.0, maximum=3600.0),
        drain_s=reader.seconds("APP_DRAIN_SECONDS", 5.0, maximum=60.0),
        access_log=reader.flag("APP_ACCESS_LOG", default=False),
        workers=reader.integer("APP_WORKERS", 1, minimum=1, maximum=most_workers),
    )


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
