"""The doors of the daemon's loop: what it sees and does outside of itself."""

import contextlib
import functools
import logging
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from kraftd.clock import Clock
from kraftd.daemon.attachments import Pending
from kraftd.errors import FileAccessError, KraftdError
from kraftd.health.lag.view import KafkaView
from kraftd.health.programs.alerts import Alerts
from kraftd.health.programs.backups import ScheduledBackup
from kraftd.health.programs.causes import Cause
from kraftd.health.programs.disks import DiskView
from kraftd.health.programs.ladder import Answer, ProcessFact, StartProgress
from kraftd.health.programs.operations import Operation
from kraftd.health.programs.restarts import RestartHistory, to_json
from kraftd.health.programs.state import LastExit, ProcessUsage
from kraftd.health.programs.stop_blockers import describe_blocker
from kraftd.host.events import EventLog
from kraftd.host.files import read_text, write_atomically
from kraftd.host.jvm import diagnostic_command, enable_jmx, load_agent
from kraftd.host.lock import try_acquire
from kraftd.host.machine import memory_kills, port_holder
from kraftd.host.processes import Process, send_signal, usage
from kraftd.kafka.admin import KafkaAdmin
from kraftd.kafka.model import KafkaAccessError
from kraftd.observe.alerts import AlertReader
from kraftd.observe.collector import Collector
from kraftd.observe.disks import DiskWatch
from kraftd.observe.exits import KernelKills, cause_of, exit_records, with_causes
from kraftd.observe.operations import OperationWatch
from kraftd.observe.probes import all_start_progress, ask_all
from kraftd.observe.processes import ProcessTable, find_processes
from kraftd.observe.stop_cost import stop_cost
from kraftd.plan.desired import DAMAGED, DesiredState, parse_desired
from kraftd.plan.kinds import Node
from kraftd.plan.layout import Layout
from kraftd.plan.plan import Plan
from kraftd.plan.program import Listener, Purpose
from kraftd.supervisord.rpc import Supervisor, SupervisorRefusedError, SupervisorUnreachableError

logger = logging.getLogger("kraftd.daemon")
_GOOD_EVENTS = ("backup_scheduled", "recovered")

_ASK_TIMEOUT_S = 2.0
_ADMIN_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class DaemonDoors:
    """The functions through which the loop reaches outside; tests give others.

    Only ``ask`` and ``stop_obstacle`` wait for brokers, for a bounded time.

    Attributes:
        find_processes: The programs that run.
        read_desired: The programs that should run.
        ask: Whether programs serve, asked side by side.
        kafka_view: The newest view of Kafka.
        last_exits: How programs last ended.
        cause_of_exit: Why a program's last run ended.
        start: Starts a program and returns at once; the answer is why supervisord refuses, None where it does not, or
            does not answer. Either is logged, and the next tick tries again.
        usages: CPU time, memory and files that processes use, by program name.
        attach: Begins to open a listener in a node's JVM; the result is why it was refused, which is logged.
        try_lock: Holds the cluster's lock unless a command does; yields whether it is held.
        save_restarts: Writes the restart histories to disk; where it is full, that is logged.
        alerts: What Prometheus last answered.
        disks: The file systems that hold the cluster.
        send_signal: Signals this incarnation; False where it has ended.
        stop_obstacle: Why a node must not end now, as Kafka tells it; None where nothing speaks against it.
        log_age_s: Seconds since a program last wrote to one of its logs; None where it has none.
        sample_kernel_kills: Looks how many processes the kernel has ended, to tell those that end next from others.
        progress: What the logs of brokers that do not serve say of their start.
        record_event: Records an event's kind, program and text; where the disk is full, it is only logged.
        backup: The scheduled backups; None where none are.
        operations: The long operations, such as a scale, that are under way or unfinished.
    """

    find_processes: Callable[[], ProcessTable]
    read_desired: Callable[[], DesiredState]
    ask: Callable[[tuple[str, ...]], dict[str, Answer]]
    kafka_view: Callable[[], KafkaView]
    last_exits: Callable[[Mapping[str, ProcessFact]], dict[str, LastExit]]
    cause_of_exit: Callable[[str, ProcessFact, LastExit | None], Cause]
    start: Callable[[str], str | None]
    usages: Callable[[Mapping[str, Process]], dict[str, ProcessUsage]]
    attach: Callable[[Node, Listener, Process], Pending]
    try_lock: Callable[[], AbstractContextManager[bool]]
    save_restarts: Callable[[Mapping[str, RestartHistory]], None]
    send_signal: Callable[[Process, signal.Signals], bool]
    stop_obstacle: Callable[[Node], str | None]
    log_age_s: Callable[[str], float | None]
    record_event: Callable[[str, str, str], None]
    backup: Callable[[], ScheduledBackup | None] = lambda: None
    operations: Callable[[], tuple[Operation, ...]] = tuple
    alerts: Callable[[], Alerts | None] = lambda: None
    disks: Callable[[], tuple[DiskView, ...]] = tuple
    progress: Callable[[Mapping[str, ProcessFact], Mapping[str, Answer]], Mapping[str, StartProgress]] = (
        lambda facts, answers: {}
    )
    sample_kernel_kills: Callable[[], None] = lambda: None


def daemon_doors(
    plan: Plan, supervisor: Supervisor, collector: Collector, alerts: AlertReader, events: EventLog, clock: Clock
) -> DaemonDoors:
    """Return the real doors; the threads that ask programs whether they serve live as long as these."""
    layout = plan.layout
    kernel_kills = KernelKills(memory_kills, clock)
    pool = ThreadPoolExecutor(max_workers=len(plan.names), thread_name_prefix="probe")
    attaching = ThreadPoolExecutor(max_workers=1, thread_name_prefix="attach")
    return DaemonDoors(
        find_processes=lambda: find_processes(plan, supervisor),
        read_desired=RememberedDesired(layout).read,
        ask=lambda programs: ask_all(plan, programs, pool, timeout_s=_ASK_TIMEOUT_S),
        kafka_view=lambda: collector.view,
        last_exits=lambda facts: with_causes(exit_records(plan), plan, facts, kernel_kills),
        cause_of_exit=functools.partial(cause_of, plan, kernel_kills=kernel_kills),
        start=functools.partial(_start, plan, supervisor),
        usages=_usages,
        attach=lambda node, listener, process: attaching.submit(attach, layout, clock, node, listener, process),
        try_lock=lambda: try_acquire(layout.lock, command="daemon"),
        save_restarts=functools.partial(_save_restarts, layout),
        send_signal=send_signal,
        stop_obstacle=functools.partial(_stop_obstacle, plan),
        log_age_s=functools.partial(_log_age_s, plan, clock),
        record_event=functools.partial(record_event, events),
        operations=OperationWatch(layout, clock).look,
        alerts=lambda: alerts.newest,
        disks=DiskWatch(plan, clock).views,
        progress=functools.partial(all_start_progress, plan),
        sample_kernel_kills=kernel_kills.sample,
    )


class RememberedDesired:
    """The desired state as it was last read, which is written again where something has damaged its file since."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._known: DesiredState | None = None

    def read(self) -> DesiredState:
        """Return the desired state.

        Raises:
            KraftdError: The file is damaged and nothing is known from before, or a newer kraftd wrote it.
        """
        try:
            self._known = self._parsed()
        except KraftdError as error:
            if self._known is None or error.code != DAMAGED:
                raise
            with try_acquire(self._layout.lock, command="daemon") as is_held:
                # A command that holds the lock may be about to write it; if it does not, a later tick does.
                if is_held:
                    self._known = self._written_again(self._known)
        return self._known

    def _parsed(self) -> DesiredState:
        return parse_desired(read_text(self._layout.desired), self._layout.desired)

    def _written_again(self, known: DesiredState) -> DesiredState:
        """Write the known state, unless a command wrote one before the lock was held; return what the file has."""
        try:
            return self._parsed()
        except KraftdError as error:
            with contextlib.suppress(FileAccessError):
                write_atomically(self._layout.desired, known.to_json())
                logger.warning("%s; it is written again as it was read last", error)
        return known


def _start(plan: Plan, supervisor: Supervisor, program: str) -> str | None:
    try:
        refusal = supervisor.start(plan.program(program).supervised_name)
    except SupervisorRefusedError as error:
        logger.warning("Restart of %s failed: %s", program, error)
        return error.reason
    except SupervisorUnreachableError as error:
        logger.warning("Restart of %s failed: %s", program, error)
        return None
    if refusal:
        logger.warning("Restart of %s failed: %s", program, refusal)
    return refusal or None


def _stop_obstacle(plan: Plan, node: Node) -> str | None:
    try:
        with KafkaAdmin(plan.access, timeout_s=_ADMIN_TIMEOUT_S) as kafka:
            cost = stop_cost(kafka, {node.node_id})
    except KafkaAccessError as error:
        return f"what its end would cost is not known: {error}"
    if cost.unread:
        return f"what its end would cost is not known: the state of {cost.unread[0]} could not be read"
    return "; ".join(describe_blocker(blocker) for blocker in cost.blockers) or None


def _log_age_s(plan: Plan, clock: Clock, program: str) -> float | None:
    written_at_s = []
    for path in plan.layout.log_files(plan.program(program)):
        with contextlib.suppress(OSError):
            written_at_s.append(path.stat().st_mtime)
    return max(0.0, clock.now_s() - max(written_at_s)) if written_at_s else None


def _usages(processes: Mapping[str, Process]) -> dict[str, ProcessUsage]:
    found = {name: (usage(process.pid), process.started_at_s) for name, process in processes.items()}
    return {
        name: ProcessUsage(each.cpu_s, each.resident_bytes, each.open_files, each.threads, started_at_s)
        for name, (each, started_at_s) in found.items()
        if each is not None
    }


def attach(layout: Layout, clock: Clock, node: Node, listener: Listener, process: Process) -> str | None:
    """Open a listener in a node's JVM, and return why that failed, which is logged; None where it did not."""
    try:
        if listener.purpose is Purpose.METRICS:
            refusal = load_metrics_agent(layout.metrics_agent(node.name), listener, process, clock)
        else:
            enable_jmx(process, listener, layout.jmx, clock)
            refusal = None
    except KraftdError as error:
        # Also a file that cannot be read: the node serves all the same.
        refusal = str(error)
    if refusal is not None:
        logger.warning("%s has no %s: %s", node.name, listener.purpose, refusal)
    return refusal


def load_metrics_agent(rendered: Path, listener: Listener, process: Process, clock: Clock) -> str | None:
    """Load the metrics agent into a JVM, and return why that was not tried.

    The agent ends the JVM where it cannot listen, has no rules, or is loaded already: so all three are checked first.

    Raises:
        AttachError: The JVM does not answer in time, or the agent did not load.
    """
    argument = (read_text(rendered) or "").strip()
    if not argument:
        return "its jar is missing; 'kraftd setup' fetches it, and 'kraftd restart' applies it"
    # A JVM runs one command after the other. So once it answers this one, it has also finished a load that timed out
    # earlier, in this daemon or the one before, and the port shows whether that succeeded.
    diagnostic_command(process, "VM.version", clock)
    holder = port_holder(listener.host, listener.port)
    if holder is not None:
        # Loaded before.
        return None if holder.pid == process.pid else f"port {listener.port} is held by {holder}"
    jar, _, options = argument.partition("=")
    for path in (Path(jar), Path(options.split(":", 2)[2])):
        if not path.is_file():
            return f"{path} is missing; 'kraftd setup' and 'kraftd restart' bring it back"
    load_agent(process, argument, clock)
    return None


def _save_restarts(layout: Layout, restart_histories: Mapping[str, RestartHistory]) -> None:
    try:
        write_atomically(layout.restarts, to_json(restart_histories))
    except FileAccessError as error:
        logger.warning("Cannot save the restart history: %s", error)


def reopen_logs(plan: Plan, supervisor: Supervisor) -> None:
    """Have supervisord, where it runs, reopen all logs by their names."""
    process = find_processes(plan, supervisor).supervisor
    if process is not None:
        send_signal(process, signal.SIGUSR2)


def record_event(events: EventLog, kind: str, program: str, text: str) -> None:
    """Record an event, and log it: as a warning, but for one that is good news."""
    logger.log(logging.INFO if kind in _GOOD_EVENTS else logging.WARNING, "%s %s: %s", program, kind, text)
    try:
        events.record(kind, text, program=program)
    except FileAccessError as error:
        logger.warning("Cannot record this event: %s", error)
