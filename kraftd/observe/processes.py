"""Which programs of a cluster have a process, under supervisord or without it."""

from dataclasses import dataclass

from kraftd.health.programs.ladder import ORPHANED, ProcessFact
from kraftd.host.processes import Process, describe, find_by_marker
from kraftd.plan.plan import Plan
from kraftd.plan.program import python_marker
from kraftd.supervisord.rpc import (
    SUPERVISORD,
    OtherNamespaceError,
    SupervisedProcess,
    Supervisor,
    SupervisorRefusedError,
    SupervisorUnreachableError,
)

_PIDLESS = ("STOPPED", "EXITED", "FATAL", "BACKOFF")


@dataclass(frozen=True, slots=True)
class ProcessTable:
    """The processes of a cluster.

    Attributes:
        supervisor: supervisord's process; None where it does not run.
        unreachable: Why supervisord does not answer although it runs; None where it answers, or does not run.
        facts: By program name; a program that supervisord does not know and that does not run is missing.
        processes: The incarnations that run, by program name.
    """

    supervisor: Process | None
    facts: dict[str, ProcessFact]
    processes: dict[str, Process]
    unreachable: str | None = None

    @property
    def supervised(self) -> bool | None:
        """Whether supervisord runs and answers; None where nothing of the cluster runs."""
        if self.supervisor is None:
            return False if self.processes else None
        return self.unreachable is None


def find_processes(plan: Plan, supervisor: Supervisor) -> ProcessTable:
    """Return which programs run.

    Without supervisord, or while it shuts down and refuses every question, processes are known by their markers.

    Raises:
        OtherNamespaceError: They run in another container or sandbox, where their pids mean other processes.
    """
    try:
        supervised = supervisor.processes()
        return _supervised(plan, supervised, _process_of(plan, supervisor))
    except (SupervisorUnreachableError, SupervisorRefusedError) as error:
        markers = {name: plan.marker(name) for name in plan.names}
        own = python_marker(plan.layout.identity(SUPERVISORD))
        found = find_by_marker((*markers.values(), own))
        processes = {name: found[marker] for name, marker in markers.items() if marker in found}
        facts = {name: ProcessFact(ORPHANED, each.pid, each.started_at_s) for name, each in processes.items()}
        process = found.get(own)
        # Who refuses is there: supervisord shuts down.
        reason = error.reason if isinstance(error, SupervisorUnreachableError) else None
        return ProcessTable(process, facts, processes, reason if process else None)


def _process_of(plan: Plan, supervisor: Supervisor) -> Process | None:
    """Return supervisord's process; None where it has ended.

    Raises:
        OtherNamespaceError: The kernel tells another pid for it than it does itself, with which no supervisord of this
            cluster runs here. Its marker counts too, as a sandbox may tell a wrong pid.
    """
    pid = supervisor.pid()
    process = describe(pid)
    is_marked = process is not None and python_marker(plan.layout.identity(SUPERVISORD)).marks(process.command)
    if supervisor.listener_pid in (None, pid) or is_marked:
        return process
    raise OtherNamespaceError(
        f"cannot see the processes of the supervisord at {plan.layout.socket}: it runs in another container or "
        "sandbox, which shares the directory",
        hint="Run the command there.",
    )


def _supervised(plan: Plan, supervised: dict[str, SupervisedProcess], supervisor: Process | None) -> ProcessTable:
    facts = {}
    processes = {}
    for name in plan.names:
        row = supervised.get(name)
        if row is None:
            continue
        # A pid whose process has ended, and that supervisord has not reaped yet, does not run.
        process = describe(row.pid) if row.pid and row.state not in _PIDLESS else None
        pid, started_at_s = (process.pid, process.started_at_s) if process else (None, row.started_at_s)
        facts[name] = ProcessFact(row.state, pid, started_at_s, row.spawn_error)
        if process:
            processes[name] = process
    return ProcessTable(supervisor, facts, processes)
