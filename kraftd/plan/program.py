"""How the processes of a cluster are known: by arguments that nothing else is started with."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class Marker:
    """The proof that a process is a certain program of a certain cluster.

    A path alone proves nothing: an editor, a pager or a backup has the paths of our files in its arguments too.

    Attributes:
        arguments: They follow each other in the command line.
        executable: The name of what runs, or of the script that is run; empty where the arguments prove it.
    """

    arguments: tuple[str, ...]
    executable: str = ""

    def marks(self, command: Sequence[str]) -> bool:
        """Return whether a process with this command line, the executable first, is the program."""
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


LOOPBACK = "127.0.0.1"
"""The one address that kraftd binds and advertises."""

DAEMON = "kraftd"
"""The daemon's program name."""

PLAINTEXT = "PLAINTEXT"
"""Kafka's security protocol without encryption and authentication."""


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


class Purpose(StrEnum):
    """What a port is for."""

    CLIENT = "client listener"
    CONTROLLER = "controller listener"
    JMX = "JMX"
    HTTP = "HTTP"


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a program listens, and with what protection.

    Attributes:
        name: Unique in its program; of Kafka's listeners, the name in server.properties.
        host: The address that it binds.
        security_protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
        advertised_host: The address that clients are told, where that is another one.
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
    """How a program is asked whether it serves."""

    API_VERSIONS = "api_versions"
    CONNECTION = "connection"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Probe:
    """The question whether a program serves.

    Attributes:
        listener: The name of the listener that is asked.
        path: What is requested by HTTP; 200 means that it serves.
    """

    question: Question
    listener: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Logs:
    """The log files of a program, by their names in its directory of logs.

    Attributes:
        files: The file that tells most about a failure comes last.
        main: What people want to see.
    """

    files: tuple[str, ...]
    main: str


CONSOLE = "console.log"
"""What supervisord captures of a program's stdout and stderr."""

CONSOLE_ONLY = Logs((CONSOLE,), CONSOLE)


class StartStage(StrEnum):
    """When a program is started: brokers and controllers have an order of their own, the others need both."""

    BROKERS = "brokers"
    CONTROLLERS = "controllers"
    SERVICES = "services"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True)
class StartRule:
    """How a program comes up.

    Attributes:
        needs_quorum: Whether it serves only while most of the voters run.
        by_supervisord: Whether supervisord starts it, and starts it again, by itself.
    """

    stage: StartStage
    needs_quorum: bool = False
    by_supervisord: bool = False


class StopStage(StrEnum):
    """When `kraftd stop` ends a program, in this order: clients at once, nodes in an order of their own."""

    CLIENTS = "clients"
    NODES = "nodes"
    SUPERVISION = "supervision"


@dataclass(frozen=True, slots=True)
class StopRule:
    """How a program is ended.

    Attributes:
        patience_s: Seconds between TERM and KILL.
        has_logs: Whether it holds records, and ends cleanly only by closing their logs.
    """

    stage: StopStage
    patience_s: int
    has_logs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program that supervisord runs.

    Attributes:
        section: The table of kraftd.toml that configures it.
        listeners: Every port that it opens; the first one is what people and clients use.
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
        """Where a browser finds it; empty where it does not speak HTTP."""
        first = self.listeners[0]
        return f"http://{first.host}:{first.port}/" if first.purpose is Purpose.HTTP else ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it serves, JMX left out."""
        return tuple(each.address for each in self.listeners if each.purpose is not Purpose.JMX)

    @property
    def supervised_name(self) -> str:
        """The name by which supervisord knows it."""
        return f"{group_of(self.kind)}:{self.name}"

    def listener(self, name: str) -> Listener:
        """Return the listener with a name."""
        return next(each for each in self.listeners if each.name == name)

    def first(self, purpose: Purpose) -> Listener | None:
        """Return the first listener for a purpose; None where it has none."""
        return next((each for each in self.listeners if each.purpose is purpose), None)
