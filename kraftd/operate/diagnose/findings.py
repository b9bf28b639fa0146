"""The judgement on what `kraftd doctor` saw. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from kraftd.plan.plan import Plan
from kraftd.units import duration, plural, timestamp

LEAST_MAP_COUNT = 65_530
"""Linux' own default. Kafka maps two index files for each log segment."""

_MAPS_OF_A_SEGMENT = 2
_THREADS_OF_A_NODE = 150
_THREADS_OF_ANOTHER = 30
_CLOCK_TOLERANCE_S = 60.0


class Level(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        name: The check; stable.
        fact: What was seen.
        remedy: What to do; empty where nothing is to be done.
    """

    name: str
    status: Level
    fact: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The answer of ``kraftd doctor``."""

    cluster: str
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """1 where a check failed."""
        return int(any(finding.status is Level.FAILURE for finding in self.findings))


def processes(plan: Plan, limit: int | None) -> Finding:
    """Judge the limit of processes and threads of this user; None for no limit."""
    threads = len(plan.nodes) * _THREADS_OF_A_NODE + (len(plan.names) - len(plan.nodes)) * _THREADS_OF_ANOTHER
    if limit is None:
        return Finding("processes", Level.OK, "no limit")
    fact = f"this user may have {limit} processes and threads, and the cluster takes about {threads}"
    if limit >= threads:
        return Finding("processes", Level.OK, fact)
    return Finding("processes", Level.FAILURE, fact, "'ulimit -Hu' shows it, and limits.conf or TasksMax= raise it.")


def memory_maps(count: int | None) -> Finding:
    """Judge vm.max_map_count; None where the system has none."""
    if count is None:
        return Finding("vm.max_map_count", Level.OK, "this system has no such limit")
    fact = f"{count}: enough for about {plural(count // _MAPS_OF_A_SEGMENT, 'log segment')} in a broker"
    if count >= LEAST_MAP_COUNT:
        return Finding("vm.max_map_count", Level.OK, fact)
    return Finding("vm.max_map_count", Level.WARNING, fact, "sysctl -w vm.max_map_count=262144 raises it.")


def clock(now_s: float, newest_s: float | None) -> Finding:
    """Judge the wall clock by the newest file of the cluster."""
    if newest_s is None or newest_s <= now_s + _CLOCK_TOLERANCE_S:
        return Finding("clock", Level.OK, timestamp(now_s))
    fact = f"it is {timestamp(now_s)}, {duration(newest_s - now_s)} before the newest file of the cluster was written"
    return Finding("clock", Level.WARNING, fact, "Set the clock: Kafka deletes records by their times.")


def locale(encoding: str) -> Finding:
    """Judge the encoding of file names; programs themselves run in C.UTF-8."""
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        return Finding("locale", Level.OK, "file names are UTF-8, and programs run in C.UTF-8")
    fact = f"file names are {encoding}, and programs read them as UTF-8"
    return Finding("locale", Level.WARNING, fact, "Set LC_ALL=C.UTF-8.")


def supervision(running: Collection[str], unreachable: str | None, *, is_supervised: bool) -> Finding:
    """Judge whether what runs is supervised.

    Args:
        running: The programs that run.
        unreachable: Why supervisord does not answer; None where it does.
        is_supervised: Whether there is a supervisord.
    """
    names = ", ".join(running)
    if is_supervised and unreachable is None:
        return Finding("supervision", Level.OK, f"supervisord runs {names or 'nothing'}")
    if is_supervised:
        return Finding("supervision", Level.FAILURE, f"supervisord does not answer: {unreachable}", _RESTART)
    if running:
        return Finding("supervision", Level.FAILURE, f"without supervisord, nothing restarts {names}", _RESTART)
    return Finding("supervision", Level.OK, "nothing of the cluster runs")


_RESTART = "'kraftd start' ends and restarts them in order, 'kraftd stop' ends them."


def lock(holder: str | None) -> Finding:
    """Judge who holds the cluster's lock; None for nobody."""
    if holder is None:
        return Finding("lock", Level.OK, "no command holds it")
    return Finding("lock", Level.WARNING, f"{holder} holds it, and nothing is restarted meanwhile", "Wait, or end it.")


def temporary_directories(notes: Iterable[str], place: str, *, is_writable: bool) -> Finding:
    """Judge the places in which a JVM unpacks libraries and makes its sockets."""
    for note in notes:
        fact, _, remedy = note.partition("; ")
        return Finding("temporary directories", Level.WARNING, fact, f"{remedy}.")
    if not is_writable:
        fact = f"{place} cannot be written, so that JMX and the metrics agent cannot be opened"
        return Finding("temporary directories", Level.WARNING, fact, f"Make {place} writable (mode 1777).")
    return Finding("temporary directories", Level.OK, f"programs can be executed there, and {place} can be written")
