"""How much memory this machine, or this container, has."""

import errno
import re
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def total_bytes(limit_files: tuple[Path, ...] = _CGROUP_LIMITS) -> int:
    """Return the memory that processes here may use together: the machine's, or the cgroup's lower limit."""
    limits = [int(psutil.virtual_memory().total)]
    for path in limit_files:
        try:
            text = path.read_text(encoding="ascii").strip()
        except OSError:
            continue  # no such kind of cgroup here
        if text.isdecimal():
            limits.append(int(text))
    return min(limits)


_PROGRAM = re.compile(r"(?:-Dkraftd\.program|-X kraftd)=(?P<state_dir>/.*?)/(?P<name>[\w-]+)(?: -|$|\.\.\.)")
"""The marker that the programs of a cluster carry in their command line."""


@dataclass(frozen=True, slots=True)
class PortHolder:
    """The process that has a port.

    Attributes:
        pid: None where the operating system does not tell this user.
        command: Its command line, shortened; empty where unknown.
    """

    pid: int | None
    command: str = ""

    def __str__(self) -> str:
        if self.pid is None:
            return "a process of another user"
        ours = _PROGRAM.search(self.command)
        if ours is not None:
            return f"pid {self.pid} ({ours['name']} of the kraftd cluster in {ours['state_dir']})"
        return f"pid {self.pid} ({self.command})"


def is_free(host: str, port: int) -> bool:
    """Return whether a server could listen there now.

    ``SO_REUSEADDR`` as servers set it: connections in TIME_WAIT do not count, listeners do.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
        return True


def holder_of(port: int) -> PortHolder:
    """Return who has a port, as far as this user may know."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return PortHolder(None)
    holders = {each.status: each.pid for each in connections if each.laddr and each.laddr.port == port and each.pid}
    # Without a listener, a connection that goes out from this port is in the way.
    pid = holders.get(psutil.CONN_LISTEN) or next(iter(holders.values()), None)
    return PortHolder(pid, _command(pid)) if pid else PortHolder(None)


def _command(pid: int) -> str:
    try:
        text = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return "?"
    return text if len(text) <= 120 else text[:117] + "..."
