"""The kinds of programs: nodes, apps, tools and the daemon, and what each carries. A new tool is one entry."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from kraftd.plan.program import (
    CONSOLE,
    CONSOLE_ONLY,
    DAEMON,
    LOOPBACK,
    PLAINTEXT,
    Kind,
    Listener,
    Logs,
    Probe,
    Program,
    Purpose,
    Question,
    StartRule,
    StartStage,
    StopRule,
    StopStage,
)

PROMETHEUS = "prometheus"
GRAFANA = "grafana"
ALERTMANAGER = "alertmanager"
MONITORING = "monitoring"
"""The word for all tools together: ``kraftd start --with monitoring``."""

_HTTP = "HTTP"
_LISTENER_NAMES = {
    Purpose.CLIENT: "PLAINTEXT",
    Purpose.CONTROLLER: "CONTROLLER",
    Purpose.JMX: "JMX",
    Purpose.METRICS: "METRICS",
}
"""The names of a node's listeners."""
MIN_IN_SYNC_REPLICAS = "min.insync.replicas"
"""The property of brokers and topics."""
Properties: TypeAlias = tuple[tuple[str, str], ...]
"""Kafka's settings as keys and values, in the order of the user's file."""

_NODE_LOGS = Logs(("controller.log", "server.log", CONSOLE), "server.log", ("state-change.log", "gc.log"))
_BROKER_STOP = StopRule(StopStage.NODES, patience_s=330, has_logs=True)
"""A broker may wait 300 s for its controlled shutdown (KafkaBroker.shutdown)."""


@dataclass(frozen=True, slots=True)
class ToolHome:
    """The files that a tool needs in addition to its executable.

    Attributes:
        mark: A file that every home contains.
        packaged: The home in the operating system's packages.
    """

    mark: str
    packaged: Path


@dataclass(frozen=True, slots=True)
class ToolOption:
    """A key of a tool's table in kraftd.toml, beside ``enabled`` and ``port``: text.

    Attributes:
        pattern: What the whole value must match.
        description: What a value is, for the message that refuses one.
        remark: Its meaning, as a sentence for the sample of kraftd.toml.
    """

    key: str
    default: str
    pattern: str
    description: str
    remark: str


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A third-party tool that kraftd can run.

    Attributes:
        name: The name of its program, its table in kraftd.toml, its directories and its executable on the PATH.
        other_executable: The executable's name in packages that give it another one; empty if none does.
        does: Its purpose, as a clause for the sample of kraftd.toml.
        health_path: The path that answers 200 while the tool serves.
        configuration_option: The option that takes the path of its configuration.
        configuration: The name of that file.
        source: How to install it, on each system.
        renderer: The module with its ``arguments`` and ``files``; see render.tools.
        options: Its own keys in kraftd.toml.
        home: None if the executable is all it needs.
    """

    name: str
    default_port: int
    does: str
    health_path: str
    configuration_option: str
    configuration: str
    source: str
    renderer: str
    other_executable: str = ""
    options: tuple[ToolOption, ...] = ()
    home: ToolHome | None = None


TOOL_DEFINITIONS = (
    ToolDefinition(
        name=PROMETHEUS,
        default_port=9090,
        does="it scrapes the daemon, the apps and itself, and evaluates the alerts",
        health_path="/-/ready",
        configuration_option="--config.file",
        configuration="prometheus.yml",
        source=(
            "Debian: apt install prometheus; Fedora: dnf install golang-github-prometheus; Homebrew: brew install "
            "prometheus; or prometheus.io"
        ),
        renderer="kraftd.render.prometheus",
        options=(
            ToolOption(
                "retention",
                "15d",
                r"[1-9][0-9]*[hdwy]",
                "a whole number followed by h, d, w or y",
                "What is older is deleted: a whole number followed by h, d, w or y.",
            ),
            ToolOption(
                "retention_size",
                "1GB",
                r"[1-9][0-9]*(MB|GB|TB)",
                "a whole number followed by MB, GB or TB",
                "The oldest is deleted beyond this size: a whole number followed by MB, GB or TB.",
            ),
        ),
    ),
    ToolDefinition(
        name=ALERTMANAGER,
        # Its own default is 9093, the port of broker 2.
        default_port=9193,
        does="it groups the alerts of Prometheus and sends them on",
        health_path="/-/ready",
        configuration_option="--config.file",
        configuration="alertmanager.yml",
        source=(
            "Debian: apt install prometheus-alertmanager; Fedora: dnf install golang-github-prometheus-alertmanager; "
            "Homebrew: brew install alertmanager; or prometheus.io"
        ),
        renderer="kraftd.render.alertmanager",
        other_executable="prometheus-alertmanager",
        options=(
            ToolOption(
                "webhook_url",
                "",
                r"(https?://\S+)?",
                'a URL that begins with http:// or https://, or ""',
                'Where to send alerts as JSON; "" sends them nowhere.',
            ),
        ),
    ),
    ToolDefinition(
        name=GRAFANA,
        default_port=3000,
        does="it runs, without a login, with Prometheus as its data source",
        health_path="/api/health",
        configuration_option="--config",
        configuration="grafana.ini",
        source="Debian: the repository of grafana.com; Fedora: dnf install grafana; Homebrew: brew install grafana",
        renderer="kraftd.render.grafana",
        home=ToolHome("conf/defaults.ini", Path("/usr/share/grafana")),
    ),
)
"""In the order in which they are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(Program):
    """A Kafka process: a broker, a controller, or both.

    Attributes:
        kind: BROKER for anything with a broker in it, CONTROLLER for a controller only.
        config: The user's properties for this node, in the order of the file.
    """

    node_id: int
    heap_bytes: int
    config: Properties = ()

    @property
    def client(self) -> Listener | None:
        """The first of the clients' listeners; None on a controller."""
        return self.first(Purpose.CLIENT)

    @property
    def controller(self) -> Listener | None:
        """The quorum's listener; None on a broker that is not a voter."""
        return self.first(Purpose.CONTROLLER)

    @property
    def jmx(self) -> Listener | None:
        """The JMX listener; None on a controller."""
        return self.first(Purpose.JMX)

    @property
    def kafka_listeners(self) -> tuple[Listener, ...]:
        """The listeners of server.properties, the clients' first."""
        return tuple(each for each in self.listeners if each.purpose in (Purpose.CLIENT, Purpose.CONTROLLER))

    @property
    def roles(self) -> tuple[str, ...]:
        """Kafka's process.roles."""
        return tuple(role for role, has in (("broker", self.client), ("controller", self.controller)) if has)


@dataclass(frozen=True, slots=True, kw_only=True)
class App(Program):
    """An HTTP app under uvicorn.

    Attributes:
        module: The Python module to run.
        environment: The app's settings, as its ``.env`` holds them.
    """

    module: str
    environment: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Executable:
    """A program that is installed on this machine.

    Attributes:
        home: The directory of the files that ship with it; None if it needs none, or they were not found.
    """

    path: Path
    home: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool(Program):
    """A third-party program that monitors the cluster, such as Prometheus.

    Attributes:
        configuration_option: The option that takes the path of its configuration.
        configuration: The name of that file.
        renderer: The module that makes its command line and its files.
        options: The values of its own keys in kraftd.toml.
    """

    executable: Executable
    configuration_option: str
    configuration: str
    renderer: str
    options: tuple[tuple[str, str], ...] = ()

    def option(self, key: str) -> str:
        """Return the value of one of its own keys.

        Raises:
            KeyError: Its definition has no such key.
        """
        return dict(self.options)[key]


@dataclass(frozen=True, slots=True)
class Selection:
    """The topics and groups to measure, and the limits on their number.

    Attributes:
        topics_allow: Patterns of names, in which ``*`` stands for any text.
        topics_deny: Patterns of names to exclude from these.
        max_partitions: Whole topics beyond this limit are excluded.
        max_group_partitions: Groups beyond this limit have only their sums.
    """

    topics_allow: tuple[str, ...] = ("*",)
    topics_deny: tuple[str, ...] = ()
    groups_allow: tuple[str, ...] = ("*",)
    groups_deny: tuple[str, ...] = ()
    max_partitions: int = 10_000
    max_groups: int = 1000
    max_group_partitions: int = 20_000


@dataclass(frozen=True, slots=True)
class WatchdogLimits:
    """How long a program that runs may give no answer before it counts as hung, in seconds.

    Attributes:
        node_silent_s: Of nodes; their other replicas take over meanwhile.
        app_silent_s: Of apps and tools.
        start_silent_s: Of what does not listen, as while it starts: how long it may write nothing to its logs.
        daemon_silent_s: Of the daemon, which supervisord then ends, and of supervisord, which the daemon continues.
    """

    enabled: bool = True
    node_silent_s: float = 30.0
    app_silent_s: float = 15.0
    start_silent_s: float = 300.0
    daemon_silent_s: float = 30.0


@dataclass(frozen=True, slots=True)
class ScheduledBackups:
    """The backups that the daemon has made.

    Attributes:
        schedule: When, as ``parse_schedule`` reads it.
        keep: How many of the newest stay in the target; 0 for all.
        topics: Only these; all where none is named.
    """

    schedule: str
    target: str
    keep: int = 0
    incremental: bool = False
    topics: tuple[str, ...] = ()

    @property
    def has_url(self) -> bool:
        """Whether the target is the URL of an object store, and not a directory."""
        return "://" in self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon(Program):
    """The process that observes the cluster.

    Attributes:
        canary: Whether a canary record goes through every broker.
        allowed_hosts: Further names that a request may use in `Host`, in lower case; `*` allows every name.
    """

    interval_s: float
    lag_interval_s: float
    canary: bool = True
    selection: Selection = Selection()
    allowed_hosts: tuple[str, ...] = ()
    watchdog: WatchdogLimits = WatchdogLimits()
    backups: ScheduledBackups | None = None


def broker(node_id: int, listeners: tuple[Listener, ...], heap_bytes: int, config: Properties = ()) -> Node:
    """Return a broker, which is a controller too where it has a listener for that.

    It serves when its first listener answers, because KRaft opens that only after unfencing; with TLS or SASL an
    accepted connection is enough.

    Args:
        node_id: Its id.
        listeners: The clients' listener first.
        heap_bytes: The heap of its JVM.
        config: The user's properties.
    """
    client = listeners[0]
    question = Question.API_VERSIONS if client.security_protocol == PLAINTEXT else Question.CONNECTION
    return Node(
        name=f"broker-{node_id}",
        kind=Kind.BROKER,
        section="broker",
        listeners=listeners,
        probe=Probe(question, client.name),
        logs=_NODE_LOGS,
        start=StartRule(StartStage.BROKERS, needs_quorum=True),
        stop=_BROKER_STOP,
        node_id=node_id,
        heap_bytes=heap_bytes,
        config=config,
    )


def controller(node_id: int, listeners: tuple[Listener, ...], heap_bytes: int, config: Properties = ()) -> Node:
    """Return a controller that is not a broker, with the quorum's listener first.

    From outside only its port can be probed; whether it is a caught-up voter is for the quorum to answer.
    """
    return Node(
        name=f"controller-{node_id}",
        kind=Kind.CONTROLLER,
        section="controller",
        listeners=listeners,
        probe=Probe(Question.CONNECTION, listeners[0].name),
        logs=_NODE_LOGS,
        start=StartRule(StartStage.CONTROLLERS),
        stop=StopRule(StopStage.NODES, patience_s=30),
        node_id=node_id,
        heap_bytes=heap_bytes,
        config=config,
    )


def app(name: str, section: str, port: int, environment: tuple[tuple[str, str], ...]) -> App:
    """Return an app; its module has the name of its section in kraftd.toml."""
    return App(
        name=name,
        kind=Kind.APP,
        section=section,
        listeners=(_http(port),),
        probe=Probe(Question.HTTP, _HTTP, "/readyz"),
        logs=CONSOLE_ONLY,
        start=StartRule(StartStage.SERVICES, needs_quorum=True),
        stop=StopRule(StopStage.CLIENTS, patience_s=20),
        has_metrics=True,
        module=f"kraftd_apps.{section}",
        environment=environment,
    )


def tool(
    definition: ToolDefinition, port: int, executable: Executable, options: Mapping[str, str] = MappingProxyType({})
) -> Tool:
    """Return a tool of this machine; the cluster goes on without it.

    Args:
        definition: The tool.
        port: Its port.
        executable: Where it is installed.
        options: The values of its own keys; those that are absent have their defaults.
    """
    return Tool(
        name=definition.name,
        kind=Kind.TOOL,
        section=definition.name,
        listeners=(_http(port),),
        probe=Probe(Question.HTTP, _HTTP, definition.health_path),
        logs=CONSOLE_ONLY,
        start=StartRule(StartStage.OPTIONAL),
        stop=StopRule(StopStage.CLIENTS, patience_s=20),
        executable=executable,
        configuration_option=definition.configuration_option,
        configuration=definition.configuration,
        renderer=definition.renderer,
        options=tuple((option.key, options.get(option.key, option.default)) for option in definition.options),
    )


def daemon(
    port: int,
    *,
    interval_s: float,
    lag_interval_s: float,
    canary: bool = True,
    selection: Selection | None = None,
    allowed_hosts: tuple[str, ...] = (),
    watchdog: WatchdogLimits | None = None,
    backups: ScheduledBackups | None = None,
) -> Daemon:
    """Return the daemon, the only program that supervisord restarts by itself."""
    return Daemon(
        name=DAEMON,
        kind=Kind.DAEMON,
        section="daemon",
        listeners=(_http(port),),
        probe=Probe(Question.HTTP, _HTTP, "/livez"),
        logs=CONSOLE_ONLY,
        start=StartRule(StartStage.SERVICES, by_supervisord=True),
        stop=StopRule(StopStage.SUPERVISION, patience_s=10),
        has_metrics=True,
        interval_s=interval_s,
        lag_interval_s=lag_interval_s,
        canary=canary,
        selection=selection or Selection(),
        allowed_hosts=allowed_hosts,
        watchdog=watchdog or WatchdogLimits(),
        backups=backups,
    )


def kafka_listener(purpose: Purpose, port: int) -> Listener:
    """Return a listener of a node: on loopback, without encryption."""
    return Listener(_LISTENER_NAMES[purpose], purpose, LOOPBACK, port)


def _http(port: int) -> Listener:
    return Listener(_HTTP, Purpose.HTTP, LOOPBACK, port)


def default_replication_factor(brokers: int) -> int:
    """Return the default replication factor of a topic."""
    return min(3, brokers)


def min_in_sync_replicas(replicas: int) -> int:
    """Return a min.insync.replicas that allows writes with acks=all while one broker is down."""
    return max(1, min(replicas, 3) - 1)


def default_min_in_sync_replicas(nodes: Iterable[Node]) -> int:
    """Return the brokers' min.insync.replicas, the default of every topic, including existing ones.

    It depends on the brokers of the first format, the voters, only: adding a broker does not change it.
    """
    voting_brokers = [node for node in nodes if node.client and node.controller]
    return min_in_sync_replicas(default_replication_factor(len(voting_brokers)))
