"""This machine: how much memory it has, and which process holds a TCP port."""

import errno
import os
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from kraftd.units import shortened

_MOST_CHARACTERS = 120
_OCTAL = re.compile(r"\\([0-7]{3})")
"""How proc_pid_mountinfo(5) writes a space and the like."""

_OOM_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)

_PROGRAM = re.compile(r"(?:-Dkraftd\.program|-X kraftd)=(?P<state_dir>/.*?)/(?P<name>[\w-]+)(?: -|$)")
"""The marker in the command lines of a cluster's programs."""


def total_bytes(proc: Path = Path("/proc/self")) -> int:
    """Return the total memory for processes: the machine's, or the lowest limit of the cgroups around this process.

    Args:
        proc: The directory in which the kernel describes this process.
    """
    # Without these files there are no cgroups.
    cgroups, mounts = (_text(proc / name) for name in ("cgroup", "mountinfo"))
    texts = [_text(path).strip() for path in memory_limit_files(cgroups, mounts)]
    return min([int(psutil.virtual_memory().total), *(int(text) for text in texts if text.isdecimal())])


def cores(proc: Path = Path("/proc/self")) -> int:
    """Return how many processors this process may use: those it is bound to, or what its cgroups allow, rounded up.

    Args:
        proc: The directory in which the kernel describes this process.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cgroups, mounts = (_text(proc / name) for name in ("cgroup", "mountinfo"))
    allowed = [*map(_cores_allowed, _limit_files(cgroups, mounts, "cpu", ("cpu.max", "cpu.cfs_quota_us")))]
    return min([bound, *(number for number in allowed if number is not None)])


def _cores_allowed(path: Path) -> int | None:
    """Return the quota in a cgroup's file as cores, rounded up; None for no limit."""
    quota, _, period = _text(path).strip().partition(" ")
    period = period or _text(path.with_name("cpu.cfs_period_us")).strip()
    # "max", or -1 in the first version, is no limit.
    is_limited = quota.isdecimal() and period.isdecimal() and int(period)
    return max(1, -(-int(quota) // int(period))) if is_limited else None


def memory_kills(proc: Path = Path("/proc")) -> int | None:
    """Return how many processes the kernel has ended because memory ran out, here or in a cgroup around this process.

    Args:
        proc: Where the kernel describes its processes.

    Returns:
        A number that only rises with each; None where the kernel tells none.
    """
    limits = memory_limit_files(_text(proc / "self" / "cgroup"), _text(proc / "self" / "mountinfo"))
    texts = [_text(proc / "vmstat"), *(_text(path.with_name("memory.events")) for path in limits)]
    counts = [int(found[1]) for text in texts for found in [_OOM_KILLS.search(text)] if found]
    return sum(counts) if counts else None


def memory_limit_files(cgroups: str, mounts: str) -> tuple[Path, ...]:
    """Return the files that may hold a memory limit of a process: those of its cgroup and of each one around it.

    Args:
        cgroups: The text of ``/proc/PID/cgroup``, cgroups(7).
        mounts: The text of ``/proc/PID/mountinfo``.
    """
    return _limit_files(cgroups, mounts, "memory", ("memory.max", "memory.limit_in_bytes"))


def _limit_files(cgroups: str, mounts: str, controller: str, names: tuple[str, str]) -> tuple[Path, ...]:
    """Return the files of a controller, by its file's name in the unified and in the first version of cgroups."""
    files: list[Path] = []
    for line in cgroups.splitlines():
        _, controllers, own = line.split(":", 2)
        is_unified = not controllers
        if not is_unified and controller not in controllers.split(","):
            continue
        for root, place in _cgroup_mounts(mounts, "" if is_unified else controller):
            # A container may see its own part of the tree only, or be given a path beyond it.
            inner = place / own[len(root) :].lstrip("/") if f"{own}/".startswith(f"{root}/") else place
            above = (each for each in (inner, *inner.parents) if each.is_relative_to(place))
            files += (each / names[0 if is_unified else 1] for each in above)
    return tuple(files)


def _cgroup_mounts(mounts: str, controller: str) -> Iterator[tuple[str, Path]]:
    """Yield where the cgroups of a controller, "" for the unified ones, are mounted: the directory, without a slash."""
    for line in mounts.splitlines():
        mount, _, source = line.partition(" - ")
        kind, _, options = source.split(" ", 2)
        if (kind == "cgroup" and controller in options.split(",")) if controller else kind == "cgroup2":
            root, place = (_OCTAL.sub(lambda code: chr(int(code[1], 8)), each) for each in mount.split(" ")[3:5])
            yield root.rstrip("/"), Path(place)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def max_map_count(path: Path = Path("/proc/sys/vm/max_map_count")) -> int | None:
    """Return how many parts of files and memory a process may map; None where the system has no such limit."""
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def allows_execution(directory: Path) -> bool:
    """Return whether files in a directory, which may not exist yet, can be executed and mapped as libraries."""
    return not os.statvfs(nearest_existing(directory)).f_flag & getattr(os, "ST_NOEXEC", 0)


def nearest_existing(path: Path) -> Path:
    """Return a path, or the nearest of its parents that exists and may be looked at."""
    return next(each for each in (path, *path.parents) if os.path.exists(each))  # noqa: PTH110 False where it is refused


@dataclass(frozen=True, slots=True)
class PortHolder:
    """The process that holds a port.

    Attributes:
        pid: None if the operating system does not show it to this user, or no process does.
        command: Its command line, shortened, or what else holds the port; empty where unknown.
    """

    pid: int | None
    command: str = ""

    def __str__(self) -> str:
        if self.pid is None:
            return self.command or "a process of another user or container"
        ours = _PROGRAM.search(self.command)
        if ours is not None:
            return f"pid {self.pid} ({ours['name']} of the kraftd cluster in {ours['state_dir']})"
        return f"pid {self.pid} ({self.command})"


def loopback_fault(host: str) -> str:
    """Return why nothing on this machine can connect to a local address; empty where it can.

    Sends nothing: only a route is looked for. A new network namespace lets a server bind an address of an interface
    that is down, and no client reach it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
            probe.connect((host, 9))
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return ""


def is_free(host: str, port: int) -> bool:
    """Return whether a server could listen on a port now.

    Uses ``SO_REUSEADDR`` as servers do, so that a server's own connections in TIME_WAIT do not count. An outgoing one
    without that option does, for a minute after its end.
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


def port_holder(host: str, port: int) -> PortHolder | None:
    """Return the process that listens on a host and port; None where it is free."""
    return None if is_free(host, port) else holder_of(port)


def holder_of(port: int, connections_of: Callable[[str], Sequence[Any]] = psutil.net_connections) -> PortHolder:
    """Return the process that holds a port, as far as this user may see it."""
    try:
        connections = connections_of("tcp")
    except psutil.AccessDenied:
        return PortHolder(None)
    here = [each for each in connections if each.laddr and each.laddr.port == port]
    if here and all(each.status == psutil.CONN_TIME_WAIT for each in here):
        return PortHolder(None, "an outgoing connection that has ended, for a minute at most")
    holders = {each.status: each.pid for each in here if each.pid}
    # Without a listener, an outgoing connection from this port blocks it.
    pid = holders.get(psutil.CONN_LISTEN) or next(iter(holders.values()), None)
    return PortHolder(pid, _command(pid)) if pid else PortHolder(None)


def _command(pid: int) -> str:
    try:
        return shown_command(" ".join(psutil.Process(pid).cmdline()))
    except psutil.Error:
        return "?"


def shown_command(text: str) -> str:
    """Return a command line shortened, but not within the marker of a program of a cluster: it would name another."""
    ours = _PROGRAM.search(text)
    return shortened(text, max(_MOST_CHARACTERS, ours.end() + 3 if ours else 0))
