"""supervisord over its Unix socket, every call bounded in time.

RUNNING here means alive for a second, nothing more; readiness is asked of Kafka and of the apps.
"""

import http.client
import socket
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from xml.parsers.expat import ExpatError

from kraftd.errors import KraftdError

SUPERVISORD = "supervisord"
"""Its name in the marker of its command line, as a program's name is in its own."""

_SPAWN_ERROR = 50
_ALREADY_STARTED = 60
_NOT_RUNNING = 70
_SHUTDOWN_STATE = 6
_DO_NOT_WAIT = False

_ENDED_AFTER_SPAWN = ("Exited too quickly", "Bad exit code")
"""What supervisord also calls a spawn error: the process did run."""


class SupervisorUnreachableError(KraftdError):
    """Nothing answers on the control socket."""

    code = "supervisord_unreachable"


class SupervisorRefusedError(KraftdError):
    """supervisord answered with a fault."""

    code = "supervisord_refused"


@dataclass(frozen=True, slots=True)
class SupervisedProcess:
    """What supervisord knows of a program.

    Attributes:
        state: STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN.
        pid: None while it does not run.
        started_at_s: Its last start, in seconds since the Unix epoch; None before the first.
        spawn_error: Why it could not be spawned; empty otherwise.
    """

    name: str
    group: str
    state: str
    pid: int | None
    started_at_s: float | None
    spawn_error: str


class Supervisor:
    """A supervisord."""

    def __init__(self, socket_path: Path, *, timeout_s: float = 5.0) -> None:
        self._socket_path = socket_path
        self._timeout_s = timeout_s

    def pid(self) -> int:
        """Return supervisord's own pid.

        Raises:
            SupervisorUnreachableError: Nothing answers in time.
        """
        return int(cast("int", self._call("getPID")))

    def processes(self) -> dict[str, SupervisedProcess]:
        """Return every program by its name without the group.

        Raises:
            SupervisorUnreachableError: Nothing answers in time.
        """
        rows = cast("list[dict[str, Any]]", self._call("getAllProcessInfo"))
        return {row["name"]: _process(row) for row in rows}

    def start(self, supervised_name: str) -> None:
        """Spawn a program and return at once; no fault where it runs already, or ended within that moment.

        Args:
            supervised_name: ``group:name``.

        Raises:
            SupervisorUnreachableError: Nothing answers in time.
            SupervisorRefusedError: It cannot be spawned.
        """
        self._call("startProcess", supervised_name, _DO_NOT_WAIT, accept=(_ALREADY_STARTED, _SPAWN_ERROR))

    def stop(self, supervised_name: str) -> None:
        """Send TERM and return at once; no fault where it does not run.

        Raises:
            SupervisorUnreachableError: Nothing answers in time.
            SupervisorRefusedError: supervisord refuses.
        """
        self._call("stopProcess", supervised_name, _DO_NOT_WAIT, accept=(_NOT_RUNNING,))

    def shutdown(self) -> None:
        """Make supervisord stop what still runs and exit; no fault where it is doing so.

        Raises:
            SupervisorUnreachableError: Nothing answers in time.
        """
        self._call("shutdown", accept=(_SHUTDOWN_STATE,))

    def _call(self, method: str, *arguments: object, accept: tuple[int, ...] = ()) -> object:
        transport = _UnixTransport(self._socket_path, self._timeout_s)
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as proxy:
            try:
                return cast("object", getattr(proxy.supervisor, method)(*arguments))
            except xmlrpc.client.Fault as fault:
                if fault.faultCode in accept:
                    return None
                raise SupervisorRefusedError(
                    f"cannot carry out {' '.join((method, *map(str, arguments)))}: "
                    f"supervisord answers {fault.faultString}"
                ) from fault
            except (OSError, http.client.HTTPException, xmlrpc.client.Error, ExpatError) as error:
                raise SupervisorUnreachableError(
                    f"cannot reach supervisord at {self._socket_path}: {error}",
                    hint="'kraftd status' shows what runs.",
                ) from error


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__()
        self._path = path
        self._timeout_s = timeout_s

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        # The base class closes what it finds here; a connection kept elsewhere would leak its descriptor.
        connection = _UnixConnection(self._path, self._timeout_s)
        self._connection = host, connection
        return connection


def _process(row: dict[str, Any]) -> SupervisedProcess:
    spawn_error = str(row["spawnerr"])
    return SupervisedProcess(
        name=row["name"],
        group=row["group"],
        state=row["statename"],
        pid=row["pid"] or None,
        started_at_s=float(row["start"]) if row["start"] else None,
        spawn_error="" if spawn_error.startswith(_ENDED_AFTER_SPAWN) else spawn_error,
    )
