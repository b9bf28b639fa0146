"""The plan: every name, number and path of a cluster, decided before anything is written. Frozen data only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kraftd.errors import unknown_name
from kraftd.plan.kinds import App, Daemon, Node, Tool
from kraftd.plan.layout import Layout
from kraftd.plan.program import (
    GROUP_PRIORITIES,
    PLAINTEXT,
    Kind,
    Listener,
    Marker,
    Program,
    Purpose,
    StartStage,
    StopStage,
    java_marker,
    python_marker,
)

MIN_FREE_DISK_BYTES = 256 * 1024**2
"""Enough for a start and a stop, which write some 20 MiB, and to delete records; a large disk must not be refused."""

_SECURITY_PROTOCOL = "security.protocol"


WRITER_KEEPS_FILES = 5
"""How many files supervisord, log4j and the JVM number by themselves; the daemon takes them over within seconds."""


@dataclass(frozen=True, slots=True)
class LogRotation:
    """How the logs of programs are rotated.

    Attributes:
        max_bytes: The size at which a file is full, and another is begun.
        kept_files: How many rotated files of each log are kept.
        is_daily: Whether what a program writes to its console goes into another file each day, however little it is.
    """

    max_bytes: int = 10 * 1024**2
    kept_files: int = 7
    is_daily: bool = True

    @property
    def most_bytes(self) -> int:
        """The most that the files of one log take: that which is written to, those of its writer, and those kept."""
        return self.max_bytes * (1 + WRITER_KEEPS_FILES + self.kept_files)


@dataclass(frozen=True, slots=True)
class Access:
    """The addresses and client properties with which clients reach a cluster.

    Attributes:
        addresses: The brokers that clients ask first, each ``host:port``.
        properties: Further properties that clients must set, under Kafka's names; none for plaintext.
    """

    addresses: tuple[str, ...]
    properties: tuple[tuple[str, str], ...] = ()

    @property
    def bootstrap_servers(self) -> str:
        """The value for ``bootstrap.servers``."""
        return ",".join(self.addresses)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of an app, such as KAFKA_BOOTSTRAP_SERVERS."""
        more = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in self.properties}
        return {"KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers, **more}


def access_to(listeners: Iterable[Listener]) -> Access:
    """Return the access to the brokers with these client listeners, which all have the same security protocol."""
    found = tuple(listeners)
    protocols = dict.fromkeys(each.security_protocol for each in found if each.security_protocol != PLAINTEXT)
    return Access(tuple(each.address for each in found), tuple((_SECURITY_PROTOCOL, each) for each in protocols))


def has_remote_storage(config: Mapping[str, str]) -> bool:
    """Return whether topics of brokers with these properties may have remote storage."""
    return config.get("remote.log.storage.system.enable", "").strip().lower() == "true"


@dataclass(frozen=True, slots=True)
class Port:
    """A port of the plan, with its program and purpose."""

    program: Program
    listener: Listener

    @property
    def number(self) -> int:
        """The port itself."""
        return self.listener.port

    @property
    def owner(self) -> str:
        """The program and purpose, such as ``broker-1 (client listener)``."""
        return f"{self.program.name} ({self.listener.purpose})"

    @property
    def setting(self) -> str | None:
        """The setting that chooses the port; None for Kafka's ports, which only the offset moves."""
        return f"{self.program.section}.port" if self.listener.purpose is Purpose.HTTP else None


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
    access: Access
    nodes: tuple[Node, ...]
    voters: tuple[Voter, ...]
    topics: tuple[Topic, ...]
    apps: tuple[App, ...]
    daemon: Daemon
    tools: tuple[Tool, ...] = ()
    kafka_home: Path | None = None
    java_home: Path | None = None
    java_options: tuple[str, ...] = ()
    min_free_disk_bytes: int = MIN_FREE_DISK_BYTES
    log_rotation: LogRotation = LogRotation()

    @cached_property
    def programs(self) -> tuple[Program, ...]:
        """Every program, in the order in which people read them."""
        return (*self.nodes, *self.apps, *self.tools, self.daemon)

    @cached_property
    def _by_name(self) -> dict[str, Program]:
        return {program.name: program for program in self.programs}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the programs, in the same order."""
        return tuple(self._by_name)

    @cached_property
    def from_top(self) -> tuple[Program, ...]:
        """Every program, dependents first: the daemon, tools, apps, brokers, controllers."""
        return tuple(sorted(self.programs, key=lambda program: -GROUP_PRIORITIES[program.kind]))

    @cached_property
    def brokers(self) -> tuple[Node, ...]:
        """The nodes with a broker in them."""
        return tuple(node for node in self.nodes if node.kind is Kind.BROKER)

    @cached_property
    def controllers(self) -> tuple[Node, ...]:
        """The nodes that are controllers only."""
        return tuple(node for node in self.nodes if node.kind is Kind.CONTROLLER)

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """Every listening port, in the order of the programs."""
        return tuple(Port(program, listener) for program in self.programs for listener in program.listeners)

    def program(self, name: str) -> Program:
        """Return the program with a name.

        Raises:
            KeyError: The plan has none.
        """
        return self._by_name[name]

    def starting(self, stage: StartStage, names: Iterable[str]) -> tuple[str, ...]:
        """Return which of some programs start in a stage."""
        return tuple(name for name in names if self.program(name).start.stage is stage)

    def stopping(self, stage: StopStage, names: Iterable[str]) -> tuple[str, ...]:
        """Return which of some programs are stopped in a stage, dependents first."""
        chosen = frozenset(names)
        return tuple(each.name for each in self.from_top if each.name in chosen and each.stop.stage is stage)

    @cached_property
    def web_programs(self) -> tuple[Program, ...]:
        """The programs, other than the daemon, with a page for browsers."""
        return tuple(each for each in self.programs if each.url and each is not self.daemon)

    def tool(self, name: str) -> Tool | None:
        """Return the tool with a name; None where the plan has none."""
        return next((tool for tool in self.tools if tool.name == name), None)

    def marker(self, program: str) -> Marker:
        """Return the arguments that identify a program's process as this cluster's.

        Tools refuse unknown options, so theirs is the option with the path of their configuration.
        """
        match self.program(program):
            case Tool() as tool:
                path = self.layout.config(program) / tool.configuration
                return Marker((f"{tool.configuration_option}={path}",), executable=tool.executable.path.name)
            case Node():
                return java_marker(self.layout.identity(program))
            case _:
                return python_marker(self.layout.identity(program))

    def check_names(self, names: Sequence[str]) -> None:
        """Refuse names that no program of the plan has.

        Raises:
            UnknownNameError: The plan has no such program; the hint lists those it has.
        """
        unknown = [name for name in names if name not in self.names]
        if unknown:
            message = f"cannot find the program {unknown[0]} in the cluster {self.cluster}"
            raise unknown_name(message, unknown[0], self.names)
