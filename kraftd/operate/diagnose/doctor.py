"""`kraftd doctor`: looks at this machine and one cluster, which may run or not. Changes nothing."""

import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import kraftd
from kraftd.errors import FileAccessError, KraftdError, RuntimeMissingError
from kraftd.health.programs.restarts import from_json
from kraftd.host.environment import highest_processes, open_files_of
from kraftd.host.files import read_text, tree_bytes
from kraftd.host.jvm import temporary_directory
from kraftd.host.lock import holder_now
from kraftd.host.machine import cores, max_map_count
from kraftd.observe.processes import ProcessTable
from kraftd.operate.apply.differences import Side, compare
from kraftd.operate.configuring import Configured, plan_for
from kraftd.operate.context import ClusterContext, CommandContext
from kraftd.operate.diagnose import findings
from kraftd.operate.diagnose.findings import Diagnosis, Finding, Level
from kraftd.operate.doors import Doors, real_doors
from kraftd.operate.ownership import refuse_data_in_use, refuse_foreign
from kraftd.operate.render import damage_to, located_files_of
from kraftd.operate.selection import ChosenCluster
from kraftd.operate.setup import metrics_agent_of, runtime_of, temporary_notes
from kraftd.operate.start.doors import StartDoors, start_doors
from kraftd.operate.start.formatting import unformatted
from kraftd.operate.start.preflight import (
    check_free_disk,
    check_loopback,
    check_memory,
    check_open_files,
    open_files_notes,
    ports_error,
    taken_ports,
)
from kraftd.operate.store import Store
from kraftd.plan.layout import Layout
from kraftd.plan.manifest import check_against
from kraftd.plan.plan import Plan
from kraftd.plan.program import LOOPBACK, Purpose
from kraftd.runtime.archive import OLDEST_JAVA
from kraftd.runtime.java import Java
from kraftd.runtime.runtime import Runtime
from kraftd.supervisord.rpc import OtherNamespaceError
from kraftd.units import human_size, plural

_FETCHED_BY_A_START = ("jars_missing", "bootstrap_checkpoint_missing")
_DEPENDENCIES = ("supervisor", "psutil", "kafka-python", "confluent-kafka")


def _find_runtime(plan: Plan, command_context: CommandContext) -> Runtime:
    return runtime_of(plan, command_context, fetch=False)


def _missing_agent_notes(plan: Plan, java: Java, command_context: CommandContext) -> tuple[str, ...]:
    return metrics_agent_of(plan, java, command_context, fetch=False)[1]


@dataclass(frozen=True, slots=True)
class DoctorDoors:
    """The functions through which a diagnosis looks outside; tests give others.

    Attributes:
        cluster: The doors of the cluster.
        start: The doors of a start, whose checks a diagnosis makes too.
        find_runtime: Java and the jars of a plan; raises where one is missing.
        missing_agent_notes: Why the metrics agent is missing; empty where it is not, or is not wanted.
        rendered_files: The rendered files of a plan, with that Java and these jars; raises where one is missing.
        max_map_count: How many files a process can map; None where there is no such limit.
        file_name_encoding: The encoding of file names.
        cores: How many cores can be used.
        highest_processes: How many processes and threads this user can have; None for no limit.
        open_files_of: The limit of open files of a process; None where unknown.
        temporary_directory: The directory of the JVMs' sockets.
    """

    cluster: Doors = field(default_factory=real_doors)
    start: StartDoors = field(default_factory=start_doors)
    find_runtime: Callable[[Plan, CommandContext], Runtime] = _find_runtime
    missing_agent_notes: Callable[[Plan, Java, CommandContext], tuple[str, ...]] = _missing_agent_notes
    rendered_files: Callable[[Plan, CommandContext], dict[Path, str]] = located_files_of
    max_map_count: Callable[[], int | None] = max_map_count
    file_name_encoding: Callable[[], str] = sys.getfilesystemencoding
    cores: Callable[[], int] = cores
    highest_processes: Callable[[], int | None] = highest_processes
    open_files_of: Callable[[int], int | None] = open_files_of
    temporary_directory: Callable[[], Path] = temporary_directory


def diagnose(
    choose: Callable[[], ChosenCluster], command_context: CommandContext, doors: DoctorDoors | None = None
) -> Diagnosis:
    """Return the findings about this machine and the chosen cluster.

    Args:
        choose: Returns the cluster; what it raises is a finding.
        command_context: The caller of the command.
        doors: The ways to look outside; None for the real ones.
    """
    doors = doors or DoctorDoors()
    machine = (
        _versions(),
        findings.memory_maps(doors.max_map_count()),
        findings.locale(doors.file_name_encoding()),
    )
    try:
        chosen = choose()
    except KraftdError as error:
        return Diagnosis("", (_of_error("configuration", error), *machine))
    cluster = chosen.configuration.settings.cluster.name
    try:
        configured = plan_for(chosen, command_context)
    except KraftdError as error:
        return Diagnosis(cluster, (_of_error("configuration", error), *_records(chosen.layout), *machine))
    configuration = Finding("configuration", Level.OK, f"{chosen.origin}: cluster {cluster}")
    return Diagnosis(cluster, (configuration, *_of_cluster(configured, command_context, doors), *machine))


def _of_cluster(configured: Configured, command_context: CommandContext, doors: DoctorDoors) -> Iterator[Finding]:
    layout = configured.plan.layout
    records = tuple(_records(layout))
    yield from records
    recorded = Store(layout).plan() if all(each.status is Level.OK for each in records) else None
    try:
        table = doors.cluster.find_processes(recorded or configured.plan)
    except OtherNamespaceError as error:
        yield _of_error("supervision", error)
        return
    # What runs has the ports and heaps of its own plan.
    plan = recorded if recorded is not None and table.processes else configured.plan
    look = _Look(configured, plan, table, command_context, doors)
    checks = {
        "data": look.data,
        "rendered files": look.rendered_files,
        "writable": look.writable,
        "loopback": look.loopback,
        "ports": look.ports,
        "memory": look.memory,
        "profile": look.profile,
        "disk": look.disk,
        "logs": look.logs,
        "open files": look.open_files,
        "clock": look.clock,
    }
    try:
        yield from look.runtime()
    except OSError as error:
        yield _of_os_error("Kafka", error)
    for name, check in checks.items():
        yield _guarded(name, check)
    yield findings.processes(plan, doors.highest_processes())
    place = doors.temporary_directory()
    yield findings.temporary_directories(
        temporary_notes(plan, place), str(place), is_writable=os.access(place, os.W_OK | os.X_OK)
    )
    yield findings.supervision(tuple(table.processes), table.unreachable, is_supervised=table.supervisor is not None)
    yield findings.lock(holder_now(layout.lock))


@dataclass(frozen=True, slots=True)
class _Look:
    """The checks of one cluster; each may raise, which is a failure.

    Attributes:
        plan: That of the cluster that runs, else the configured one.
    """

    configured: Configured
    plan: Plan
    table: ProcessTable
    command_context: CommandContext
    doors: DoctorDoors

    def data(self) -> Finding:
        configured = self.configured
        refuse_foreign(configured.plan.layout, configured.plan.names)
        if configured.manifest is None:
            unformatted(configured.plan, None)
            return Finding("data", Level.OK, f"nothing is formatted in {configured.plan.layout.state_dir} yet")
        check_against(configured.plan, configured.manifest, configured.chosen.origin)
        if self.table.supervised is None:
            cluster = ClusterContext(self.plan, self.doors.cluster, self.command_context)
            refuse_data_in_use(cluster, self.plan.names, "start")
        empty = unformatted(configured.plan, configured.manifest)
        is_or_are = "is" if len(empty) == 1 else "are"
        rest = f", and {', '.join(node.name for node in empty)} {is_or_are} to be formatted" if empty else ""
        nodes = len(configured.plan.nodes) - len(empty)
        fact = f"{nodes} nodes of the cluster id {configured.manifest.cluster_id} in {configured.plan.layout.state_dir}"
        return Finding("data", Level.OK, f"{fact}{rest}")

    def rendered_files(self) -> Finding:
        plan = self.plan
        if not self.table.processes:
            return Finding("rendered files", Level.OK, "a start writes them")
        try:
            files = self.doors.rendered_files(plan, self.command_context)
        except RuntimeMissingError:
            return Finding("rendered files", Level.OK, "they are not compared without Java and Kafka")
        stopped = [name for name in plan.names if name not in self.table.processes]
        running, rendered = Side(plan, {path: read_text(path) or "" for path in files}), Side(plan, files)
        changed = [f"{each.name} ({', '.join(each.why)})" for each in compare(running, rendered, None).programs]
        return findings.rendered_files(damage_to(files), changed, stopped)

    def writable(self) -> Finding:
        layout = self.plan.layout
        nodes = [layout.data(node.name) for node in self.plan.nodes]
        logs = [layout.logs(name) for name in self.plan.names]
        partitions = [each for place in nodes if os.access(place, os.R_OK) for each in place.glob("*/")]
        places = (layout.state_dir, layout.supervisord_pid.parent, layout.events, *logs, *nodes, *partitions)
        refused = [each for each in places if each.exists() and not os.access(each, os.W_OK | os.X_OK)]
        read_only = [each for each in refused if os.statvfs(each).f_flag & os.ST_RDONLY]
        return findings.writable(refused, str(layout.state_dir), is_read_only=bool(read_only))

    def loopback(self) -> Finding:
        check_loopback(self.doors.start.loopback_fault(LOOPBACK))
        return Finding("loopback", Level.OK, f"{LOOPBACK} can be reached")

    def ports(self) -> Finding:
        stopped = [name for name in self.plan.names if name not in self.table.processes]
        taken = taken_ports(self.plan, stopped, self.doors.start.port_holder, with_metrics=True)
        needed = [each for each in taken if each[0].listener.purpose is not Purpose.METRICS]
        if needed:
            raise ports_error(needed)
        if taken:
            return _of_error("ports", ports_error(taken), Level.WARNING)
        own = (
            f", besides those of {plural(len(self.table.processes), 'running program')}" if self.table.processes else ""
        )
        return Finding("ports", Level.OK, f"all that are still to be taken are free{own}")

    def memory(self) -> Finding:
        memory_bytes = self.doors.start.memory_bytes()
        check_memory(self.plan, memory_bytes)
        heaps = sum(node.heap_bytes for node in self.plan.nodes)
        return Finding("memory", Level.OK, f"the nodes' heaps take {human_size(heaps)} of {human_size(memory_bytes)}")

    def profile(self) -> Finding:
        values = {key: value for key, value, _ in self.configured.chosen.configuration.rows()}
        disk_bytes = min(space.total_bytes for space in self.doors.start.disk_spaces(self.plan))
        machine = findings.Machine(self.doors.start.memory_bytes(), self.doors.cores(), disk_bytes)
        return findings.profiles(self.configured.plan, values, machine)

    def disk(self) -> Finding:
        spaces = self.doors.start.disk_spaces(self.plan)
        check_free_disk(spaces, self.configured.plan.min_free_disk_bytes)
        free = (f"{each.path}: {human_size(each.free_bytes)} of {human_size(each.total_bytes)} free" for each in spaces)
        return Finding("disk", Level.OK, "; ".join(free))

    def logs(self) -> Finding:
        place = self.plan.layout.supervisord_log.parent
        number = sum(len(self.plan.layout.all_log_files(each)) for each in self.plan.programs)
        most = f"{plural(number, 'log')} of at most {human_size(self.plan.log_rotation.most_bytes)} each"
        return Finding("logs", Level.OK, f"{place}: {human_size(tree_bytes(place))}; {most}, as [logs] has it")

    def open_files(self) -> Finding:
        possible = self.doors.start.open_files_limit()
        supervisor = self.table.supervisor
        limit = (self.doors.open_files_of(supervisor.pid) if supervisor else None) or possible
        check_open_files(limit)
        for note in open_files_notes(limit, possible):
            fact, _, remedy = note.rpartition("; ")
            return Finding("open files", Level.WARNING, fact, f"{remedy[0].upper()}{remedy[1:]}.")
        return Finding("open files", Level.OK, f"brokers have a limit of {limit}")

    def clock(self) -> Finding:
        layout = self.plan.layout
        places = (layout.plan, layout.desired, layout.supervisord_log, *layout.events.glob("*.jsonl"))
        data = (path for node in self.plan.nodes for path in layout.data(node.name).glob("*"))
        times = [path.stat().st_mtime for path in (*places, *data) if path.exists()]
        return findings.clock(self.command_context.clock.now_s(), max(times, default=None))

    def runtime(self) -> Iterator[Finding]:
        """Yield the findings about Java, Kafka's jars, the start-up archive and the metrics agent."""
        try:
            runtime = self.doors.find_runtime(self.configured.plan, self.command_context)
        except KraftdError as error:
            is_fetched = error.code in _FETCHED_BY_A_START
            name = "Java" if error.code.startswith("java") else "Kafka"
            yield _of_error(name, error, Level.WARNING if is_fetched else Level.FAILURE)
            return
        java = runtime.java
        yield Finding("Java", Level.OK, f"{java.version} in {java.home}")
        yield Finding("Kafka", Level.OK, f"{runtime.kafka_version}, {len(runtime.classpath)} jars, as locked")
        yield _archive(runtime)
        yield self._metrics_agent(runtime)

    def _metrics_agent(self, runtime: Runtime) -> Finding:
        notes = self.doors.missing_agent_notes(self.configured.plan, runtime.java, self.command_context)
        if notes:
            return Finding("metrics agent", Level.WARNING, notes[0], "Run 'kraftd setup', or disable metrics_agent.")
        return Finding("metrics agent", Level.OK, "it is in the cache, or disabled")


def _archive(runtime: Runtime) -> Finding:
    if runtime.archive is not None:
        return Finding("start-up archive", Level.OK, str(runtime.archive))
    if runtime.java.major < OLDEST_JAVA:
        return Finding("start-up archive", Level.OK, f"Java {runtime.java.major} makes none; nodes start slower")
    fact = "there is none for this Java and Kafka, so that nodes start slower"
    return Finding("start-up archive", Level.WARNING, fact, "Run 'kraftd setup', which makes it once, in 15 s.")


def _records(layout: Layout) -> Iterator[Finding]:
    """Yield a finding for each damaged record, or one for all."""
    store = Store(layout)
    reads: dict[str, Callable[[], object]] = {
        layout.plan.name: store.plan_if_started,
        layout.manifest.name: store.manifest,
        layout.desired.name: store.desired,
        layout.restarts.name: lambda: from_json(read_text(layout.restarts)),
    }
    damaged = []
    for read in reads.values():
        try:
            read()
        except KraftdError as error:
            damaged.append(_of_error("records", error))
    yield from damaged or [Finding("records", Level.OK, f"{', '.join(reads)} can be read, or are not written yet")]


def _versions() -> Finding:
    packages = ", ".join(f"{name} {version(name)}" for name in _DEPENDENCIES)
    fact = f"kraftd {kraftd.__version__}, Python {platform.python_version()}, {packages}, {platform.platform()}"
    return Finding("versions", Level.OK, fact)


def _guarded(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except KraftdError as error:
        return _of_error(name, error)
    except OSError as error:
        return _of_os_error(name, error)


def _of_os_error(name: str, error: OSError) -> Finding:
    where = f" {Path(error.filename)}" if error.filename else ""
    refused = FileAccessError(f"cannot look at{where}: {error.strerror}", hint="Give this user access to it.")
    return _of_error(name, refused)


def _of_error(name: str, error: KraftdError, status: Level = Level.FAILURE) -> Finding:
    return Finding(name, status, str(error), error.hint)
