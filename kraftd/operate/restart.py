"""`kraftd restart`: stop, then start, under one lock; or one program after the other while the others serve."""

import os
from dataclasses import dataclass, replace

from kraftd.errors import NeedsRunningClusterError, RefusedError
from kraftd.host.processes import known_process
from kraftd.operate.configuring import plan_for
from kraftd.operate.context import ClusterContext, CommandContext, cluster_context, find_supervised
from kraftd.operate.ownership import refuse_foreign
from kraftd.operate.render import files_of
from kraftd.operate.rolling.gates import ClosedGate, restart_order
from kraftd.operate.rolling.journal import Journal, read_journal, refuse_other_owner, write_journal
from kraftd.operate.rolling.roll import Restarted, Roll
from kraftd.operate.selection import ChosenCluster
from kraftd.operate.start.doors import StartDoors, start_doors
from kraftd.operate.start.sequence import Deadline
from kraftd.operate.start.start import (
    Start,
    StartOptions,
    StartResult,
    as_recorded,
    check_foreign_ports,
    check_start,
    start_with_lock_held,
)
from kraftd.operate.stop.stop import StopOptions, StopResult, is_there, nothing_stopped, stop_with_lock_held
from kraftd.operate.store import Store
from kraftd.plan.kinds import Node
from kraftd.plan.plan import Plan

COMMAND = "restart --rolling"
_ADMIN_TIMEOUT_S = 3.0
_RESUMED_WITHIN_S = 3600.0
"""Later, whoever asks for a rolling restart means all of it."""


@dataclass(frozen=True, slots=True)
class RestartResult:
    """Answer to ``kraftd restart``."""

    stopped: StopResult
    started: StartResult


def restart(
    chosen: ChosenCluster, stop_options: StopOptions, start_options: StartOptions, command_context: CommandContext
) -> RestartResult:
    """Stop and start the cluster, or programs of it; a changed configuration takes effect with the whole cluster.

    Raises:
        KraftdError: As ``stop`` and ``start`` raise; a configuration that cannot be used is refused before the stop.
    """
    refuse_foreign(chosen.layout)
    deadline = Deadline.from_now(Store(chosen.layout), command_context.clock, start_options.timeout_s)
    configured = plan_for(chosen, command_context)
    cluster = cluster_context(configured.plan, command_context)
    return lock_and_restart(
        Start(configured, cluster, replace(start_options, command="restart"), deadline), stop_options
    )


def lock_and_restart(start: Start, stop_options: StopOptions) -> RestartResult:
    """Refuse what cannot be started again before anything is stopped, then restart under the lock."""
    cluster = start.cluster
    if not stop_options.names:
        # As the start will, which would leave the cluster stopped.
        check_start(start, cluster.plan.names)
        check_foreign_ports(start)
        launch = start.doors.prepare_runtime(cluster.plan, cluster.command_context).launch
        files_of(cluster.plan, launch, cluster.command_context)
    # What is ended must be started again, which without the plan of what runs is refused for a part.
    known = cluster.store.plan_if_started() if stop_options.names else cluster.store.plan()
    running = cluster.following(known or cluster.plan)
    running.plan.check_names(stop_options.names)
    with cluster.lock("restart", timeout_s=start.options.timeout_s):
        # What held the lock may have written another one.
        running = cluster.following(cluster.store.plan() or running.plan)
        running.plan.check_names(stop_options.names)
        if stop_options.names:
            _require_supervision(running, stop_options.names)
        else:
            # Once more, as a scale that held the lock may have changed what the settings have to fit.
            start = as_recorded(start)
            check_start(start, start.cluster.plan.names)
        stopped = nothing_stopped(running.plan, stop_options)
        if is_there(running):
            stopped = stop_with_lock_held(running, replace(stop_options, command="restart"))
        # The start has all of its time, as its stop may take longer than that; a stop by others since the begin counts.
        deadline = Deadline.from_now(cluster.store, cluster.clock, start.options.timeout_s)
        deadline = replace(deadline, generation=start.deadline.generation)
        started = start_with_lock_held(replace(start, deadline=deadline))
    took_s = round(cluster.clock.monotonic_s() - start.deadline.began_s, 3)
    return RestartResult(stopped, replace(started, took_s=took_s))


@dataclass(frozen=True, slots=True)
class RollingOptions:
    """How to restart.

    Attributes:
        names: Programs; none for every broker and controller.
        dry_run: Restart nothing.
        force: Restart the only broker too, although nothing serves meanwhile.
        timeout_s: How long the whole command may take.
    """

    names: tuple[str, ...] = ()
    dry_run: bool = False
    force: bool = False
    timeout_s: float = 600.0


@dataclass(frozen=True, slots=True)
class RollingResult:
    """Answer to ``kraftd restart --rolling``.

    Attributes:
        order: The programs that this call was to restart, in the order that was known when it began.
        done_before: The programs that an earlier call had restarted.
        restarted: The programs that this call restarted; none of a dry run.
        closed: The gates that do not hold now, of a dry run.
    """

    cluster: str
    order: tuple[str, ...]
    done_before: tuple[str, ...]
    restarted: tuple[Restarted, ...]
    closed: tuple[ClosedGate, ...]
    notes: tuple[str, ...]
    dry_run: bool
    took_s: float


def restart_rolling(cluster: ClusterContext, options: RollingOptions, doors: StartDoors | None = None) -> RollingResult:
    """Restart programs one after the other, each between gates, or go on where an earlier call ended.

    Raises:
        UnknownNameError: No program has one of the names.
        NeedsRunningClusterError: The cluster does not run, or a named program does not.
        RefusedError: There is one broker only, or another command restarts programs.
        TimedOutError: Time was up; the text names the gate, and what is not there.
    """
    began_s = cluster.clock.monotonic_s()
    cluster.plan.check_names(options.names)
    deadline = Deadline.from_now(cluster.store, cluster.clock, options.timeout_s)
    with cluster.lock(COMMAND, timeout_s=options.timeout_s):
        cluster = cluster.following(cluster.store.plan() or cluster.plan)
        plan = cluster.plan
        plan.check_names(options.names)
        require_running(cluster)
        journal, done_before = _journal(cluster, options)
        pending = journal.pending(cluster.find_processes().processes)
        if not options.force:
            refuse_interruption(plan, pending)
        if not options.dry_run:
            write_journal(cluster.layout, journal)
    roll = Roll(cluster, doors or start_doors(), deadline)
    with cluster.doors.open_kafka(plan.access, _ADMIN_TIMEOUT_S) as kafka:
        look = roll.look(kafka)
    order = restart_order(plan, pending, look.active_controller)
    restarted: tuple[Restarted, ...] = ()
    if not options.dry_run:
        with cluster.operating(COMMAND, ", ".join(order)) as tracked:
            if done_before:
                tracked.reporter.step(f"Going on after {', '.join(done_before)}: an earlier call restarted these")
            restarted = replace(roll, cluster=tracked).run(journal)
    took_s = round(cluster.clock.monotonic_s() - began_s, 3)
    closed = look.closed if options.dry_run else ()
    return RollingResult(
        plan.cluster, order, done_before, restarted, closed, tuple(roll.notes), options.dry_run, took_s
    )


def require_running(cluster: ClusterContext) -> None:
    """Refuse where supervisord cannot start again what ends.

    Raises:
        NeedsRunningClusterError: With the reason.
    """
    table = find_supervised(cluster)
    if table.supervised:
        return
    why = "it does not run" if table.supervised is None else f"supervisord does not answer ({table.unreachable})"
    raise NeedsRunningClusterError(
        f"cannot change the running cluster {cluster.plan.cluster}: {why}",
        hint="'kraftd start' starts it, with the current configuration.",
        code="not_running" if table.supervised is None else "unsupervised",
    )


def refuse_interruption(plan: Plan, names: tuple[str, ...]) -> None:
    """Refuse to restart the only broker of a cluster.

    Raises:
        RefusedError: Naming it.
    """
    broker = plan.brokers[0].name
    if len(plan.brokers) == 1 and broker in names:
        raise RefusedError(
            f"cannot restart {broker} without an interruption: it is the only broker",
            hint="--force restarts it anyway: nobody can read or write for some seconds. "
            "With cluster.brokers = 2 or more, others serve meanwhile.",
            code="only_broker",
        )


def begin(cluster: ClusterContext, command: str, names: tuple[str, ...]) -> Journal:
    """Return the journal of a command that is to restart programs: the processes that it replaces.

    What an earlier command left to replace, or ended and did not start again, is in it too, so that this command
    finishes that. Call it with the lock held; the journal is not written yet.

    Raises:
        RefusedError: Another command restarts programs.
    """
    owner = known_process(os.getpid())
    left = refuse_other_owner(cluster, owner)
    processes = cluster.find_processes().processes
    pending = left.pending(processes) if left else ()
    known = (
        {name: old for name, old in left.replaced.items() if name in pending or name not in processes} if left else {}
    )
    asked = {name: processes[name] for name in names if name in processes}
    return Journal(command, owner, cluster.clock.now_s(), {**known, **asked})


def _journal(cluster: ClusterContext, options: RollingOptions) -> tuple[Journal, tuple[str, ...]]:
    """Return the journal of this call, and what an earlier call for the same programs has done."""
    names = options.names or tuple(node.name for node in cluster.plan.nodes)
    _refuse_absent(cluster, options.names)
    fresh = replace(begin(cluster, COMMAND, names), names=options.names)
    left = read_journal(cluster.layout)
    if left is None or left.command != COMMAND or set(left.replaced) != set(names):
        return fresh, ()
    pending = left.pending(cluster.find_processes().processes)
    if not pending or cluster.clock.now_s() - left.began_at_s > _RESUMED_WITHIN_S:
        return fresh, ()
    done = tuple(name for name in left.replaced if name not in pending)
    return replace(left, owner=fresh.owner), done


def _refuse_absent(cluster: ClusterContext, names: tuple[str, ...]) -> None:
    processes = cluster.find_processes().processes
    absent = [name for name in names if name not in processes and not isinstance(cluster.plan.program(name), Node)]
    if absent:
        raise NeedsRunningClusterError(
            f"cannot restart {' and '.join(absent)}: {'it does' if len(absent) == 1 else 'they do'} not run",
            hint=f"'kraftd start {' '.join(absent)}' starts {'it' if len(absent) == 1 else 'them'}.",
            code="not_running",
        )


def _require_supervision(cluster: ClusterContext, names: tuple[str, ...]) -> None:
    """Refuse to end programs that could not be started again.

    Raises:
        NeedsRunningClusterError: Programs of the cluster run, and supervisord does not, or does not answer.
    """
    table = find_supervised(cluster)
    if table.supervised is not False:
        return
    why = table.unreachable or "it does not run"
    raise NeedsRunningClusterError(
        f"cannot restart {' and '.join(names)}: supervisord could not start what ends ({why})",
        hint="'kraftd start' ends what runs, in the order of a stop, and starts the cluster under a new supervisord.",
        code="unsupervised",
    )
