"""This machine: how much memory it has, and which process holds a TCP port."""

import errno
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


_PROGRAM = re.compile(r"(?:-Dkraftd\.program|-X kraftd)=(?P<state_dir>/.*?)/(?P<name>[\w-]+)(?: -|$|\.\.\.)")
"""The marker in the command lines of a cluster's programs."""


def total_bytes(limit_files: tuple[Path, ...] = _CGROUP_LIMITS) -> int:
    """Return the total memory for processes: the machine's, or the cgroup's limit if that is lower."""
    limits = [int(psutil.virtual_memory().total)]
    for path in limit_files:
        try:
            text = path.read_text(encoding="ascii").strip()
        except OSError:
            continue  # this kind of cgroup does not exist on this machine
        if text.isdecimal():
            limits.append(int(text))
    return min(limits)


def allows_execution(directory: Path) -> bool:
    """Return whether files in a directory, which may not exist yet, can be executed and mapped as libraries."""
    existing = next(path for path in (directory, *directory.parents) if os.path.exists(path))  # noqa: PTH110 False where it is refused
    return not os.statvfs(existing).f_flag & getattr(os, "ST_NOEXEC", 0)


@dataclass(frozen=True, slots=True)
class PortHolder:
    """The process that holds a port.

    Attributes:
        pid: None if the operating system does not show it to this user.
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
    """Return whether a server could listen on a port now.

    Uses ``SO_REUSEADDR`` as servers do, so that connections in TIME_WAIT do not count.
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
    """Return the process that holds a port, as far as this user may see it."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return PortHolder(None)
    holders = {each.status: each.pid for each in connections if each.laddr and each.laddr.port == port and each.pid}
    # Without a listener, an outgoing connection from this port blocks it.
    pid = holders.get(psutil.CONN_LISTEN) or next(iter(holders.values()), None)
    return PortHolder(pid, _command(pid)) if pid else PortHolder(None)


def _command(pid: int) -> str:
    try:
        text = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return "?"
    return text if len(text) <= 120 else text[:117] + "..."
