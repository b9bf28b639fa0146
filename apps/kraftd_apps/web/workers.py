"""Several processes behind one port: a parent that only starts, replaces and ends them."""

import contextlib
import logging
import os
import select
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PAUSE_S = 1.0
"""A worker is replaced at most once in so many seconds."""
_FEWEST_S = 2.0
_MOST_FAILURES = 5
_UNUSABLE = 2
"""The exit status of wrong settings: no other attempt can help."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker stands among those that share a port."""

    number: int
    lifeline: int
    """A file descriptor that becomes readable when the parent is gone, however it went."""
    spool: Path
    """A private directory, where each worker leaves its metrics for the others."""


def run_workers(serve: Callable[[Place], int], number: int) -> int:
    """Run so many workers until SIGTERM or SIGINT, which each of them gets, and return the exit status.

    A worker that ends by itself is replaced; the others go on meanwhile. Call it before the process has threads.

    Args:
        serve: What a worker does; its result is the worker's exit status.
        number: Of workers.
    """
    with tempfile.TemporaryDirectory(prefix="kraftd-workers-") as spool:
        return _Parent(serve, number, Path(spool)).run()


class _Parent:
    """Holds the workers, by pid."""

    def __init__(self, serve: Callable[[Place], int], number: int, spool: Path) -> None:
        self._serve = serve
        self._spool = spool
        self._numbers: dict[int, int] = {}
        self._started_s: dict[int, float] = {}
        self._due_s = dict.fromkeys(range(number), 0.0)
        self._lifeline, self._held = os.pipe()
        self._woken, self._wake = socket.socketpair()
        self._stopping = False
        self._failures = 0
        self._status = 0

    def run(self) -> int:
        for end in (self._wake, self._woken):
            end.settimeout(0)
        signal.set_wakeup_fd(self._wake.fileno())
        for number in _SIGNALS:
            signal.signal(number, _ignore)
        while self._numbers or not self._stopping:
            self._start_due()
            select.select([self._woken], [], [], self._wait_s())
            self._take_signals()
            self._reap()
        return self._status

    def _start_due(self) -> None:
        now_s = time.monotonic()
        for number in [number for number, due_s in self._due_s.items() if due_s <= now_s and not self._stopping]:
            del self._due_s[number]
            self._started_s[number] = now_s
            # A signal between the fork and the child's own handlers waits.
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            pid = os.fork()
            if pid == 0:
                self._become(number)
            self._numbers[pid] = number
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _become(self, number: int) -> None:
        """Be a worker, in the child; never returns."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for each in _SIGNALS:
                signal.signal(each, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            os.close(self._held)
            status = self._serve(Place(number, self._lifeline, self._spool))
        except BaseException:
            logger.exception("Worker %d failed", number)
        finally:
            logging.shutdown()
            # Not sys.exit: nothing of the parent's is to be cleaned up here.
            os._exit(status)

    def _wait_s(self) -> float | None:
        if self._stopping or not self._due_s:
            return None
        return max(0.0, min(self._due_s.values()) - time.monotonic())

    def _take_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            if set(self._woken.recv(4096)) & {signal.SIGTERM, signal.SIGINT}:
                self._stop(0)

    def _stop(self, status: int) -> None:
        if self._stopping:
            return
        self._stopping = True
        self._status = status
        for pid in self._numbers:
            os.kill(pid, signal.SIGTERM)

    def _reap(self) -> None:
        while self._numbers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._ended(self._numbers.pop(pid), os.waitstatus_to_exitcode(status))

    def _ended(self, number: int, status: int) -> None:
        if self._stopping:
            self._status = self._status or max(status, 0)
            return
        lived_s = time.monotonic() - self._started_s[number]
        self._failures = self._failures + 1 if lived_s < _FEWEST_S else 0
        if status == _UNUSABLE or self._failures == _MOST_FAILURES:
            self._stop(status if status > 0 else 1)
            return
        logger.error("Worker %d ended with %d: starting another", number, status)
        self._due_s[number] = self._started_s[number] + _PAUSE_S


def _ignore(_number: int, _frame: object) -> None:
    """Let a signal do nothing but wake the loop."""
