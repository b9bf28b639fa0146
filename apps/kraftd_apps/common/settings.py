"""Settings from environment variables, typed and checked; all problems are reported at once."""

import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from kraftd.web.guard import AccessRules

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, never bound by itself
_WITHOUT_TOKEN = frozenset({"/healthz", "/readyz"})
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})

_BROKER = re.compile(r"(?:[A-Z0-9_]+://)?(?:[\w.-]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})")
_LINK = re.compile(r"([^=,\s][^=,]{0,39})=(https?://[^\s,]+)")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_PLAINTEXT = "plaintext"
_SECURITY_PROTOCOLS = (_PLAINTEXT, "ssl", "sasl_plaintext", "sasl_ssl")
_REPEATED = ("FAIL", "ERROR")
"""The beginnings of the lines that librdkafka logs at each attempt to connect to an absent broker."""


Links = tuple[tuple[str, str], ...]
"""Names and addresses of other pages."""


class AppError(Exception):
    """An error that an app raises on purpose before it serves; its text starts with "cannot".

    Attributes:
        exit_code: The exit status of the process.
        hint: The next step, as an instruction; may be empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class SettingsError(AppError):
    """Some settings are wrong.

    Attributes:
        problems: One line per wrong setting.
    """

    exit_code = 2

    def __init__(self, problems: Sequence[str], *, hint: str = "") -> None:
        listed = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(f"cannot start with these settings:{listed}", hint=hint)
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """The HTTP settings of an app."""

    host: str
    """The address to listen on; loopback by default."""
    port: int
    allowed_hosts: frozenset[str]
    """The names that a request may use in `Host`; `*` allows every name. Prevents DNS rebinding."""
    api_token: str = field(repr=False)
    """The token required by all requests except health checks, as bearer token or password; empty for no token."""
    max_body_bytes: int
    """The longest request body; longer ones are answered with 413 before they are read to the end."""
    max_batch_bytes: int
    """The longest body of a batch; each record in it is limited by `max_body_bytes`."""
    body_timeout_s: float
    """How long a client may take to send one body."""
    drain_s: float
    """How long requests in flight may take after SIGTERM before they fail, with their outcome."""
    access_log: bool
    links: Links = ()
    """The pages that each page of the app links to."""

    @property
    def access(self) -> AccessRules:
        """The rules of access."""
        return AccessRules(
            "this app",
            self.allowed_hosts,
            "add the name to APP_ALLOWED_HOSTS",
            token=self.api_token,
            unauthorized_hint="send the token of APP_API_TOKEN as a bearer token, or as the password of any user name",
            without_token=_WITHOUT_TOKEN,
            has_forms=True,
        )


def environment(directory: Path, process: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the values of `.env` in a directory, overridden by the process environment.

    `$` in `.env` has no special meaning, because passwords may contain it.

    Raises:
        SettingsError: `.env` exists but cannot be read.
    """
    found = dict(os.environ if process is None else process)
    path = directory / ".env"
    if not path.is_file():
        return found
    from dotenv import dotenv_values  # noqa: PLC0415 - costs start-up time only where there is a file

    try:
        listed = dotenv_values(path, interpolate=False, encoding="utf-8")
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read: {error}"]) from error
    except UnicodeDecodeError as error:
        fault = f"is not UTF-8: {error.reason} at byte {error.start}"
        raise SettingsError([f"{path}: {fault}"], hint="save it in UTF-8") from error
    return {**{name: value for name, value in listed.items() if value is not None}, **found}


class Reader:
    """Reads variables one by one and collects problems, which `check` then reports together.

    An empty variable counts as absent. A wrong variable yields its default, so that reading can continue.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.problems: list[str] = []

    def text(self, name: str, default: str) -> str:
        """Return a text, without surrounding white space."""
        return self._values.get(name, "").strip() or default

    def integer(self, name: str, default: int, *, minimum: int, maximum: int) -> int:
        """Return a whole number within its bounds."""
        raw = self.text(name, str(default))
        try:
            value = int(raw)
        except ValueError:
            value = minimum - 1
        if minimum <= value <= maximum:
            return value
        self._wrong(name, raw, f"must be a whole number from {minimum} to {maximum}")
        return default

    def seconds(self, name: str, default: float, *, maximum: float) -> float:
        """Return a duration in seconds, fractions allowed."""
        raw = self.text(name, str(default))
        try:
            value = float(raw)
        except ValueError:
            value = -1.0
        if 0 <= value <= maximum:
            return value
        self._wrong(name, raw, f"must be a number of seconds from 0 to {maximum:g}")
        return default

    def choice(self, name: str, default: str, *, allowed: tuple[str, ...]) -> str:
        """Return one of the allowed words, in lower case."""
        raw = self.text(name, default)
        if raw.lower() in allowed:
            return raw.lower()
        self._wrong(name, raw, f"must be one of {', '.join(allowed)}")
        return default

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a flag, on or off."""
        raw = self.text(name, "on" if default else "off")
        if raw.lower() in _TRUE | _FALSE:
            return raw.lower() in _TRUE
        self._wrong(name, raw, "must be on or off")
        return default

    def words(self, name: str) -> tuple[str, ...]:
        """Return the parts of a comma-separated list; none if the variable is absent."""
        return tuple(word.strip() for word in self.text(name, "").split(",") if word.strip())

    def scalars(self, name: str) -> dict[str, str | int | float | bool]:
        """Return a JSON object of plain values; no problem repeats its text, which may contain a secret."""
        raw = self.text(name, "{}")
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict) and all(isinstance(item, (str, int, float)) for item in value.values()):
            return value
        self.wrong(name, "must be a JSON object of strings, numbers, true and false")
        return {}

    def wrong(self, name: str, rule: str) -> None:
        """Add a problem without showing the value."""
        self.problems.append(f"{name}: {rule}")

    def check(self) -> None:
        """Raise an error if there were problems.

        Raises:
            SettingsError: At least one variable is wrong.
        """
        if self.problems:
            raise SettingsError(self.problems, hint="set these variables in the environment or in ./.env")

    def _wrong(self, name: str, raw: str, rule: str) -> None:
        self.problems.append(f"{name}={raw!r}: {rule}")


def _links(reader: Reader) -> Links:
    found = []
    for word in reader.words("APP_LINKS"):
        match = _LINK.fullmatch(word)
        if match:
            found.append((match[1], match[2]))
        else:
            reader.wrong("APP_LINKS", f"must be NAME=http://...[,NAME=http://...], not {word!r}")
    return tuple(found)


def read_http(reader: Reader, *, port: int) -> HttpSettings:
    """Read the `APP_*` variables; `port` is the default port."""
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
        links=_links(reader),
    )


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """The cluster to use, and further client properties."""

    bootstrap_servers: str
    topic: str
    client_config: dict[str, str | int | float | bool] = field(repr=False)
    """librdkafka properties, merged last; never printed, because they may contain a password."""

    def connection(self, client_id: str) -> dict[str, str | int | float | bool]:
        """Return the librdkafka properties with which every client reaches the brokers.

        Short backoffs turn the 10 s that librdkafka may stay away after an outage into 0.5 s.
        """
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": client_id,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 500,
            "retry.backoff.ms": 50,
            "socket.keepalive.enable": True,
        }


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
