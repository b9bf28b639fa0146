"""The plan: every name, number and path of a cluster, decided before anything is written. Frozen data only."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from kraftd.spec.layout import Layout
from kraftd.spec.markers import Marker, java_marker, python_marker

DAEMON = "kraftd"
"""The daemon's program name."""


PROMETHEUS = "prometheus"
GRAFANA = "grafana"
"""The tools' program names, which are those of their executables too."""


class Kind(StrEnum):
    """What a program is."""

    DAEMON = "daemon"
    APP = "app"
    TOOL = "tool"
    BROKER = "broker"
    CONTROLLER = "controller"


GROUP_PRIORITIES = {Kind.DAEMON: 400, Kind.TOOL: 350, Kind.APP: 300, Kind.BROKER: 200, Kind.CONTROLLER: 100}
"""supervisord stops groups in descending priority, one after the other."""


def group_of(kind: Kind) -> str:
    """Return the supervisord group of a kind of program."""
    return "daemon" if kind is Kind.DAEMON else f"{kind.value}s"


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a node listens, and with what protection.

    Attributes:
        name: Kafka's listener name.
        security_protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
        host: The address it binds.
        advertised_host: The address that clients are told.
    """

    name: str
    security_protocol: str
    host: str
    port: int
    advertised_host: str

    @property
    def address(self) -> str:
        """The advertised ``host:port``."""
        return f"{self.advertised_host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Node:
    """A Kafka process: a broker, a controller, or both.

    Attributes:
        kind: BROKER for anything with a broker in it, CONTROLLER for a controller only.
        client: The clients' listener; None on a controller.
        controller: The quorum's listener; None on a broker that is no voter.
        config: The user's properties for this node, in the order of the file.
    """

    name: str
    kind: Kind
    node_id: int
    client: Listener | None
    controller: Listener | None
    jmx_port: int | None
    heap_bytes: int
    config: tuple[tuple[str, str], ...] = ()

    @property
    def roles(self) -> tuple[str, ...]:
        """Kafka's process.roles."""
        return tuple(role for role, has in (("broker", self.client), ("controller", self.controller)) if has)

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Every listener, the clients' first."""
        return tuple(listener for listener in (self.client, self.controller) if listener)


@dataclass(frozen=True, slots=True)
class App:
    """An HTTP app under uvicorn.

    Attributes:
        module: What Python runs.
        environment: The app's settings, as its ``.env`` holds them.
    """

    name: str
    module: str
    host: str
    port: int
    environment: tuple[tuple[str, str], ...]

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"http://{self.host}:{self.port}/"


@dataclass(frozen=True, slots=True)
class Executable:
    """A program that is installed on this machine.

    Attributes:
        home: Where the files are that ship with it; None where it needs none, or they were not found.
    """

    path: Path
    home: Path | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A program of others that looks at the cluster: Prometheus or Grafana.

    Attributes:
        health_path: Answers 200 while it serves.
        configuration_option: The option that takes the path of its configuration.
        configuration: The name of that file.
    """

    name: str
    host: str
    port: int
    executable: Executable
    health_path: str
    configuration_option: str
    configuration: str

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"http://{self.host}:{self.port}/"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which topics and groups are measured, and how much of them at most.

    Attributes:
        topics_allow: Patterns of names, in which ``*`` stands for any text.
        topics_deny: What of these is left out.
        max_partitions: Whole topics beyond it are left out.
        max_group_partitions: Groups beyond it are summed up only.
    """

    topics_allow: tuple[str, ...] = ("*",)
    topics_deny: tuple[str, ...] = ()
    groups_allow: tuple[str, ...] = ("*",)
    groups_deny: tuple[str, ...] = ()
    max_partitions: int = 10_000
    max_groups: int = 1000
    max_group_partitions: int = 20_000


@dataclass(frozen=True, slots=True)
class Daemon:
    """The observing process: where it serves, how often it looks, and at what.

    Attributes:
        probe: Whether a canary record goes through every broker.
    """

    host: str
    port: int
    interval_s: float
    lag_interval_s: float
    probe: bool = True
    selection: Selection = Selection()


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic that start creates.

    Attributes:
        assignment: Per partition the broker ids that hold it, the preferred leader first.
        config_items: The topic's own configuration, in the order of the file.
        stated: Which of partitions, replication_factor and assignment the user stated. The others are defaults, which
            a topic that exists need not follow: they change with the number of brokers.
    """

    name: str
    assignment: tuple[tuple[int, ...], ...]
    config_items: tuple[tuple[str, str], ...] = ()
    stated: tuple[str, ...] = ()

    @property
    def partitions(self) -> int:
        """The number of partitions."""
        return len(self.assignment)

    @property
    def replication_factor(self) -> int:
        """The replicas of each partition."""
        return len(self.assignment[0])

    @property
    def config(self) -> dict[str, str]:
        """The topic's own configuration."""
        return dict(self.config_items)


@dataclass(frozen=True, slots=True)
class Voter:
    """A member of the controller quorum, as ``controller.quorum.voters`` names it."""

    node_id: int
    host: str
    port: int


@dataclass(frozen=True)
class Plan:
    """One cluster."""

    cluster: str
    kafka_version: str
    layout: Layout
    nodes: tuple[Node, ...]
    voters: tuple[Voter, ...]
    topics: tuple[Topic, ...]
    apps: tuple[App, ...]
    daemon: Daemon
    tools: tuple[Tool, ...] = ()
    kafka_home: Path | None = None
    java_home: Path | None = None
    java_options: tuple[str, ...] = ()

    @cached_property
    def brokers(self) -> tuple[Node, ...]:
        """The nodes with a broker in them."""
        return tuple(node for node in self.nodes if node.kind is Kind.BROKER)

    @cached_property
    def controllers(self) -> tuple[Node, ...]:
        """The nodes that are controllers only."""
        return tuple(node for node in self.nodes if node.kind is Kind.CONTROLLER)

    @cached_property
    def bootstrap_servers(self) -> str:
        """What clients put into ``bootstrap.servers``."""
        return ",".join(broker.client.address for broker in self.brokers if broker.client)

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """The kind of every program, in the order in which people read them."""
        nodes = {node.name: node.kind for node in self.nodes}
        apps = {app.name: Kind.APP for app in self.apps}
        return {**nodes, **apps, **{tool.name: Kind.TOOL for tool in self.tools}, DAEMON: Kind.DAEMON}

    @cached_property
    def web_programs(self) -> tuple[App | Tool, ...]:
        """The programs that people open in a browser."""
        return (*self.apps, *self.tools)

    def tool(self, name: str) -> Tool | None:
        """Return the tool with a name; None where the plan has none."""
        return next((tool for tool in self.tools if tool.name == name), None)

    def marker(self, program: str) -> Marker:
        """Return the arguments by which a program's process is known as this cluster's.

        Tools refuse options that they do not know: the option with their configuration's path is theirs.
        """
        tool = self.tool(program)
        if tool is not None:
            path = self.layout.config(program) / tool.configuration
            return Marker((f"{tool.configuration_option}={path}",), executable=tool.executable.path.name)
        is_node = self.kinds[program] in (Kind.BROKER, Kind.CONTROLLER)
        return (java_marker if is_node else python_marker)(self.layout.identity(program))

    def supervised_name(self, program: str) -> str:
        """Return the name by which supervisord knows a program."""
        return f"{group_of(self.kinds[program])}:{program}"
