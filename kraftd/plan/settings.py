"""Settings: every key of kraftd.toml with its default and its allowed values.

A field's description states what is allowed; messages about bad values repeat it.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    create_model,
    model_validator,
)

from kraftd.plan.kinds import TOOL_DEFINITIONS, ToolDefinition
from kraftd.plan.secrets import URL_PASSWORD
from kraftd.units import parse_schedule, parse_size

CLUSTER_NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,30}[a-z0-9])?")
NODES = "<id>"
"""The placeholder for a broker's id in the path of a setting; it is not valid in kraftd.toml."""

_TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
_PROPERTY_NAME = re.compile(r"[A-Za-z0-9._-]+")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VARIABLE_VALUE = re.compile(r"[^\x00]*")
_HOST_NAME = re.compile(r"\*|[A-Za-z0-9._-]{1,253}|\[?[0-9A-Fa-f:.]{2,45}\]?")
_ABSOLUTE_PATH = re.compile(r"(/[^\n\x00]*)?")
_BACKUP_TARGET = re.compile(
    rf"(/[^\x00-\x1f]*|(?!.*{URL_PASSWORD.pattern})[a-z][a-z0-9+.-]*://[^/\x00-\x1f]*(/[^\x00-\x1f]*)?)?"
)

_JVM_OPTION = re.compile(r"-[^\s\x00][^\n\x00]*")
_BROKER_ID = re.compile(r"0|[1-9][0-9]*")
"""As a table is named; of a 01 and a 1 one would be lost."""

_MIN_BROKER_HEAP_BYTES = 160 * 1024**2
_MIN_CONTROLLER_HEAP_BYTES = 64 * 1024**2
_MIN_LOG_BYTES = 64 * 1024
_MAX_LOG_BYTES = 1024**3


def _size_of_at_least(least_bytes: int, most_bytes: int = sys.maxsize) -> Any:
    def check(text: str) -> str:
        if not least_bytes <= parse_size(text) <= most_bytes:
            raise ValueError("too small or too large")
        return text.strip().lower()

    return AfterValidator(check)


def _size_or_none(text: str) -> str:
    size = text.strip().lower()
    if size != "0":
        parse_size(size)
    return size


def _schedule_or_none(text: str) -> str:
    if text:
        parse_schedule(text)
    return text


def _matching(pattern: re.Pattern[str], *, refused: tuple[str, ...] = ()) -> Any:
    def check(text: str) -> str:
        if pattern.fullmatch(text) is None or text in refused:
            raise ValueError("malformed")
        return text

    return AfterValidator(check)


def _no_boolean(value: Any) -> Any:
    # Python, and with it pydantic, takes true for 1.
    if isinstance(value, bool):
        raise ValueError("a switch")  # noqa: TRY004 pydantic reports a ValueError as the setting's problem
    return value


def _scalar(value: Any) -> Any:
    if not isinstance(value, str | int | float):
        raise ValueError("neither text nor a number")  # noqa: TRY004 as above
    return value


def _flat(table: Any) -> Any:
    """Return a table of properties whose bare keys TOML has nested: ``log.retention.hours = 1`` without quotes."""
    return dict(_flat_items(table, "")) if isinstance(table, Mapping) else table


def _flat_items(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _flat_items(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


PropertyValue = Annotated[str | int | float | bool, PlainValidator(_scalar)]
"""A value of server.properties or of a topic's configuration."""

Properties = Annotated[dict[Annotated[str, _matching(_PROPERTY_NAME)], PropertyValue], BeforeValidator(_flat)]
Environment = dict[Annotated[str, _matching(_VARIABLE_NAME)], Annotated[str, _matching(_VARIABLE_VALUE)]]
Whole = Annotated[int, BeforeValidator(_no_boolean)]
Seconds = Annotated[float, BeforeValidator(_no_boolean), Field(ge=0.2, le=3600)]
Home = Annotated[str, _matching(_ABSOLUTE_PATH)]
ClusterName = Annotated[str, _matching(CLUSTER_NAME)]
TopicName = Annotated[str, _matching(_TOPIC_NAME, refused=(".", ".."))]
Patterns = tuple[Annotated[str, StringConstraints(min_length=1, max_length=249)], ...]
HostNames = tuple[Annotated[str, _matching(_HOST_NAME)], ...]
Port = Annotated[Whole, Field(ge=1, le=65535)]

_PORT = "a port from 1 to 65535"
_TOPIC = "a topic name of letters, digits, '.', '_' and '-'"
_SWITCH = "true or false"
_HOST_NAMES = 'a list of host names without ports, such as ["host.docker.internal"]; "*" allows every name'
_PATTERNS = 'a list of names, in which "*" stands for any text, such as ["orders-*"]'
_SECONDS = "a number of seconds from 0.2 to 3600"
_PROPERTIES = "a table of Kafka properties, each with text, a number, true or false"
_VARIABLES = "a table of environment variables, each with text without NUL"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class ClusterSettings(_Section):
    """``[cluster]``."""

    name: ClusterName = Field(
        "local", description="1 to 32 lower-case letters, digits, '-' and '_', first and last a letter or digit"
    )
    kafka_version: str = Field("3.9", description='a Kafka version such as "3.9" or "3.9.1"')
    brokers: Whole = Field(2, ge=1, le=32, description="a whole number from 1 to 32")
    heap: Annotated[str, _size_of_at_least(_MIN_BROKER_HEAP_BYTES)] = Field(
        "4g", description="a whole number followed by k, m or g, at least 160m"
    )
    port_offset: Whole = Field(0, ge=0, le=55000, description="a whole number from 0 to 55000")
    state_dir: str = Field("", description='a directory, or "" for the default')


class KafkaSettings(_Section):
    """``[kafka]``."""

    home: Home = Field("", description='the absolute path of an unpacked Kafka release, or ""')


class JavaSettings(_Section):
    """``[java]``."""

    home: Home = Field("", description='the absolute path of a JAVA_HOME, or ""')
    options: tuple[Annotated[str, _matching(_JVM_OPTION)], ...] = Field(
        (), description='a list of JVM options such as ["-Xss1m"]'
    )


class BrokerNodeSettings(_Section):
    """``[broker.<id>]``."""

    config: Properties = Field(default_factory=dict, description=_PROPERTIES)


class BrokerSettings(_Section):
    """``[broker]``: properties of every broker, and ``[broker.<id>]`` of one."""

    config: Properties = Field(default_factory=dict, description=_PROPERTIES)
    nodes: dict[int, BrokerNodeSettings] = Field(
        default_factory=dict, alias=NODES, description="a table named by a broker's id"
    )

    @model_validator(mode="before")
    @classmethod
    def _gather_nodes(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        numbered = {key: value for key, value in raw.items() if _BROKER_ID.fullmatch(key)}
        rest = {key: value for key, value in raw.items() if key not in numbered}
        return {**rest, NODES: numbered} if numbered else rest


class ControllerSettings(_Section):
    """``[controller]``: controller-only nodes."""

    heap: Annotated[str, _size_of_at_least(_MIN_CONTROLLER_HEAP_BYTES)] = Field(
        "192m", description="a whole number followed by k, m or g, at least 64m"
    )


class TopicSettings(_Section):
    """One ``[[topic]]``."""

    name: TopicName = Field(description=_TOPIC)
    partitions: Whole | None = Field(None, ge=1, le=10000, description="a whole number from 1 to 10000")
    replication_factor: Whole | None = Field(None, ge=1, le=32, description="a whole number from 1 to 32")
    assignment: Annotated[str, StringConstraints(pattern=r"^([0-9]+(:[0-9]+)*(,[0-9]+(:[0-9]+)*)*)?$")] = Field(
        "", description='broker ids per partition such as "1:2,2:1"'
    )
    config: Properties = Field(default_factory=dict, description=_PROPERTIES)


class ProducerSettings(_Section):
    """``[producer]``."""

    enabled: bool = Field(default=True, description=_SWITCH)
    port: Port = Field(8001, description=_PORT)
    topic: TopicName = Field("test-topic", description=_TOPIC)
    env: Environment = Field(default_factory=dict, description=_VARIABLES)


class ConsumerSettings(_Section):
    """``[consumer]``."""

    enabled: bool = Field(default=True, description=_SWITCH)
    port: Port = Field(8002, description=_PORT)
    topic: TopicName = Field("test-topic", description=_TOPIC)
    group: str = Field("test-group", min_length=1, max_length=249, description="a consumer group's name")
    instances: Whole = Field(1, ge=1, le=16, description="a whole number from 1 to 16")
    env: Environment = Field(default_factory=dict, description=_VARIABLES)


class DaemonSettings(_Section):
    """``[daemon]``."""

    port: Port = Field(8000, description=_PORT)
    allowed_hosts: HostNames = Field((), description=_HOST_NAMES)
    interval_s: Seconds = Field(1.0, description=_SECONDS)
    lag_interval_s: Seconds = Field(10.0, description=_SECONDS)
    probe: bool = Field(default=True, description=_SWITCH)
    topics_allow: Patterns = Field(("*",), description=_PATTERNS)
    topics_deny: Patterns = Field((), description=_PATTERNS)
    groups_allow: Patterns = Field(("*",), description=_PATTERNS)
    groups_deny: Patterns = Field((), description=_PATTERNS)
    max_partitions: Whole = Field(10_000, ge=1, le=100_000, description="a whole number from 1 to 100000")
    max_groups: Whole = Field(1000, ge=1, le=10_000, description="a whole number from 1 to 10000")
    max_group_partitions: Whole = Field(20_000, ge=1, le=200_000, description="a whole number from 1 to 200000")


class WatchdogSettings(_Section):
    """``[watchdog]``: how long a program that runs may give no answer before it is ended, so that it is restarted."""

    enabled: bool = Field(default=True, description=_SWITCH)
    node_silent_s: Seconds = Field(30.0, description=_SECONDS)
    app_silent_s: Seconds = Field(15.0, description=_SECONDS)
    start_silent_s: Seconds = Field(300.0, description=_SECONDS)
    daemon_silent_s: Seconds = Field(30.0, description=_SECONDS)


class DiskSettings(_Section):
    """``[disk]``."""

    min_free: Annotated[str, AfterValidator(_size_or_none)] = Field(
        "256m", description='a whole number followed by k, m or g, or "0" for no limit'
    )


class LogSettings(_Section):
    """``[logs]``: how the logs of programs are rotated."""

    max_size: Annotated[str, _size_of_at_least(_MIN_LOG_BYTES, _MAX_LOG_BYTES)] = Field(
        "10m", description="a whole number followed by k, m or g, from 64k to 1g"
    )
    keep: Whole = Field(7, ge=1, le=1000, description="a whole number from 1 to 1000")
    daily: bool = Field(default=True, description=_SWITCH)


class BackupSettings(_Section):
    """``[backup]``: the backups that the daemon has made."""

    schedule: Annotated[str, AfterValidator(_schedule_or_none)] = Field(
        "", description='"every 6h", "daily 03:00", "weekly sunday 03:00", or "" for none'
    )
    target: Annotated[str, _matching(_BACKUP_TARGET)] = Field(
        "", description="the absolute path of a directory, or a URL without a password"
    )
    keep: Whole = Field(0, ge=0, le=10_000, description="a whole number from 0 to 10000")
    incremental: bool = Field(default=False, description=_SWITCH)
    topics: tuple[TopicName, ...] = Field((), description='a list of topic names such as ["orders"]')


class MetricsAgentSettings(_Section):
    """``[metrics_agent]``: the JMX metrics of every node, for Prometheus."""

    enabled: bool = Field(default=True, description=_SWITCH)


class ToolSettings(_Section):
    """``[prometheus]`` and the like."""

    enabled: bool = Field(default=False, description=_SWITCH)
    port: Port = Field(description=_PORT)


class Settings(_Section):
    """The whole configuration, except the tools' tables, which ``settings_model`` adds."""

    cluster: ClusterSettings = Field(default_factory=ClusterSettings)
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    java: JavaSettings = Field(default_factory=JavaSettings)
    broker: BrokerSettings = Field(default_factory=BrokerSettings)
    controller: ControllerSettings = Field(default_factory=ControllerSettings)
    topic: tuple[TopicSettings, ...] = Field(
        default_factory=lambda: (TopicSettings(name="test-topic", partitions=4),),
        description="a list of [[topic]]",
    )
    producer: ProducerSettings = Field(default_factory=ProducerSettings)
    consumer: ConsumerSettings = Field(default_factory=ConsumerSettings)
    daemon: DaemonSettings = Field(default_factory=DaemonSettings)
    watchdog: WatchdogSettings = Field(default_factory=WatchdogSettings)
    disk: DiskSettings = Field(default_factory=DiskSettings)
    logs: LogSettings = Field(default_factory=LogSettings)
    backup: BackupSettings = Field(default_factory=BackupSettings)
    metrics_agent: MetricsAgentSettings = Field(default_factory=MetricsAgentSettings)

    @property
    def tools(self) -> dict[str, ToolSettings]:
        """The settings of the tools, by name."""
        return {name: value for name, value in self if isinstance(value, ToolSettings)}


def settings_model(tools: Iterable[ToolDefinition]) -> type[Settings]:
    """Return the model of the whole configuration, with a table for each tool."""
    tables: dict[str, Any] = {}
    for tool in tools:
        table = _tool_table(tool)
        tables[tool.name] = (table, Field(default_factory=table))
    return create_model("Settings", __base__=Settings, **tables)


def _tool_table(tool: ToolDefinition) -> type[ToolSettings]:
    fields: dict[str, Any] = {"port": (Port, Field(tool.default_port, description=_PORT))}
    for option in tool.options:
        text = Annotated[str, _matching(re.compile(option.pattern))]
        fields[option.key] = (text, Field(option.default, description=option.description))
    return create_model(f"{tool.name.capitalize()}Settings", __base__=ToolSettings, **fields)


SETTINGS = settings_model(TOOL_DEFINITIONS)
"""The model of kraftd.toml."""
