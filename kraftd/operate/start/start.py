"""`kraftd start`: from a configuration to a cluster that serves."""

import logging
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kraftd.errors import KraftdError, UnknownNameError
from kraftd.host.files import changed_files, write_changed
from kraftd.host.jvm import write_management_files
from kraftd.observe.processes import ProcessTable
from kraftd.operate.apply.overrides import forget_overrides_or_note
from kraftd.operate.configuring import Configured, plan_for
from kraftd.operate.context import ClusterContext, CommandContext, cluster_context, find_supervised
from kraftd.operate.ownership import claim, refuse_data_in_use, refuse_foreign, remove_stale_secrets
from kraftd.operate.render import damage_to, files_of
from kraftd.operate.rolling.journal import read_journal, remove_journal
from kraftd.operate.selection import ChosenCluster
from kraftd.operate.start.doors import StartDoors, start_doors
from kraftd.operate.start.formatting import format_nodes, unformatted
from kraftd.operate.start.launch import restart_daemon
from kraftd.operate.start.preflight import (
    check_free_disk,
    check_loopback,
    check_memory,
    check_open_files,
    check_ports,
    check_quorum,
    environment_notes,
    has_few_open_files,
    make_directories,
    open_files_notes,
)
from kraftd.operate.start.sequence import Deadline, StartFailedError, StartSequence, yield_to_stop
from kraftd.operate.stop.stop import StopOptions, stop_with_lock_held
from kraftd.operate.store import Store
from kraftd.plan.desired import DAMAGED, DesiredProgram
from kraftd.plan.kinds import Node
from kraftd.plan.manifest import check_against, differences, remedy
from kraftd.plan.plan import Plan
from kraftd.plan.program import DAEMON, LOOPBACK
from kraftd.units import timestamp

_TAKEN_OVER = (
    "plan.json was missing, and was written again from the configuration; what runs was started with the same, and is "
    "left as it is (the daemon was restarted to read it)"
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StartOptions:
    """How to start.

    Attributes:
        names: Programs; none for the whole cluster.
        timeout_s: How long the whole command may take.
        command: The command that starts, for events and desired.json.
    """

    names: tuple[str, ...] = ()
    timeout_s: float = 180.0
    command: str = "start"


@dataclass(frozen=True, slots=True)
class StartResult:
    """Answer to ``kraftd start``.

    Attributes:
        started: The programs that this command started; empty where all ran already.
        formatted: The nodes that this command formatted.
        notes: Notes for the user, one sentence each.
        names: The programs that were named; empty for the whole cluster.
    """

    plan: Plan
    started: tuple[str, ...]
    formatted: tuple[str, ...]
    notes: tuple[str, ...]
    took_s: float
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """One start: the configured cluster, how to start it, and until when.

    Attributes:
        cluster: The context of the configured plan.
        doors: The doors that only a start uses.
    """

    configured: Configured
    cluster: ClusterContext
    options: StartOptions
    deadline: Deadline
    doors: StartDoors = field(default_factory=start_doors)


def start(chosen: ChosenCluster, options: StartOptions, command_context: CommandContext) -> StartResult:
    """Bring the cluster up, or programs of it; idempotent. Returns when it serves.

    Raises:
        ConfigurationError: The configuration is wrong, or too much for this machine.
        IdentityMismatchError: The data belongs to another cluster or node.
        NeedsRunningClusterError: The named programs would have no quorum.
        RefusedError: The state directory holds foreign files under names that kraftd uses, its disk is nearly full,
            or the cluster runs in another container or on another machine.
        RuntimeMissingError: Java or Kafka is missing.
        StartFailedError: A program ended before it served.
        TimedOutError: Time was up.
        YieldedError: A stop was requested meanwhile.
    """
    # Before the lock, which is a file in that directory.
    refuse_foreign(chosen.layout)
    deadline = Deadline.from_now(Store(chosen.layout), command_context.clock, options.timeout_s)
    configured = plan_for(chosen, command_context)
    logger.debug("Configuration from %s", chosen.origin)
    cluster = cluster_context(configured.plan, command_context)
    return lock_and_start(Start(configured, cluster, options, deadline))


def lock_and_start(start: Start) -> StartResult:
    """Refuse an invalid start before anything is written, then start under the lock."""
    cluster, options = start.cluster, start.options
    _refuse_absent(start.configured, options.names)
    cluster.plan.check_names(options.names)
    with cluster.lock(options.command, timeout_s=options.timeout_s):
        return start_with_lock_held(start)


def start_with_lock_held(start: Start) -> StartResult:
    """Do what ``start`` does, for a caller that holds the lock."""
    store, start = start.cluster.store, as_recorded(start)
    # A stop that came and went in between ended programs, which must not come back.
    yield_to_stop(store, start.deadline)
    running = store.plan()
    table = find_supervised(start.cluster.following(running or start.cluster.plan))
    if running is None and start.options.names and table.processes:
        # A new plan may restart everything, which nobody asks for who names programs.
        raise store.plan_missing(table.processes)
    _check_desired(start)
    notes: tuple[str, ...] = ()
    if running is None and _is_rendered_alike(start, table):
        running, table = _take_over(start)
        notes = (_TAKEN_OVER,)
    if running is not None and table.supervised and not _needs_new_supervisor(start, running, table):
        result = _complete(replace(start, cluster=start.cluster.following(running)), table)
    else:
        result = _from_nothing(start, running, table)
    return replace(result, names=start.options.names, notes=(*notes, *result.notes))


def as_recorded(start: Start) -> Start:
    """Return a start of the same settings for the manifest of now: another command may have formatted the cluster.

    Raises:
        ConfigurationError: The settings contradict it.
    """
    configured = start.configured.with_manifest(start.cluster.store.manifest())
    return replace(start, configured=configured, cluster=start.cluster.following(configured.plan))


def _is_rendered_alike(start: Start, table: ProcessTable) -> bool:
    """Return whether supervisord runs what the configuration gives now, so that only the record of it is missing."""
    plan, manifest = start.cluster.plan, start.configured.manifest
    if not table.supervised or manifest is None or differences(plan, manifest) or read_journal(plan.layout):
        return False
    if set(start.cluster.supervisor.processes()) != set(plan.names):
        return False
    try:
        launch = start.doors.locate(plan, start.cluster.command_context).launch
        return not changed_files(files_of(plan, launch, start.cluster.command_context))
    except KraftdError as error:
        logger.debug("What runs is not compared with the configuration: %s", error)
        return False


def _take_over(start: Start) -> tuple[Plan, ProcessTable]:
    """Record the configured plan as that of what runs, and let the daemon read it: not all of it is in its files."""
    cluster = start.cluster
    cluster.reporter.step(f"Writing {cluster.layout.plan} again")
    cluster.store.write_plan(cluster.plan)
    restart_daemon(cluster)
    cluster.record("taken_over", f"wrote the missing {cluster.layout.plan} again, and restarted the daemon to read it")
    return cluster.plan, cluster.find_processes()


def _check_desired(start: Start) -> None:
    """Refuse before anything changes where the desired state is damaged; a start of everything writes it again."""
    try:
        start.cluster.store.desired()
    except KraftdError as error:
        if start.options.names or error.code != DAMAGED:
            raise


def _refuse_absent(configured: Configured, names: tuple[str, ...]) -> None:
    """Refuse to start by name a tool that is not installed."""
    absent = configured.absent
    for name in names:
        if name in absent:
            raise UnknownNameError(
                f"cannot start {name}: {absent[name]}",
                hint="Only programs of the plan can be started: 'kraftd plan' shows them.",
            )


def _from_nothing(start: Start, previous: Plan | None, table: ProcessTable) -> StartResult:
    cluster, plan = start.cluster, start.cluster.plan
    # What an earlier run left is ended, and what of it is still in the plan comes back.
    names = _closure(plan, (*start.options.names, *table.processes) if start.options.names else ())
    empty = check_start(start, names)
    has_leftovers = bool(table.processes) or table.supervisor is not None
    if not has_leftovers:
        _check_unused(start, plan.names)
    prepared = start.doors.prepare_runtime(plan, cluster.command_context)
    # A download takes long, and nothing is written yet that a stop would have to end.
    yield_to_stop(cluster.store, start.deadline)
    logger.debug("Kafka %s runs on %s", plan.kafka_version, prepared.launch.java)
    files = files_of(plan, prepared.launch, cluster.command_context)
    possible = start.doors.open_files_limit()
    notes = [*start.configured.absent.values(), *prepared.notes, *open_files_notes(possible, possible)]
    notes += environment_notes(cluster.command_context.environ)
    if has_leftovers:
        # Only now: every other check has passed, and only a taken port can prevent the new start.
        notes.append("ended the programs that an earlier run had left running, and restarted the cluster")
        _end_leftovers(start, previous, table)
    owned = claim(plan.layout, plan.names)
    make_directories(plan)
    if empty:
        format_nodes(plan, empty, prepared.bootstrap_checkpoint)
        logger.debug("Formatted %s", ", ".join(node.name for node in empty))
    for path in write_changed(files):
        logger.debug("Wrote %s", path)
    remove_stale_secrets(plan.layout, owned, files)
    write_management_files(plan.layout.jmx)
    cluster.store.write_plan(plan)
    cluster.store.forget_restarts()
    remove_journal(plan.layout)
    _set_desired(start, names)
    start.doors.launch(plan, cluster.command_context)
    logger.debug("supervisord answers")
    notes += StartSequence(cluster, start.doors, start.deadline).run(names)
    notes += forget_overrides_or_note(cluster, names)
    return _result(start, names, tuple(node.name for node in empty), notes)


def _end_leftovers(start: Start, previous: Plan | None, table: ProcessTable) -> None:
    """End the programs of an earlier start, and refuse where the ports are still taken."""
    cluster = start.cluster
    cluster.reporter.step(
        f"Ending programs that an earlier run left running: {', '.join(table.processes) or 'supervisord'}"
    )
    stop_with_lock_held(cluster.following(previous or cluster.plan), StopOptions(command=start.options.command))
    _check_unused(start, cluster.plan.names)


def _check_unused(start: Start, names: tuple[str, ...], verb: str = "start") -> None:
    """Refuse to start programs, none of which has a process, where something holds their ports or their data."""
    cluster = start.cluster
    check_ports(cluster.plan, names, start.doors.port_holder, cluster.clock)
    refuse_data_in_use(cluster, names, verb)


def check_start(start: Start, names: tuple[str, ...]) -> tuple[Node, ...]:
    """Return the nodes to format, where the plan fits its data and this machine.

    Raises:
        KraftdError: It does not, as ``start`` raises.
    """
    configured, plan = start.configured, start.cluster.plan
    refuse_foreign(plan.layout, plan.names)
    if configured.manifest is not None:
        check_against(plan, configured.manifest, configured.chosen.origin)
    empty = unformatted(plan, configured.manifest)
    check_quorum(plan, names, ())
    check_loopback(start.doors.loopback_fault(LOOPBACK))
    check_memory(plan, start.doors.memory_bytes())
    check_free_disk(start.doors.disk_spaces(plan), plan.min_free_disk_bytes)
    check_open_files(start.doors.open_files_limit())
    return empty


def check_foreign_ports(start: Start) -> None:
    """Refuse ports of the plan that processes hold which do not belong to the cluster, as far as it runs.

    Raises:
        PortInUseError: With the holders.
    """
    cluster, plan = start.cluster, start.cluster.plan
    recorded, processes = cluster.store.plan() or plan, cluster.find_processes().processes
    own = {port.number for port in recorded.ports if port.program.name in processes}
    check_ports(
        plan,
        plan.names,
        lambda host, port: None if port in own else start.doors.port_holder(host, port),
        cluster.clock,
    )


def _needs_new_supervisor(start: Start, running: Plan, table: ProcessTable) -> bool:
    """Return whether no broker serves, and supervisord would start each with few open files, while a new one would not.

    That is where brokers end up that ran out of open files: what supervisord starts has the limit of supervisord, and
    only root may raise that.
    """
    limit = _raise_open_files(start, table)
    if start.options.names or not has_few_open_files(limit) or limit >= start.doors.open_files_limit():
        return False
    return not any(start.doors.ask(broker).ready for broker in running.brokers if broker.name in table.processes)


def _raise_open_files(start: Start, table: ProcessTable) -> int:
    """Give what runs the limit of open files of this command, where it may; return that of supervisord's programs."""
    for process in table.processes.values():
        start.doors.raise_open_files(process.pid)
    supervisor = table.supervisor and start.doors.raise_open_files(table.supervisor.pid)
    return supervisor or start.doors.open_files_limit()


def _complete(start: Start, table: ProcessTable) -> StartResult:
    """Start the missing programs of a cluster that supervisord runs; running programs only continue if they stopped."""
    plan, names = start.cluster.plan, start.options.names
    plan.check_names(names)
    notes = [note for name, note in start.configured.absent.items() if name not in plan.names]
    limit_notes = open_files_notes(_raise_open_files(start, table), start.doors.open_files_limit())
    wanted = _closure(plan, names)
    missing = tuple(name for name in wanted if name not in table.processes)
    check_quorum(plan, wanted, table.processes)
    _check_unused(start, missing, "start programs of")
    sequence = StartSequence(start.cluster, start.doors, start.deadline)
    sequence.restore_files(missing)
    notes += _changes(start, sequence)
    _set_desired(start, wanted)
    for name in set(wanted) - set(missing):
        start.cluster.doors.send_signal(table.processes[name], signal.SIGCONT)
    try:
        notes += sequence.run(wanted, missing)
    except StartFailedError as error:
        error.hint = " ".join([error.hint or "", *(f"Note: {note}." for note in (*notes, *limit_notes))]).strip()
        raise
    # Also of what a start had started that did not come to its end.
    notes += forget_overrides_or_note(start.cluster, missing)
    notes += limit_notes
    return _result(start, missing, (), notes)


def _changes(start: Start, sequence: StartSequence) -> list[str]:
    """Return a note where the configuration changed since the cluster was started."""
    # The paths are those of the running cluster: its control socket may be where an earlier kraftd, or a shell with
    # another TMPDIR, has it.
    plan = replace(start.configured.plan, layout=start.cluster.layout)
    if plan.kafka_version != start.cluster.plan.kafka_version:
        asked, runs = plan.kafka_version, start.cluster.plan.kafka_version
        return [
            f"the configuration asks for Kafka {asked}, and the cluster runs {runs}: "
            f"set cluster.kafka_version to {runs}, or run 'kraftd upgrade --to {asked}'"
        ]
    manifest = start.configured.manifest
    if manifest is not None and differences(plan, manifest):
        return [f"the configuration contradicts the cluster, which runs on as it is. {remedy(plan, manifest)}"]
    try:
        files = sequence.rendered(plan)
    except KraftdError as error:
        what = "the files of the cluster cannot be looked at"
        if plan != start.cluster.plan:
            what = "the configuration changed since the start, and cannot be used now"
        return [f"{what}: {error}"]
    if plan != start.cluster.plan:
        return ["the configuration changed since the cluster was started: 'kraftd apply' applies it"]
    if changed := changed_files(files):
        return _unlike(changed, files)
    left = read_journal(plan.layout)
    is_left = left is not None and not start.cluster.doors.is_alive(left.owner)
    return [f"'kraftd {left.call}' did not come to its end: run the command again"] if left and is_left else []


def _unlike(changed: tuple[Path, ...], files: Mapping[Path, str]) -> list[str]:
    """Return notes of the files that are not as the plan has them: damage of each, or that all of them are others."""
    damage = damage_to(files)
    if set(changed) <= set(damage):
        return [f"{path} {how}: 'kraftd apply' writes it again" for path, how in damage.items()]
    return [
        f"not as this kraftd renders the plan, because of another version, a new start-up archive or an edit: "
        f"{', '.join(map(str, changed))}; 'kraftd apply --dry-run' shows what that means"
    ]


def _closure(plan: Plan, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the programs to start: all where none is named; the daemon belongs to every cluster that runs."""
    return tuple(name for name in plan.names if not names or name in names or name == DAEMON)


def _set_desired(start: Start, names: tuple[str, ...]) -> None:
    now = timestamp(start.cluster.clock.now_s())
    desired = DesiredProgram(running=True, since=now, by=start.options.command, why="requested on the command line")
    start.cluster.store.set_desired(names, desired, of_all=not start.options.names)


def _result(start: Start, started: tuple[str, ...], formatted: tuple[str, ...], notes: list[str]) -> StartResult:
    took_s = round(start.cluster.clock.monotonic_s() - start.deadline.began_s, 3)
    if started:
        start.cluster.record("cluster_started", f"started {', '.join(started)} in {took_s:.1f} s")
    return StartResult(start.cluster.plan, started, formatted, tuple(notes), took_s)
