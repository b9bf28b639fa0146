"""supervisord's RPC interface over its Unix socket, every call bounded in time, and the directory of that socket.

supervisord's RUNNING means alive for a second, nothing more; readiness is probed at Kafka and the apps. Whoever may
write to the directory could answer in supervisord's place.
"""

import errno
import http.client
import os
import socket
import struct
import xmlrpc.client
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from xml.parsers.expat import ExpatError

from kraftd.errors import KraftdError, RefusedError

SUPERVISORD = "supervisord"
"""The name in the marker of supervisord's own command line."""

_NO_FILE = 20
_NOT_EXECUTABLE = 21
_SPAWN_ERROR = 50
_ALREADY_STARTED = 60
_NOT_RUNNING = 70
_STILL_RUNNING = 91
_SHUTDOWN_STATE = 6
_DO_NOT_WAIT = False
_WAITING = "BACKOFF"

_ENDED_AFTER_SPAWN = ("Exited too quickly", "Bad exit code")
"""Texts that supervisord also reports as spawn errors, although the process did run."""

_CREDENTIALS = struct.Struct("3i")
_OTHERS_MAY_WRITE = 0o022
_ANYBODY_MAY_WRITE = 0o002


class SupervisorUnreachableError(KraftdError):
    """The control socket does not answer."""

    code = "supervisord_unreachable"
    reason = "its control socket does not answer"


class SupervisorRefusedError(KraftdError):
    """supervisord answered with a fault."""

    code = "supervisord_refused"
    reason = "supervisord refuses"


class OtherNamespaceError(RefusedError):
    """supervisord answers, but its pids are those of another container or sandbox, and mean other processes here."""

    code = "other_pid_namespace"


@dataclass(frozen=True, slots=True)
class SupervisedProcess:
    """The state of a program in supervisord.

    Attributes:
        state: STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN.
        pid: None while it does not run.
        started_at_s: Its last start, in seconds since the Unix epoch; None before the first.
        spawn_error: The reason why it could not be spawned; empty otherwise.
    """

    name: str
    group: str
    state: str
    pid: int | None
    started_at_s: float | None
    spawn_error: str


class Supervisor:
    """A supervisord.

    Attributes:
        listener_pid: The pid of who listens on its socket, as the kernel told at the last call: 0 for a process outside
            of this PID namespace; None where the system does not tell.
    """

    def __init__(self, socket_path: Path, *, timeout_s: float = 5.0) -> None:
        self._socket_path = socket_path
        self._timeout_s = timeout_s
        self.listener_pid: int | None = None

    def pid(self) -> int:
        """Return supervisord's own pid.

        Raises:
            SupervisorUnreachableError: supervisord does not answer in time.
        """
        return int(cast("int", self._call("getPID")))

    def processes(self) -> dict[str, SupervisedProcess]:
        """Return every program by its name without the group.

        Raises:
            SupervisorUnreachableError: supervisord does not answer in time.
        """
        rows = cast("list[dict[str, Any]]", self._call("getAllProcessInfo"))
        return {row["name"]: _process(row) for row in rows}

    def start(self, supervised_name: str) -> str:
        """Spawn a program and return at once; no error if it runs already, or has ended since.

        One that waits for supervisord's own next try, as the daemon whose port was taken, is spawned now.

        Returns:
            Why no process could be made for it, as where its log cannot be opened; empty where one was.

        Args:
            supervised_name: ``group:name``.

        Raises:
            SupervisorUnreachableError: supervisord does not answer in time.
            SupervisorRefusedError: The program cannot be spawned.
        """
        fault = self._start(supervised_name)
        if fault == _ALREADY_STARTED and self._process(supervised_name).state == _WAITING:
            # To supervisord it is started, and only a stop ends the wait.
            self.stop(supervised_name)
            fault = self._start(supervised_name)
        return self._process(supervised_name).spawn_error if fault == _SPAWN_ERROR else ""

    def _start(self, supervised_name: str) -> int | None:
        accepted = (_ALREADY_STARTED, _SPAWN_ERROR)
        answer = self._call("startProcess", supervised_name, _DO_NOT_WAIT, accept=accepted)
        return answer.faultCode if isinstance(answer, xmlrpc.client.Fault) else None

    def _process(self, supervised_name: str) -> SupervisedProcess:
        return _process(cast("dict[str, Any]", self._call("getProcessInfo", supervised_name)))

    def stop(self, supervised_name: str) -> None:
        """Send TERM and return at once; no error if the program does not run.

        Raises:
            SupervisorUnreachableError: supervisord does not answer in time.
            SupervisorRefusedError: supervisord refuses.
        """
        self._call("stopProcess", supervised_name, _DO_NOT_WAIT, accept=(_NOT_RUNNING,))

    def update(self) -> None:
        """Make supervisord follow its configuration file, as far as no program is stopped or started for it.

        A program that runs follows its changed section from its next start on; one without a section is forgotten once
        it is stopped.

        Raises:
            SupervisorUnreachableError: supervisord does not answer in time.
            SupervisorRefusedError: The file is wrong, or an earlier kraftd started this supervisord.
        """
        ((added, changed, removed),) = cast("list[list[list[str]]]", self._call("reloadConfig"))
        for group in (*added, *changed):
            self._call("addProcessGroup", group)
        for group in removed:
            self._call("removeProcessGroup", group, accept=(_STILL_RUNNING,))

    def shutdown(self) -> None:
        """Make supervisord stop the remaining programs and exit; no error if it already does.

        Raises:
            SupervisorUnreachableError: supervisord does not answer in time.
        """
        self._call("shutdown", accept=(_SHUTDOWN_STATE,))

    def _call(self, method: str, *arguments: object, accept: tuple[int, ...] = ()) -> object:
        transport = _UnixTransport(self._socket_path, self._timeout_s, self._note_listener)
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as proxy:
            try:
                return cast("object", getattr(proxy.supervisor, method)(*arguments))
            except xmlrpc.client.Fault as fault:
                if fault.faultCode in accept:
                    return fault
                raise _refused(method, arguments, fault) from fault
            except (OSError, http.client.HTTPException, xmlrpc.client.Error, ExpatError) as error:
                raise _unreachable(self._socket_path, error) from error

    def _note_listener(self, connected: socket.socket) -> None:
        if hasattr(socket, "SO_PEERCRED"):
            # unix(7): struct ucred, of when the peer called listen(2).
            credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            self.listener_pid = _CREDENTIALS.unpack(credentials)[0]


def _refused(method: str, arguments: tuple[object, ...], fault: xmlrpc.client.Fault) -> SupervisorRefusedError:
    # After its name, a fault may have a text: "NO_FILE: can't find command '/usr/bin/java'".
    reason = fault.faultString.partition(": ")[2] or fault.faultString
    if fault.faultCode in {_NO_FILE, _NOT_EXECUTABLE}:
        refused = SupervisorRefusedError(
            f"cannot start {str(arguments[0]).rpartition(':')[2]}: {reason}",
            hint="Put it back; or run 'kraftd setup', which fetches it again, then 'kraftd stop' and 'kraftd start'.",
            code="executable_missing",
        )
    else:
        call = " ".join((method, *map(str, arguments)))
        refused = SupervisorRefusedError(f"cannot carry out {call}: supervisord answered {fault.faultString}")
    refused.reason = reason
    return refused


def _unreachable(socket_path: Path, error: Exception) -> SupervisorUnreachableError:
    unreachable = SupervisorUnreachableError(
        f"cannot reach supervisord at {socket_path}: {error}", hint="'kraftd status' shows what runs."
    )
    is_gone = isinstance(error, FileNotFoundError)
    unreachable.reason = f"its control socket {socket_path} " + ("is gone" if is_gone else f"does not answer ({error})")
    return unreachable


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float, on_connected: Callable[[socket.socket], None]) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self._on_connected = on_connected

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
        self._on_connected(self.sock)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path, timeout_s: float, on_connected: Callable[[socket.socket], None]) -> None:
        super().__init__()
        self._path = path
        self._timeout_s = timeout_s
        self._on_connected = on_connected

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        # The base class closes the connection in this attribute; kept elsewhere, its descriptor would leak.
        connection = _UnixConnection(self._path, self._timeout_s, self._on_connected)
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


def make_socket_directory(path: Path) -> None:
    """Make a directory for the owner only, in one that exists.

    Raises:
        OSError: The operating system refuses, or the directory is in one that every user may write to, and does not
            belong to this user alone.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    found, above = path.lstat(), path.parent.stat()
    if not above.st_mode & _ANYBODY_MAY_WRITE:
        return
    if path.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & _OTHERS_MAY_WRITE:
        raise PermissionError(errno.EACCES, "it does not belong to this user alone", str(path))
