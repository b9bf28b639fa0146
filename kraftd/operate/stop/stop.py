"""`kraftd stop`: the whole cluster, or programs by name; `kraftd pause` and `resume`: programs that are left alone.

A pause changes the desired state only. The process gets no signal, and goes on as it is.
"""

import contextlib
import signal
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kraftd.errors import FileAccessError, RefusedError
from kraftd.health.programs.stop_blockers import describe_blocker
from kraftd.host.processes import Process
from kraftd.kafka.model import ClusterMetadata, Failure, KafkaAccessError
from kraftd.observe.processes import ProcessTable
from kraftd.observe.stop_cost import stop_cost
from kraftd.operate.context import ClusterContext, Reporter, find_supervised
from kraftd.operate.doors import KafkaDoor
from kraftd.operate.ownership import ownership_of, refuse_data_in_use, was_locked
from kraftd.operate.selection import recorded_plan
from kraftd.operate.stop.execute import CLEAN_SHUTDOWN, StopExecution, Stopped
from kraftd.plan.desired import DesiredProgram, DesiredState
from kraftd.plan.kinds import Node
from kraftd.plan.plan import Plan
from kraftd.plan.program import DAEMON, StopStage
from kraftd.supervisord.rpc import SupervisorUnreachableError
from kraftd.units import timestamp

_ADMIN_TIMEOUT_S = 5.0

_SESSION_END_LIMIT_S = 2.5
"""How long Kafka may take to end sessions: where the active controller was killed, the others elect one in 1 to 2 s."""

_SESSION_END_RETRY_S = 0.1


@dataclass(frozen=True, slots=True)
class StopResult:
    """Answer to ``kraftd stop``.

    Attributes:
        programs: The stopped programs, in the order of their end; empty where none ran.
        whole_cluster: Whether the whole cluster is down now.
        took_s: Seconds in all.
    """

    cluster: str
    programs: tuple[Stopped, ...]
    whole_cluster: bool
    took_s: float

    @property
    def unclean(self) -> tuple[str, ...]:
        """The brokers that could not close their logs: they check them at their next start, and lose nothing."""
        return tuple(each.name for each in self.programs if each.clean is False)


@dataclass(frozen=True, slots=True)
class StopOptions:
    """How to stop.

    Attributes:
        names: Programs; none for the whole cluster.
        force: Stop a node although it costs availability.
        timeout_s: How long to wait for the lock; then for the apps and tools, which have 20 s at most; then for a
            broker while the quorum holds. KILL comes then, and a process that it does not end is waited for 10 s more.
        command: The command that stops, for the records.
    """

    names: tuple[str, ...] = ()
    force: bool = False
    timeout_s: float = 330.0
    command: str = "stop"


def stop(cluster: ClusterContext, options: StopOptions) -> StopResult:
    """Stop the cluster, or programs of it; idempotent.

    Raises:
        UnknownNameError: No program has one of the names.
        RefusedError: A node's stop would cost the quorum or the last in-sync replica of a partition, or the cluster
            runs in another container or on another machine.
        TimedOutError: Another command kept the lock, or a process is still there after KILL.
    """
    plan = cluster.plan
    plan.check_names(options.names)
    if not was_started(cluster):
        # A stop makes no directory.
        return nothing_stopped(plan, options)
    if not options.names:
        # At once and without the lock: a start under way sees it and yields.
        with _reporting_failures(cluster.reporter):
            cluster.store.raise_generation()
    with cluster.lock(options.command, timeout_s=options.timeout_s):
        # What held the lock may have written another one, with programs that this one has not.
        cluster = cluster.following(recorded_plan(cluster.layout) or plan)
        cluster.plan.check_names(options.names)
        if not is_there(cluster):
            # The first start has yielded before it wrote anything.
            return nothing_stopped(plan, options)
        return stop_with_lock_held(cluster, options)


def was_started(cluster: ClusterContext) -> bool:
    """Return whether a cluster was ever started in the state directory, or is about to be."""
    return was_locked(cluster.layout) or is_there(cluster)


def is_there(cluster: ClusterContext) -> bool:
    """Return whether there is a cluster: its records or, where they were removed, its processes."""
    if ownership_of(cluster.layout) is not None:
        return True
    process_table = cluster.find_processes()
    return bool(process_table.processes) or process_table.supervisor is not None


def nothing_stopped(plan: Plan, options: StopOptions) -> StopResult:
    """Return the result of a stop where nothing was ever started."""
    return StopResult(plan.cluster, (), whole_cluster=not options.names, took_s=0.0)


def stop_with_lock_held(cluster: ClusterContext, options: StopOptions) -> StopResult:
    """Do what ``stop`` does, for a caller that holds the lock.

    Raises:
        RefusedError: A node's stop would cost the quorum or the last in-sync replica of a partition, or the cluster
            runs in another container or on another machine.
        TimedOutError: A process is still there after KILL; everything else was stopped.
    """
    plan, began_s = cluster.plan, cluster.clock.monotonic_s()
    process_table = find_supervised(cluster, patience_s=0.0)
    if process_table.supervised is None:
        refuse_data_in_use(cluster, plan.names, "stop")
    names = options.names or plan.names
    if options.names and not options.force:
        _refuse_costly(cluster, process_table, names)
    now = timestamp(cluster.clock.now_s())
    desired = DesiredProgram(running=False, since=now, by=options.command, why="requested on the command line")
    with _reporting_failures(cluster.reporter) if not options.names else contextlib.nullcontext():
        cluster.store.set_desired(names, desired, of_all=not options.names)
    if not options.names:
        _end_sessions(cluster, process_table)
    execution = StopExecution(cluster, process_table.processes)
    execution.stop_clients(plan.stopping(StopStage.CLIENTS, names), patience_s=options.timeout_s)
    execution.stop_nodes(plan.stopping(StopStage.NODES, names), patience_s=options.timeout_s)
    if DAEMON in names:
        _end_supervision(execution, process_table, whole=not options.names)
    # Those that were killed now or since the last stop: /tmp would collect them.
    cluster.doors.remove_jvm_sockets(plan)
    if not options.names and plan.layout.socket_is_elsewhere:
        _remove_socket_directory(plan.layout.socket)
    took_s = cluster.clock.monotonic_s() - began_s
    whole_cluster = not options.names and not execution.stuck
    result = StopResult(plan.cluster, tuple(execution.results), whole_cluster, round(took_s, 3))
    with _reporting_failures(cluster.reporter):
        _record(cluster, result, execution.stuck)
    execution.check_ended()
    return result


@contextlib.contextmanager
def _reporting_failures(reporter: Reporter) -> Iterator[None]:
    """Report what cannot be recorded, and go on: a full disk must not prevent a stop."""
    try:
        yield
    except FileAccessError as error:
        reporter.step(f"Stopping anyway: {error}")


def _refuse_costly(cluster: ClusterContext, process_table: ProcessTable, names: tuple[str, ...]) -> None:
    """Refuse to stop running nodes where that costs the quorum or the last in-sync replica of a partition."""
    nodes = [node for node in cluster.plan.nodes if node.name in names and node.name in process_table.processes]
    if not nodes:
        return
    try:
        with cluster.doors.open_kafka(cluster.plan.access, _ADMIN_TIMEOUT_S) as kafka:
            cost = stop_cost(kafka, {node.node_id for node in nodes})
    except KafkaAccessError as error:
        raise RefusedError(
            f"cannot check what a stop of {_names(nodes)} would cost: {error}",
            hint="--force stops it without this check.",
        ) from error
    if unread := ", ".join(cost.unread):
        raise RefusedError(
            f"cannot check what a stop of {_names(nodes)} would cost: the state of {unread} could not be read",
            hint="--force stops it without this check.",
        )
    if cost.blockers:
        lines = [describe_blocker(blocker) for blocker in cost.blockers]
        raise RefusedError(
            f"cannot stop {_names(nodes)} without harm:\n" + "\n".join(f"  {line}" for line in lines),
            hint="Wait until the other nodes are back and in sync ('kraftd status'), or use --force.",
            details={"nodes": [node.name for node in nodes], "blockers": lines},
        )


def _names(nodes: list[Node]) -> str:
    return " and ".join(node.name for node in nodes)


def _end_sessions(cluster: ClusterContext, process_table: ProcessTable) -> None:
    """End the sessions of brokers that were killed: Kafka counts them as alive for 5 s after their last heartbeat.

    Until then they keep the leaders that a consumer needs to leave, a living broker hands them its own, and the next
    start of theirs is refused, for 5 s more from its own election. Unregistering does what the end of the session
    would do: they leave every ISR that another is in. Replicas and settings stay, and a new process registers. One that
    lives would never register again, so this is for a broker without a process while the lock keeps all from starting.
    """
    plan, running = cluster.plan, process_table.processes
    dead = {each.node_id: each.name for each in plan.brokers if _was_killed(cluster, each, running)}
    node_ids = {node.name: node.node_id for node in plan.nodes}
    live_voters = {voter.node_id for voter in plan.voters} & {node_ids[name] for name in running if name in node_ids}
    is_answered = any(broker.name in running for broker in plan.brokers)
    if not dead or not is_answered or len(live_voters) <= len(plan.voters) // 2:
        return
    deadline_s = cluster.clock.monotonic_s() + _SESSION_END_LIMIT_S
    try:
        with cluster.doors.open_kafka(plan.access, _SESSION_END_LIMIT_S) as kafka:
            for node_id in sessions_to_end(dead, kafka.metadata()):
                cluster.reporter.step(f"Ending the session of {dead[node_id]}, which was killed")
                failure = _unregister(cluster, kafka, node_id, deadline_s)
                if failure is not None:
                    cluster.reporter.step(f"Kafka waits for the end of that session: {failure.text}")
    except KafkaAccessError as error:
        cluster.reporter.step(f"Stopping anyway: {error}")


def _was_killed(cluster: ClusterContext, broker: Node, running: Mapping[str, Process]) -> bool:
    if broker.name in running or broker.client is None:
        return False
    is_clean = (cluster.plan.layout.data(broker.name) / CLEAN_SHUTDOWN).exists()
    return not is_clean and not cluster.doors.listens(broker.client.host, broker.client.port)


def sessions_to_end(dead: Iterable[int], metadata: ClusterMetadata) -> tuple[int, ...]:
    """Return the dead brokers that Kafka counts as alive, and that can be forgotten without a loss.

    Not where only dead ones are in an ISR that others have fallen out of: with unclean.leader.election.enable, one of
    those would lead then, while the dead have all that was acknowledged. None where a topic could not be read.
    """
    dead = set(dead)
    kept: set[int] = dead if metadata.topics.failures else set()
    for topic in metadata.topics.values.values():
        for partition in topic.partitions:
            if dead.issuperset(partition.in_sync_replicas) and not dead.issuperset(partition.replicas):
                kept = kept.union(partition.in_sync_replicas)
    return tuple(each.node_id for each in metadata.brokers if each.node_id in dead - kept)


def _unregister(cluster: ClusterContext, kafka: KafkaDoor, node_id: int, deadline_s: float) -> Failure | None:
    while (failure := kafka.unregister(node_id)) is not None and failure.retriable:
        if cluster.clock.monotonic_s() > deadline_s:
            break
        cluster.clock.sleep(_SESSION_END_RETRY_S)
    return failure


def _end_supervision(execution: StopExecution, process_table: ProcessTable, *, whole: bool) -> None:
    """Stop the daemon; with the whole cluster, supervisord too."""
    cluster = execution.cluster
    supervisor = cluster.supervisor
    if not whole and process_table.supervisor is not None:
        # supervisord restarts the daemon, unless it is supervisord that stops it.
        supervisor.stop(cluster.plan.daemon.supervised_name)
    if not whole or process_table.supervisor is None:
        execution.stop_clients((DAEMON,))
        return
    process = process_table.supervisor

    def shut_down() -> None:
        try:
            supervisor.shutdown()
        except SupervisorUnreachableError:
            cluster.doors.send_signal(process, signal.SIGTERM)
            # A frozen process takes no TERM before it continues.
            cluster.doors.send_signal(process, signal.SIGCONT)

    execution.end_supervisor(process, shut_down)


def _remove_socket_directory(socket: Path) -> None:
    """Remove a control socket outside the state directory, with its directory where nothing else is in it."""
    with contextlib.suppress(OSError):
        socket.unlink(missing_ok=True)
        socket.parent.rmdir()


def _record(cluster: ClusterContext, result: StopResult, stuck: Mapping[str, Process]) -> None:
    for each in result.programs:
        how = f"killed: {each.killed}" if each.killed else "in order"
        cluster.record("stopped", how, program=each.name, clean=each.clean, took_s=each.took_s)
    for name, process in stuck.items():
        cluster.record("not_stopped", "it was still there after KILL", program=name, pid=process.pid)
    if result.whole_cluster and result.programs:
        unclean = f", unclean: {', '.join(result.unclean)}" if result.unclean else ""
        cluster.record("cluster_stopped", f"stopped in {result.took_s:.1f} s{unclean}")


_STOPPED = "is stopped: it is left alone until it is started"


@dataclass(frozen=True, slots=True)
class PauseResult:
    """Answer to ``kraftd pause`` and ``kraftd resume``.

    Attributes:
        changed: The programs whose desired state changed.
        unchanged: Why the others were left as they are, by name.
    """

    cluster: str
    changed: tuple[str, ...]
    unchanged: dict[str, str]


def pause(cluster: ClusterContext, names: Iterable[str], timeout_s: float) -> PauseResult:
    """Have the daemon neither restart nor signal some programs, until they are resumed, started or stopped.

    Raises:
        UnknownNameError: No program has one of the names.
        RefusedError: The daemon is among them: supervisord restarts it.
        TimedOutError: Another command kept the lock.
    """
    return _change(cluster, names, "pause", timeout_s)


def resume(cluster: ClusterContext, names: Iterable[str], timeout_s: float) -> PauseResult:
    """Have the daemon keep some programs running again; one that ended meanwhile is restarted.

    Raises:
        UnknownNameError: No program has one of the names.
        TimedOutError: Another command kept the lock.
    """
    return _change(cluster, names, "resume", timeout_s)


def _change(cluster: ClusterContext, names: Iterable[str], command: str, timeout_s: float) -> PauseResult:
    chosen = tuple(dict.fromkeys(names))
    cluster.plan.check_names(chosen)
    is_pause = command == "pause"
    if is_pause and DAEMON in chosen:
        raise RefusedError(
            f"cannot pause {DAEMON}: it is the daemon that respects pauses, and supervisord would restart it",
            hint=f"'kraftd stop {DAEMON}' stops it, and with it every restart.",
        )
    if not was_started(cluster):
        # A pause makes no directory.
        return PauseResult(cluster.plan.cluster, (), dict.fromkeys(chosen, _STOPPED))
    with cluster.lock(command, timeout_s=timeout_s):
        unchanged = {name: why for name in chosen if (why := _why_unchanged(cluster.store.desired(), name, is_pause))}
        changed = tuple(name for name in chosen if name not in unchanged)
        if changed:
            desired = DesiredProgram(
                running=True,
                since=timestamp(cluster.clock.now_s()),
                by=command,
                why="requested on the command line",
                paused=is_pause,
            )
            cluster.store.set_desired(changed, desired)
            for name in changed:
                text = "the daemon leaves it alone" if is_pause else "the daemon keeps it running again"
                cluster.record("paused" if is_pause else "resumed", text, program=name)
    return PauseResult(cluster.plan.cluster, changed, unchanged)


def _why_unchanged(desired: DesiredState, name: str, is_pause: bool) -> str:
    """Return why a program stays as it is; empty where it does not."""
    if desired.is_paused(name):
        return f"is paused already, since {desired.programs[name].since}" if is_pause else ""
    if not desired.wants(name):
        return _STOPPED
    return "" if is_pause else "is not paused"
