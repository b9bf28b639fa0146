"""The judgement on what `kraftd doctor` saw. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from kraftd.plan.plan import Plan
from kraftd.render.sample import PROFILES, Profile, profile_of
from kraftd.units import duration, human_size, plural, timestamp

LEAST_MAP_COUNT = 65_530
"""Linux' own default. Kafka maps two index files for each log segment."""

_MAPS_OF_A_SEGMENT = 2
_THREADS_OF_A_NODE = 150
_THREADS_OF_ANOTHER = 30
_CLOCK_TOLERANCE_S = 60.0
_BESIDE_A_HEAP = 1.25
_PLACES_SHOWN = 3
_NODE_BYTES = 200 * 1024**2
_OTHER_BYTES = 80 * 1024**2
"""What a JVM takes beside its heap (code, threads, buffers), and what an app, a tool or the daemon takes, roughly."""


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


def rendered_files(damage: Mapping[Path, str], changed: Sequence[str], stopped: Collection[str]) -> Finding:
    """Judge the rendered files of a cluster that runs: what it runs with is read again at the next start.

    Args:
        damage: What is wrong with those that are not whole, by path.
        changed: The programs whose files differ from what the plan renders, each with the difference.
        stopped: The programs that do not run.
    """
    if damage:
        names = [name for name in stopped if any(name in path.parts for path in damage)]
        start = f", then run 'kraftd start {' '.join(names)}'" if names else ""
        fact = "; ".join(f"{path} {how}" for path, how in damage.items())
        return Finding("rendered files", Level.FAILURE, fact, f"Run 'kraftd apply', which writes them again{start}.")
    if changed:
        fact = f"not as this kraftd renders the plan, because of another version or an edit: {'; '.join(changed)}"
        return Finding("rendered files", Level.WARNING, fact, "'kraftd apply --dry-run' shows what they mean.")
    return Finding("rendered files", Level.OK, "they are as the plan has them")


def writable(refused: Sequence[Path], state_dir: str, *, is_read_only: bool) -> Finding:
    """Judge the directories that this user cannot write to.

    Args:
        refused: Those directories.
        state_dir: The directory of all of them.
        is_read_only: Whether a file system is read-only.
    """
    if not refused:
        return Finding("writable", Level.OK, f"{state_dir} and the directories of all programs can be written to")
    shown = ", ".join(map(str, refused[:_PLACES_SHOWN]))
    more = f" and {len(refused) - _PLACES_SHOWN} more" if len(refused) > _PLACES_SHOWN else ""
    if is_read_only:
        fact = f"the file system is read-only: {shown}{more}"
        return Finding("writable", Level.FAILURE, fact, "Mount it read-write, then run 'kraftd start'.")
    remedy = "Give this user access ('chown -R', 'chmod -R u+rwX'), then run 'kraftd start'."
    return Finding("writable", Level.FAILURE, f"this user cannot write to {shown}{more}", remedy)


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


@dataclass(frozen=True, slots=True)
class Machine:
    """What a cluster has at its disposal: of the machine, or of the container around it."""

    memory_bytes: int
    cores: int
    disk_bytes: int

    def fits(self, profile: Profile) -> bool:
        """Return whether a profile is made for a machine of this size."""
        return (
            self.memory_bytes >= profile.least_memory_bytes
            and self.cores >= profile.least_cores
            and self.disk_bytes >= profile.least_disk_bytes
        )

    def __str__(self) -> str:
        return (
            f"{plural(self.cores, 'core')}, {human_size(self.memory_bytes)} of memory and a disk of "
            f"{human_size(self.disk_bytes)}"
        )


def profiles(plan: Plan, values: Mapping[str, Any], machine: Machine) -> Finding:
    """Judge which profiles of ``kraftd init`` fit this machine, and whether the configuration does.

    Args:
        plan: The configured plan.
        values: Its settings by key.
        machine: Where it is to run.
    """
    fitting = [profile.name for profile in PROFILES if machine.fits(profile)]
    known = profile_of(values)
    needed_bytes = _needed_bytes(plan)
    configured = f"the profile {known.name}" if known else "none of the profiles"
    fact = (
        f"{machine}; fitting profiles: {', '.join(fitting) or 'none'}; "
        f"the configuration is {configured}, and takes about {human_size(needed_bytes)} of memory"
    )
    if machine.memory_bytes >= needed_bytes and (known is None or machine.fits(known)):
        return Finding("profile", Level.OK, fact)
    smaller = f"'kraftd init --profile {fitting[-1]} --force' writes one that fits, or lower" if fitting else "Lower"
    return Finding("profile", Level.WARNING, fact, f"{smaller} cluster.heap and cluster.brokers.")


def _needed_bytes(plan: Plan) -> int:
    heaps = sum(node.heap_bytes for node in plan.nodes)
    others = len(plan.names) - len(plan.nodes)
    beside = len(plan.nodes) * _NODE_BYTES + others * _OTHER_BYTES
    return round(heaps * _BESIDE_A_HEAP) + beside
