"""How long something took, what CPU it cost, and what else the machine was doing meanwhile."""

import contextlib
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil

QUIET_CORES = 0.3
"""Others use less than this: the machine is quiet."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What something took.

    Attributes:
        wall_s: From its call to its return.
        cpu_s: CPU seconds of all its processes until then, those that go on running included.
        others: Cores that everything else on this machine used meanwhile, on average.
    """

    wall_s: float
    cpu_s: float
    others: float


def end_on_signals() -> None:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does: what it started is stopped first."""

    def end(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def measure(call: Callable[[], object], left_running: Callable[[], Iterable[int]] = tuple) -> Cost:
    """Call something that starts processes.

    Args:
        call: What to measure; processes that it waited for are counted.
        left_running: Returns the pids that it started and left running, for their CPU time.
    """
    machine_s, children_s, began_s = _machine_cpu_s(), _own_cpu_s(), time.monotonic()
    call()
    wall_s = time.monotonic() - began_s
    machine_s, children_s = _machine_cpu_s() - machine_s, _own_cpu_s() - children_s
    cpu_s = children_s + sum(_process_cpu_s(pid) for pid in left_running())
    return Cost(wall_s, cpu_s, max(0.0, machine_s - cpu_s) / wall_s)


def wait_for_quiet(limit_s: float) -> None:
    """Wait until nothing else uses this machine, at most so long."""
    deadline_s = time.monotonic() + limit_s
    while time.monotonic() < deadline_s:
        if measure(lambda: time.sleep(1)).others < QUIET_CORES:
            return


def _machine_cpu_s() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + getattr(times, "irq", 0) + getattr(times, "softirq", 0))


def _own_cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _process_cpu_s(pid: int) -> float:
    with contextlib.suppress(psutil.Error):
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
    return 0.0
