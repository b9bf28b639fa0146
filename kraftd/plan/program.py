"""The program, the unit of a plan: its listeners, identity, probe, start and stop. Frozen data only."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath

LOOPBACK = "127.0.0.1"
"""The one address that kraftd binds and advertises."""

DAEMON = "kraftd"
"""The daemon's program name."""

PLAINTEXT = "PLAINTEXT"
"""Kafka's security protocol without encryption and authentication."""

CONSOLE = "console.log"
"""The file into which supervisord captures a program's stdout and stderr."""


@dataclass(frozen=True, slots=True)
class Marker:
    """Arguments that prove a process to be a certain program of a certain cluster.

    A path alone is no proof: an editor, a pager or a backup also has the cluster's paths in its arguments.

    Attributes:
        arguments: Consecutive arguments of the command line.
        executable: The name of the executable, or of the script; empty if the arguments are proof enough.
    """

    arguments: tuple[str, ...]
    executable: str = ""

    def marks(self, command: Sequence[str]) -> bool:
        """Return whether this command line, executable first, is the program's."""
        if self.executable and self.executable not in [PurePath(word).name for word in command[:2]]:
            return False
        count = len(self.arguments)
        return any(tuple(command[at : at + count]) == self.arguments for at in range(1, len(command)))


def java_marker(identity: str) -> Marker:
    """Return the marker of a JVM: a system property that Kafka does not read."""
    return Marker((f"-Dkraftd.program={identity}",), executable="java")


def python_marker(identity: str) -> Marker:
    """Return the marker of a Python program: Python keeps an unknown -X option and ignores it."""
    return Marker(("-X", f"kraftd={identity}"))


class Kind(StrEnum):
    """The kind of a program."""

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


class Purpose(StrEnum):
    """The purpose of a port."""

    CLIENT = "client listener"
    CONTROLLER = "controller listener"
    JMX = "JMX"
    METRICS = "metrics agent"
    HTTP = "HTTP"


MONITORING = (Purpose.JMX, Purpose.METRICS)
"""A node serves without these."""


@dataclass(frozen=True, slots=True)
class Listener:
    """An address on which a program listens, with its security protocol.

    Attributes:
        name: Unique within its program; for Kafka's listeners, the name in server.properties.
        host: The address to bind.
        security_protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
        advertised_host: The address for clients, if it differs.
    """

    name: str
    purpose: Purpose
    host: str
    port: int
    security_protocol: str = PLAINTEXT
    advertised_host: str | None = None

    @property
    def address(self) -> str:
        """The ``host:port`` that clients use."""
        return f"{self.advertised_host or self.host}:{self.port}"


class Question(StrEnum):
    """The kind of a probe."""

    API_VERSIONS = "api_versions"
    CONNECTION = "connection"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Probe:
    """The readiness probe of a program.

    Attributes:
        listener: The name of the listener to probe.
        path: The path of an HTTP probe; 200 means that the program serves.
    """

    question: Question
    listener: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Logs:
    """The log files of a program, by their names in its directory of logs.

    Attributes:
        files: The log files, the most informative one about a failure last.
        main: The file to show to people.
        further: Log files that say nothing about a failure.
    """

    files: tuple[str, ...]
    main: str
    further: tuple[str, ...] = ()


CONSOLE_ONLY = Logs((CONSOLE,), CONSOLE)


class StartStage(StrEnum):
    """The stage of a start to which a program belongs; apps and tools need the brokers and controllers first."""

    BROKERS = "brokers"
    CONTROLLERS = "controllers"
    SERVICES = "services"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True)
class StartRule:
    """The rule for starting a program.

    Attributes:
        needs_quorum: Whether it serves only while a majority of the voters runs.
        by_supervisord: Whether supervisord starts and restarts it by itself.
    """

    stage: StartStage
    needs_quorum: bool = False
    by_supervisord: bool = False


class StopStage(StrEnum):
    """The stages in which `kraftd stop` stops programs: clients together, nodes in an order of their own."""

    CLIENTS = "clients"
    NODES = "nodes"
    SUPERVISION = "supervision"


@dataclass(frozen=True, slots=True)
class StopRule:
    """The rule for stopping a program.

    Attributes:
        patience_s: Seconds between TERM and KILL.
        has_logs: Whether it stores records, so that a clean end includes closing their logs.
    """

    stage: StopStage
    patience_s: int
    has_logs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program that supervisord runs.

    Attributes:
        section: The table of kraftd.toml that configures it.
        listeners: Every listener; the first one is for people and clients.
        has_metrics: Whether its first listener serves ``/metrics`` to Prometheus.
    """

    name: str
    kind: Kind
    section: str
    listeners: tuple[Listener, ...]
    probe: Probe
    logs: Logs
    start: StartRule
    stop: StopRule
    has_metrics: bool = False

    @property
    def host(self) -> str:
        """The address that its first listener binds."""
        return self.listeners[0].host

    @property
    def port(self) -> int:
        """The port of its first listener."""
        return self.listeners[0].port

    @property
    def url(self) -> str:
        """The URL for browsers; empty if the program does not speak HTTP."""
        first = self.listeners[0]
        return f"http://{first.host}:{first.port}/" if first.purpose is Purpose.HTTP else ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """The ``host:port`` of every listener that serves the program's own purpose."""
        return tuple(each.address for each in self.listeners if each.purpose not in MONITORING)

    @property
    def metrics(self) -> Listener | None:
        """The listener that serves ``/metrics`` to Prometheus; None where the program has none."""
        return self.first(Purpose.METRICS) or (self.listeners[0] if self.has_metrics else None)

    @property
    def supervised_name(self) -> str:
        """The program's name in supervisord, with its group."""
        return f"{group_of(self.kind)}:{self.name}"

    def listener(self, name: str) -> Listener:
        """Return the listener with a name."""
        return next(each for each in self.listeners if each.name == name)

    def first(self, purpose: Purpose) -> Listener | None:
        """Return the first listener for a purpose; None where it has none."""
        return next((each for each in self.listeners if each.purpose is purpose), None)
