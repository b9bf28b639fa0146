"""A running JVM of this user: commands through HotSpot's attach mechanism, as jcmd sends them, and look-up of its JMX.

The attach protocol is HotSpot's (attachListener_posix.cpp, version 1): a file in the target's working directory and
SIGQUIT make the target listen on a Unix socket in the temporary directory.

The Java that comes with kraftd has no JNDI provider for RMI (module jdk.naming.rmi), so that its JMX clients cannot use
``service:jmx:rmi:///jndi/rmi://host:port/jmxrmi``. They accept the server's stub instead, which is looked up here.
"""

import base64
import contextlib
import os
import re
import signal
import socket
import stat
import struct
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil

from kraftd.clock import Clock
from kraftd.errors import KraftdError
from kraftd.host.files import read_text, write_changed
from kraftd.host.processes import Process, describe, is_alive, send_signal
from kraftd.plan.program import Listener
from kraftd.render.server_properties import escaped

_TIMEOUT_S = 5.0
_POLL_S = 0.005
_ARGUMENTS = 3
_LOADED = ("return code: 0", "0")
"""The answers to an agent that was loaded, of a newer Java and an older one."""

_LOOKUP_TIMEOUT_S = 10.0
_JNDI_URL = re.compile(r"service:jmx:rmi:(?://[^/]*)?/jndi/rmi://(?P<host>[^:/]+):(?P<port>\d+)/(?P<name>[\w.]+)")

_HANDSHAKE = struct.pack(">4sHB", b"JRMI", 2, 0x4C)
_CALL, _RETURN, _NORMAL_RETURN = 0x50, 0x51, 0x01
_STREAM_HEADER = b"\xac\xed\x00\x05"
_BLOCK_DATA, _STRING = 0x77, 0x74
_REGISTRY_ID = struct.pack(">qiqh", 0, 0, 0, 0)
_LOOKUP = struct.pack(">iq", 2, 4905912898345647071)
"""The operation and the interface hash of java.rmi.registry.Registry in the Java Remote Method Protocol."""

_UID_BYTES = 14


class AttachError(KraftdError):
    """A JVM cannot be attached to, or refuses the command."""

    code = "attach_failed"


def diagnostic_command(process: Process, command: str, clock: Clock) -> str:
    """Run a diagnostic command in a JVM and return its output.

    Only for a JVM that has finished booting: until it handles SIGQUIT, the signal would end it.

    Raises:
        AttachError: The JVM does not answer in time, or answers with an error.
    """
    return _attached(process, ("jcmd", command), f"run {command.split(' ', 1)[0]}", clock)


def load_agent(process: Process, argument: str, clock: Clock) -> None:
    """Load a Java agent into a JVM.

    Only for a JVM that has finished booting, as above. What the agent itself does when it fails is for the agent to
    decide: that of Prometheus ends the JVM.

    Args:
        process: The JVM.
        argument: The path of the jar, ``=``, and the agent's own options.
        clock: Time.

    Raises:
        AttachError: The JVM does not answer in time, or the agent did not load.
    """
    answer = _attached(process, ("load", "instrument", "false", argument), "load an agent", clock)
    if answer.strip() not in _LOADED:
        raise AttachError(f"cannot load an agent in the JVM {process.pid}: {answer.strip()}")


def _attached(process: Process, words: Sequence[str], what: str, clock: Clock) -> str:
    path = _socket_path(process.pid)
    if not _listens(path):
        _wake_listener(process, path, clock)
    status, _, text = _exchange(path, words).partition("\n")
    if status != "0":
        raise AttachError(f"cannot {what} in the JVM {process.pid}: {text.strip() or status or 'no answer'}")
    return text


def remove_sockets(pids: Iterable[int]) -> None:
    """Remove the sockets of JVMs of this user that had these pids: one that is killed leaves its own behind.

    What a living process has, whatever it is, stays.
    """
    for pid in pids:
        with contextlib.suppress(AttachError, OSError):
            path = _socket_path(pid)
            # One that has ended, and that nobody has waited for yet, listens no more.
            if describe(pid) is None and _listens(path):
                path.unlink()


def _socket_path(pid: int) -> Path:
    return temporary_directory() / f".java_pid{pid}"


def _listens(path: Path) -> bool:
    """Return whether a JVM of this user listens on a path, or did until it was killed.

    Raises:
        AttachError: The file belongs to another user, since every user may write to that directory.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise AttachError(f"cannot attach through {path}: {error}") from error
    is_private = not found.st_mode & (stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH)
    if not (stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid() and is_private):
        raise AttachError(
            f"cannot attach through {path}: it is not a socket that belongs to this user alone",
            hint=f"Find out who made {path} (ls -l), and remove it.",
        )
    return True


def _wake_listener(process: Process, path: Path, clock: Clock) -> None:
    deadline_s = clock.monotonic_s() + _TIMEOUT_S
    try:
        request = Path(psutil.Process(process.pid).cwd()) / f".attach_pid{process.pid}"
        request.touch(mode=0o600)
        try:
            send_signal(process, signal.SIGQUIT)
            while not _listens(path):
                if clock.monotonic_s() > deadline_s or not is_alive(process):
                    raise AttachError(f"cannot attach to the JVM {process.pid}: no answer within {_TIMEOUT_S:g} s")
                clock.sleep(_POLL_S)
        finally:
            request.unlink(missing_ok=True)
    except (psutil.Error, OSError) as error:
        raise AttachError(f"cannot attach to the JVM {process.pid}: {error}") from error


def _exchange(path: Path, words: Sequence[str]) -> str:
    words = ["1", *words, *[""] * (_ARGUMENTS + 1 - len(words))]
    answer = bytearray()
    try:
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(str(path))
            connection.sendall(b"".join(word.encode() + b"\0" for word in words))
            while chunk := connection.recv(4096):
                answer += chunk
    except OSError as error:
        raise AttachError(f"cannot attach through {path}: {error}") from error
    return answer.decode("utf-8", errors="replace")


def temporary_directory() -> Path:
    """Return the directory of HotSpot's sockets, which is java.io.tmpdir too where no option names another."""
    # HotSpot ignores TMPDIR; on macOS it uses the user's temporary directory.
    return Path("/tmp" if os.uname().sysname == "Linux" else tempfile.gettempdir())  # noqa: S108


JMX_USER = "kraftd"

_ALREADY = "already started"
_PROPERTIES = "management.properties"
_ACCESS = "jmxremote.access"
_PASSWORD = "jmxremote.password"  # noqa: S105 a file's name
_PASSWORD_BYTES = 16


def write_management_files(directory: Path) -> None:
    """Write the configuration of a cluster's JMX agents, readable by its owner only; keeps an existing password.

    Only one process may call this at a time.

    Raises:
        FileAccessError: The operating system refuses.
    """
    password = jmx_password(directory) or os.urandom(_PASSWORD_BYTES).hex()
    options = {
        "ssl": "false",
        "authenticate": "true",
        "password.file": str(directory / _PASSWORD),
        # Otherwise the agent replaces the password by its hash, which clients cannot use.
        "password.toHashes": "false",
        "access.file": str(directory / _ACCESS),
    }
    lines = [f"com.sun.management.jmxremote.{key}={escaped(value)}" for key, value in options.items()]
    write_changed(
        {
            directory / _PROPERTIES: "\n".join([*lines, ""]),
            directory / _ACCESS: f"{JMX_USER} readwrite\n",
            directory / _PASSWORD: f"{JMX_USER} {password}\n",
        }
    )


def jmx_password(directory: Path) -> str | None:
    """Return the password of the JMX agents with files in a directory; None if there are no files."""
    words = (read_text(directory / _PASSWORD) or "").split()
    return words[1] if len(words) == 2 else None


def enable_jmx(process: Process, listener: Listener, directory: Path, clock: Clock) -> None:
    """Make a JVM serve JMX clients on a port; does nothing if it does already.

    Args:
        process: A JVM that has finished booting.
        listener: The address for its registry and its server.
        directory: The directory of write_management_files.
        clock: Time.

    Raises:
        AttachError: The JVM refuses, or does not answer.
    """
    command = (
        f'ManagementAgent.start config.file="{directory / _PROPERTIES}" jmxremote.host={listener.host} '
        f"jmxremote.port={listener.port} jmxremote.rmi.port={listener.port}"
    )
    try:
        diagnostic_command(process, command, clock)
    except AttachError as error:
        if _ALREADY not in str(error):
            # The last line is the innermost exception, such as a port that is taken.
            why = str(error).splitlines()[-1].strip()
            raise AttachError(f"cannot open JMX on {listener.address}: {why}") from error


class JmxLookupError(KraftdError):
    """The registry does not answer, or does not have the name."""

    code = "jmx_lookup_failed"


def registry_address(url: str) -> str | None:
    """Return the ``host:port`` of the registry in a JMX service URL; None if it has none."""
    match = _JNDI_URL.fullmatch(url)
    return f"{match['host']}:{match['port']}" if match else None


def direct_url(url: str) -> str:
    """Return an equivalent JMX service URL that needs no JNDI.

    Raises:
        JmxLookupError: The registry does not answer, or does not have the name.
    """
    match = _JNDI_URL.fullmatch(url)
    if match is None:
        return url
    stub = _stub_of(match["host"], int(match["port"]), match["name"])
    return f"service:jmx:rmi:///stub/{base64.b64encode(stub).decode()}"


def _stub_of(host: str, port: int, name: str) -> bytes:
    """Return the serialized stub that a registry holds under a name."""
    encoded = name.encode()
    call = bytes([_CALL]) + _STREAM_HEADER + _block_data(_REGISTRY_ID + _LOOKUP)
    call += struct.pack(">BH", _STRING, len(encoded)) + encoded
    try:
        with socket.create_connection((host, port), timeout=_LOOKUP_TIMEOUT_S) as connection:
            connection.settimeout(_LOOKUP_TIMEOUT_S)
            connection.sendall(_HANDSHAKE + call)
            answer = bytearray()
            while chunk := connection.recv(65536):
                answer += chunk
    except OSError as error:
        raise JmxLookupError(
            f"cannot look up {name} at {host}:{port}: {error}", hint="'kraftd status' shows which brokers run."
        ) from error
    return _stub_in(bytes(answer), f"{name} at {host}:{port}")


def _stub_in(answer: bytes, what: str) -> bytes:
    head = bytes([_RETURN]) + _STREAM_HEADER + bytes([_BLOCK_DATA, 1 + _UID_BYTES, _NORMAL_RETURN])
    if not answer.startswith(head):
        raise JmxLookupError(f"cannot look up {what}: the answer is not from an RMI registry", hint="Check the port.")
    # The block holds no object, so dropping it does not change the object's back references.
    return _STREAM_HEADER + answer[len(head) + _UID_BYTES :]


def _block_data(data: bytes) -> bytes:
    return bytes([_BLOCK_DATA, len(data)]) + data
