"""The views of programs, and the snapshot: one frozen observation of a cluster."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from kraftd.health.lag.view import KafkaView
from kraftd.health.programs.alerts import Alerts
from kraftd.health.programs.backups import ScheduledBackup
from kraftd.health.programs.disks import DiskView
from kraftd.health.programs.ladder import (
    NO_PROGRESS,
    NOT_STARTED,
    Answer,
    LogRecovery,
    ProcessFact,
    Rung,
    StartProgress,
    recovery_shown,
    rung_of,
)
from kraftd.health.programs.operations import Operation
from kraftd.health.programs.restarts import RestartHistory
from kraftd.plan.desired import DesiredState
from kraftd.plan.kinds import Node
from kraftd.plan.plan import Plan
from kraftd.plan.program import Kind, Program, Purpose
from kraftd.units import timestamp

START_GRACE_S = 60.0
"""How long a program that has not served yet counts as starting."""

OVERDUE_S = 10.0
"""A restart that is due for longer is none: the daemon does not run."""

_NO_PROCESS = ProcessFact(NOT_STARTED, None, None)


class ServiceState(StrEnum):
    """Whether a program serves, beyond whether its process runs."""

    READY = "READY"
    STARTING = "STARTING"
    UNREADY = "UNREADY"
    DOWN = "DOWN"
    BACKOFF = "BACKOFF"
    GIVEN_UP = "GIVEN_UP"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"


class Status(StrEnum):
    """The cluster in a word."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"
    UNSUPERVISED = "unsupervised"


@dataclass(frozen=True, slots=True)
class LastExit:
    """How a program's last run ended; one of status and signal is None.

    Attributes:
        at: RFC 3339, UTC.
        cause: The cause that its log gives; None where none was found.
    """

    at: str
    status: int | None
    signal: str | None
    cause: str | None = None

    def __str__(self) -> str:
        return f"signal {self.signal}" if self.signal else f"exit status {self.status}"


@dataclass(frozen=True, slots=True)
class ProgramView:
    """One program, as ``kraftd status`` shows it.

    Attributes:
        process_state: supervisord's state; ORPHANED where it runs without supervisord.
        reason: Why it is not ready; None when it is.
        restarts: How often the daemon restarted it since the cluster was started.
        jmx_port: None where it has no JMX, or its JMX could not be opened.
        metrics_port: The same for its metrics agent.
        notes: Why something that it serves without is missing.
        next_restart_at: When the daemon restarts it, where that waits; RFC 3339, UTC.
        rung: The rung of its readiness ladder; None while it does not run.
        recovery: How many of a broker's logs are recovered, while that goes on.
    """

    name: str
    kind: Kind
    node_id: int | None
    pid: int | None
    process_state: str
    service_state: ServiceState
    ready: bool
    restarts: int
    last_exit: LastExit | None
    reason: str | None
    uptime_s: float | None
    listeners: tuple[str, ...]
    jmx_port: int | None
    heap_bytes: int | None
    log: str
    metrics_port: int | None = None
    notes: tuple[str, ...] = ()
    next_restart_at: str | None = None
    rung: Rung | None = None
    recovery: LogRecovery | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether it should run."""
        return self.service_state is not ServiceState.STOPPED


@dataclass(frozen=True, slots=True)
class BrokerContact:
    """A configured broker's answer to its probe.

    Attributes:
        latency_s: From connecting to the end of its ApiVersions response; None where none came.
        unfenced: Whether the cluster counts it as alive; None while no broker can be asked.
    """

    latency_s: float | None = None
    unfenced: bool | None = None


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """The resources that a program's process uses, without its children.

    Attributes:
        cpu_s: CPU time since its start.
        open_files: None where the system does not say.
        started_at_s: In seconds since the Unix epoch.
    """

    cpu_s: float
    resident_bytes: int
    open_files: int | None
    threads: int
    started_at_s: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One observation of a cluster.

    Attributes:
        taken_at_s: Seconds since the Unix epoch.
        monotonic_s: The same moment on the clock that never steps, for its age.
        supervised: Whether supervisord answers; None where nothing of the cluster runs at all.
        contacts: By node id, for every configured broker.
        usages: By program name, for those that run.
        alerts: What the cluster's Prometheus last answered; None where it has none, or was not asked yet.
        unreachable: Why supervisord does not answer although it runs; None otherwise.
        disks: The file systems that hold the cluster.
        backup: The scheduled backups; None where none are, and where a command observes.
        operations: What takes long: running, resumable, done.
    """

    taken_at_s: float
    monotonic_s: float
    supervised: bool | None
    programs: tuple[ProgramView, ...]
    kafka: KafkaView = field(default_factory=KafkaView)
    contacts: Mapping[int, BrokerContact] = field(default_factory=dict)
    usages: Mapping[str, ProcessUsage] = field(default_factory=dict)
    alerts: Alerts | None = None
    unreachable: str | None = None
    disks: tuple[DiskView, ...] = ()
    backup: ScheduledBackup | None = None
    operations: tuple[Operation, ...] = ()


@dataclass(frozen=True, slots=True)
class ObservedPrograms:
    """Everything observed of the programs, each by program name.

    Attributes:
        answers: Missing where a program was not asked.
        served: The programs whose current process has served before.
        refusals: Why a node has no JMX or no metrics agent, by its name and the listener's purpose.
        hangs: What the watchdog did about programs that give no answer.
        progress: What the logs of brokers that do not serve yet say of their start.
    """

    processes: Mapping[str, ProcessFact]
    answers: Mapping[str, Answer]
    desired: DesiredState
    restart_histories: Mapping[str, RestartHistory] = field(default_factory=dict)
    exits: Mapping[str, LastExit] = field(default_factory=dict)
    served: frozenset[str] = frozenset()
    refusals: Mapping[tuple[str, Purpose], str] = field(default_factory=dict)
    hangs: Mapping[str, str] = field(default_factory=dict)
    progress: Mapping[str, StartProgress] = field(default_factory=dict)


def views(plan: Plan, facts: ObservedPrograms, now_s: float) -> tuple[ProgramView, ...]:
    """Return the view of every program of a plan, in the plan's order."""
    return tuple(_view(plan, program, facts, now_s) for program in plan.programs)


def _view(plan: Plan, program: Program, facts: ObservedPrograms, now_s: float) -> ProgramView:
    name = program.name
    process = facts.processes.get(name, _NO_PROCESS)
    memory = facts.restart_histories.get(name, RestartHistory())
    uptime_s = max(0.0, now_s - process.started_at_s) if process.pid and process.started_at_s else None
    state, reason = _service(name, process, uptime_s, facts, memory, now_s)
    next_at_s = memory.next_at_s if state is ServiceState.BACKOFF else None
    node = program if isinstance(program, Node) else None
    progress = facts.progress.get(name, NO_PROGRESS)
    rung = None if process.pid is None else rung_of(program, facts.answers.get(name), progress)
    return ProgramView(
        name=name,
        kind=program.kind,
        node_id=node.node_id if node else None,
        pid=process.pid,
        process_state=process.state,
        service_state=state,
        ready=reason is None and process.pid is not None,
        restarts=memory.restarts,
        last_exit=facts.exits.get(name),
        reason=reason,
        uptime_s=round(uptime_s, 3) if uptime_s is not None else None,
        listeners=program.addresses,
        jmx_port=_port(program, Purpose.JMX, facts),
        heap_bytes=node.heap_bytes if node else None,
        log=str(plan.layout.main_log(program)),
        metrics_port=_port(program, Purpose.METRICS, facts),
        notes=_notes(name, facts),
        next_restart_at=None if next_at_s is None else timestamp(next_at_s),
        rung=rung,
        recovery=None if rung is None else recovery_shown(rung, progress),
    )


def _port(program: Program, purpose: Purpose, facts: ObservedPrograms) -> int | None:
    listener = program.first(purpose)
    return listener.port if listener and (program.name, purpose) not in facts.refusals else None


def _notes(name: str, facts: ObservedPrograms) -> tuple[str, ...]:
    notes = tuple(f"it has no {place[1]}: {why}" for place, why in facts.refusals.items() if place[0] == name)
    if name in facts.hangs:
        notes = (facts.hangs[name], *notes)
    if not facts.desired.is_paused(name):
        return notes
    paused = facts.desired.programs[name]
    return (
        f"it is left alone since {paused.since} because of '{paused.by}': 'kraftd resume {name}' ends that",
        *notes,
    )


def _service(
    name: str,
    process: ProcessFact,
    uptime_s: float | None,
    facts: ObservedPrograms,
    memory: RestartHistory,
    now_s: float,
) -> tuple[ServiceState, str | None]:
    if process.pid is None:
        return _absent(name, process, facts, memory, now_s)
    answer = facts.answers.get(name)
    reason = "it was not asked" if answer is None else None if answer.ready else answer.reason or "it does not serve"
    if facts.desired.is_paused(name):
        return ServiceState.PAUSED, reason
    if reason is None:
        return ServiceState.READY, None
    if uptime_s is not None and uptime_s < START_GRACE_S and name not in facts.served:
        return ServiceState.STARTING, reason
    return ServiceState.UNREADY, reason


def _absent(
    name: str, process: ProcessFact, facts: ObservedPrograms, memory: RestartHistory, now_s: float
) -> tuple[ServiceState, str | None]:
    if facts.desired.is_paused(name):
        return ServiceState.PAUSED, _ended(process, facts.exits.get(name))
    if not facts.desired.wants(name):
        return ServiceState.STOPPED, None
    if memory.given_up is not None:
        return ServiceState.GIVEN_UP, memory.given_up
    if memory.next_at_s is not None and now_s < memory.next_at_s + OVERDUE_S:
        return ServiceState.BACKOFF, memory.why
    return ServiceState.DOWN, _ended(process, facts.exits.get(name))


def _ended(process: ProcessFact, ended: LastExit | None) -> str:
    if ended is None:
        return f"it does not run ({process.state})"
    return f"it ended with {ended}" + (f": {ended.cause}" if ended.cause else "")
