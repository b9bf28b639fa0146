"""Commands to a running JVM of this user through HotSpot's attach mechanism, as jcmd sends them, but without a JVM.

The protocol is HotSpot's (attachListener_posix.cpp, version 1): a file in the target's working directory and SIGQUIT
make the target listen on a Unix socket in the temporary directory.
"""

import contextlib
import os
import signal
import socket
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil

from kraftd.clock import Clock
from kraftd.errors import KraftdError
from kraftd.host.files import read_text, write_changed
from kraftd.host.processes import Process, is_alive, send_signal
from kraftd.plan.program import Listener
from kraftd.render.server_properties import escaped

_TIMEOUT_S = 5.0
_POLL_S = 0.005
_ARGUMENTS = 3
_LOADED = ("return code: 0", "0")
"""The answers to an agent that was loaded, of a newer Java and an older one."""


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
    path = temporary_directory() / f".java_pid{process.pid}"
    if not _listens(path):
        _wake_listener(process, path, clock)
    status, _, text = _exchange(path, words).partition("\n")
    if status != "0":
        raise AttachError(f"cannot {what} in the JVM {process.pid}: {text.strip() or status or 'no answer'}")
    return text


def _listens(path: Path) -> bool:
    """Return whether a JVM of this user listens on a path.

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
