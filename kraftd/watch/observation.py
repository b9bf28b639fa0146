"""From facts about processes to what people see of the programs. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kraftd.spec.desired import DesiredState
from kraftd.spec.kinds import Node
from kraftd.spec.plan import Plan
from kraftd.spec.program import Program
from kraftd.watch.process_facts import NOT_STARTED, Answer, ProcessFact
from kraftd.watch.restarts import Memory
from kraftd.watch.snapshot import LastExit, ProgramView, ServiceState

START_GRACE_S = 60.0
"""How long a program that has not served yet counts as starting."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that was found out about the programs, each by program name.

    Attributes:
        answers: Missing where a program was not asked.
        served: The programs whose process of now has served before.
    """

    processes: Mapping[str, ProcessFact]
    answers: Mapping[str, Answer]
    desired: DesiredState
    memories: Mapping[str, Memory] = field(default_factory=dict)
    exits: Mapping[str, LastExit] = field(default_factory=dict)
    served: frozenset[str] = frozenset()


_NO_PROCESS = ProcessFact(NOT_STARTED, None, None)


def views(plan: Plan, facts: Facts, now_s: float) -> tuple[ProgramView, ...]:
    """Return every program of a plan as people see it, in the plan's order."""
    return tuple(_view(plan, program, facts, now_s) for program in plan.programs)


def _view(plan: Plan, program: Program, facts: Facts, now_s: float) -> ProgramView:
    name = program.name
    process = facts.processes.get(name, _NO_PROCESS)
    memory = facts.memories.get(name, Memory())
    uptime_s = max(0.0, now_s - process.started_at_s) if process.pid and process.started_at_s else None
    state, reason = _service(name, process, uptime_s, facts, memory)
    node = program if isinstance(program, Node) else None
    return ProgramView(
        name=name,
        kind=program.kind,
        node_id=node.node_id if node else None,
        pid=process.pid,
        process_state=process.state,
        service_state=state,
        ready=state is ServiceState.READY,
        restarts=memory.restarts,
        last_exit=facts.exits.get(name),
        reason=reason,
        uptime_s=round(uptime_s, 3) if uptime_s is not None else None,
        listeners=program.addresses,
        jmx_port=node.jmx.port if node and node.jmx else None,
        heap_bytes=node.heap_bytes if node else None,
        log=str(plan.layout.main_log(program)),
    )


def _service(
    name: str, process: ProcessFact, uptime_s: float | None, facts: Facts, memory: Memory
) -> tuple[ServiceState, str | None]:
    if process.pid is None:
        return _absent(name, process, facts, memory)
    answer = facts.answers.get(name)
    if answer is not None and answer.ready:
        return ServiceState.READY, None
    reason = answer.reason if answer else "it was not asked"
    if uptime_s is not None and uptime_s < START_GRACE_S and name not in facts.served:
        return ServiceState.STARTING, reason
    return ServiceState.UNREADY, reason


def _absent(name: str, process: ProcessFact, facts: Facts, memory: Memory) -> tuple[ServiceState, str | None]:
    if not facts.desired.wants(name):
        return ServiceState.STOPPED, None
    if memory.given_up is not None:
        return ServiceState.GIVEN_UP, memory.given_up
    ended = facts.exits.get(name)
    if ended is None:
        return ServiceState.DOWN, f"it does not run ({process.state})"
    return ServiceState.DOWN, f"it ended with {ended}" + (f": {ended.cause}" if ended.cause else "")
