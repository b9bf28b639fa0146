"""Processes known by pid and incarnation, never by name alone: found, asked, signalled, watched, and replaced."""

import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import psutil

from kraftd.plan.program import Marker

_GONE = (psutil.NoSuchProcess, psutil.ZombieProcess)


def exec_program(command: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Replace this process by a program, which so receives every signal and sets the exit status.

    Raises:
        OSError: The program does not exist or cannot be run.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        # Python ignores these signals, and the program would inherit that.
        signal.signal(number, signal.SIG_DFL)
    os.execvpe(command[0], list(command), environ)  # noqa: S606 no shell is wanted


@dataclass(frozen=True, slots=True)
class Process:
    """One incarnation of a process: equal are those with the same pid and incarnation.

    Attributes:
        incarnation: With the pid unique until a reboot; it never changes.
        started_at_s: Its start, in seconds since the Unix epoch. On Linux it changes when the wall clock is set.
    """

    pid: int
    incarnation: float
    started_at_s: float = field(compare=False)
    command: tuple[str, ...] = field(default=(), compare=False)


def describe(pid: int) -> Process | None:
    """Return the live process with a pid; None if there is none, or it is a zombie."""
    incarnation = _incarnation(pid)
    if incarnation is None:
        return None
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return Process(pid, incarnation, process.create_time(), tuple(process.cmdline()))
    except _GONE:
        return None
    except psutil.AccessDenied:
        return Process(pid, incarnation, 0.0)


def known_process(pid: int) -> Process:
    """Return the process with a pid; of one that has ended, or that the system hides, the pid alone."""
    return describe(pid) or Process(pid, 0.0, 0.0)


def _incarnation(pid: int) -> float | None:
    """Return a live process's start, on a clock that is never set, if the system has one."""
    if sys.platform != "linux":
        return _created_at_s(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        # Where /proc is mounted with hidepid, a process of another user can only be that, and not the one asked for.
        return None
    # proc_pid_stat(5): the name in parentheses may hold anything; then the state, and 19 fields on the start in ticks.
    fields = stat[stat.rindex(b")") + 1 :].split()
    return None if fields[0] in (b"Z", b"X") else float(fields[19])


def _created_at_s(pid: int) -> float | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except _GONE:
        return None
    except psutil.AccessDenied:
        return 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    """The resources that a process uses, without its children.

    Attributes:
        cpu_s: CPU time since its start.
        open_files: None if the system does not report it.
    """

    cpu_s: float
    resident_bytes: int
    open_files: int | None
    threads: int


def usage(pid: int) -> Usage | None:
    """Return the resources of a live process; None if there is none, or access is denied."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            open_files = process.num_fds() if hasattr(process, "num_fds") else None
            return Usage(times.user + times.system, process.memory_info().rss, open_files, process.num_threads())
    except (*_GONE, psutil.AccessDenied):
        return None


def is_alive(process: Process) -> bool:
    """Return whether this incarnation still runs."""
    return _incarnation(process.pid) == process.incarnation


def find_by_marker(markers: Iterable[Marker]) -> dict[Marker, Process]:
    """Return this user's processes with one of the markers, by marker.

    Of several with the same marker the oldest is returned, because a forked child has its parent's command line.
    """
    wanted = tuple(markers)
    found: dict[Marker, Process] = {}
    for process in sorted(_own_processes(wanted), key=lambda each: each.incarnation):
        for marker in wanted:
            if marker.marks(process.command):
                found.setdefault(marker, process)
    return found


def send_signal(process: Process, number: signal.Signals) -> bool:
    """Send a signal to this incarnation; return False if it has ended.

    With a pidfd, no other process can take over the pid between the check and the signal.
    """
    try:
        descriptor = _pidfd(process.pid)
        if descriptor is None:
            if is_alive(process):
                os.kill(process.pid, number)
                return True
            return False
        try:
            if not is_alive(process):
                return False
            signal.pidfd_send_signal(descriptor, number)
            return True
        finally:
            os.close(descriptor)
    except ProcessLookupError:
        return False


def reap_children() -> dict[int, int]:
    """Reap every child that has ended, also one that this process was given as PID 1, and return their exit statuses.

    A status below zero is that of a signal. Only for a process in which nothing else waits for a child meanwhile.
    """
    ended: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = os.waitstatus_to_exitcode(found[1])
    return ended


class ExitWatch:
    """A watch for the exit of processes, prompt through pidfds; without pidfds it only waits for the timeout."""

    def __init__(self) -> None:
        self._descriptors: dict[int, int] = {}
        self._is_prompt = True
        self._poll = select.poll()
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
        self._poll.register(self._woken, select.POLLIN)

    def watch(self, pids: Iterable[int]) -> None:
        """Watch exactly these processes from now on."""
        wanted = set(pids)
        for pid in list(self._descriptors):
            if pid not in wanted:
                self._forget(pid)
        self._is_prompt = True
        for pid in wanted - self._descriptors.keys():
            with contextlib.suppress(ProcessLookupError):
                descriptor = _pidfd(pid)
                if descriptor is None:
                    self._is_prompt = False
                    continue
                self._descriptors[pid] = descriptor
                self._poll.register(descriptor, select.POLLIN)

    @property
    def is_prompt(self) -> bool:
        """Whether the exit of every watched process ends a wait at once."""
        return self._is_prompt

    def wait(self, timeout_s: float) -> tuple[int, ...]:
        """Wait for an exit and return the pids that ended; none after the timeout or a call of ``wake``.

        Each exit is reported once.
        """
        by_descriptor = {descriptor: pid for pid, descriptor in self._descriptors.items()}
        ready = [descriptor for descriptor, _ in self._poll.poll(timeout_s * 1000)]
        if self._woken in ready:
            os.read(self._woken, 4096)
        ended = tuple(by_descriptor[descriptor] for descriptor in ready if descriptor != self._woken)
        for pid in ended:
            self._forget(pid)
        return ended

    def wake(self) -> None:
        """End a wait at once, from another thread."""
        with contextlib.suppress(OSError):  # a full pipe wakes too, and a closed one has no reader
            os.write(self._wake, b"x")

    def close(self) -> None:
        """Stop watching and release the descriptors."""
        self.watch(())
        # Another thread may still wake: never what is opened next under this number.
        wake, self._wake = self._wake, -1
        for descriptor in (self._woken, wake):
            os.close(descriptor)

    def _forget(self, pid: int) -> None:
        descriptor = self._descriptors.pop(pid)
        self._poll.unregister(descriptor)
        os.close(descriptor)


def _pidfd(pid: int) -> int | None:
    """Return a pidfd; None if the kernel, a sandbox or the limit on open files prevents it.

    Raises:
        ProcessLookupError: The process does not exist.
    """
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except OSError:
        return None


def _own_processes(markers: Sequence[Marker]) -> Iterator[Process]:
    """Yield this user's processes, without those that cannot have one of the markers."""
    own_uid = os.getuid()
    texts = [os.fsencode(marker.arguments[-1]) for marker in markers]
    for pid in psutil.pids():
        with contextlib.suppress(*_GONE, psutil.AccessDenied):
            if _has_argument(pid, texts) and psutil.Process(pid).uids().real == own_uid and (process := describe(pid)):
                yield process


def _has_argument(pid: int, texts: Sequence[bytes]) -> bool:
    """Return whether a command line may hold one of the texts; a start asks every process of the machine."""
    if sys.platform != "linux":
        return True
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return any(text in command for text in texts)
