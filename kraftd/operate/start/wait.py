"""`kraftd wait`: until programs and the cluster are on rungs of their readiness ladders, or stopped."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kraftd.errors import ConfigurationError, TimedOutError, known_names, unknown_name
from kraftd.health.programs.causes import relevant_lines
from kraftd.health.programs.ladder import CLUSTER_LADDER, Rung, described, ladder_of, serving_rung
from kraftd.health.programs.state import ProgramView
from kraftd.health.report.documents import StatusDocument
from kraftd.observe.exits import last_records
from kraftd.operate.context import ClusterContext
from kraftd.operate.observation import observed
from kraftd.operate.status import StatusResult, status
from kraftd.plan.plan import Plan
from kraftd.plan.program import Kind

CLUSTER = "cluster"
"""The name that stands for the cluster as a whole."""

STOPPED = "stopped"
_READY = "ready"
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of ``kraftd wait``.

    Attributes:
        name: A program, or ``cluster``.
        rung: The rung that is to be reached; None where nothing of it is to run.
    """

    name: str
    rung: Rung | None

    def __str__(self) -> str:
        what = "the cluster" if self.name == CLUSTER else self.name
        return f"{what} to be {self.rung or STOPPED}"


def parse_condition(text: str, plan: Plan) -> Condition:
    """Return the condition of ``NAME:RUNG``; a rung alone is the cluster's.

    Raises:
        ConfigurationError: It has not that form, or there is no such rung.
        UnknownNameError: No program has the name.
    """
    name, colon, word = text.rpartition(":")
    if not colon:
        name, word = (text, "") if text in plan.names else (CLUSTER, text)
    if name and word and name not in (CLUSTER, *plan.names):
        raise unknown_name(f"cannot wait for {text!r}: no such program", name, (CLUSTER, *plan.names))
    rungs = CLUSTER_LADDER if name == CLUSTER or not name else ladder_of(plan.program(name))
    known = dict.fromkeys([*map(str, rungs), _READY, STOPPED])
    if not name or word not in known:
        raise ConfigurationError(
            f"cannot wait for {text!r}: no such rung",
            hint=f"{known_names(word, tuple(known))} Write NAME:RUNG, as in {name or CLUSTER}:ready.",
            details={"rung": word, "known": list(known)},
        )
    if word == STOPPED:
        return Condition(name, None)
    if word == _READY and name != CLUSTER:
        return Condition(name, serving_rung(plan.program(name)))
    return Condition(name, Rung(word))


def wait(cluster: ClusterContext, conditions: Sequence[Condition], timeout_s: float) -> StatusResult:
    """Return the status that meets every condition.

    Raises:
        TimedOutError: With what is not met, the programs that it is for, their rungs and the log lines that matter.
    """
    deadline_s = cluster.clock.monotonic_s() + timeout_s
    while True:
        result = status(cluster, observed)
        unmet = [each for each in conditions if not is_met(result.document, each, cluster.plan)]
        if not unmet:
            return result
        if cluster.clock.monotonic_s() > deadline_s:
            raise _timed_out(cluster, result.document, unmet, timeout_s)
        cluster.clock.sleep(_POLL_S)


def is_met(document: StatusDocument, condition: Condition, plan: Plan) -> bool:
    """Return whether a condition is met: its rung is reached, or one above it.

    A program that the document has not is on no rung: it has left the cluster meanwhile, or the daemon does not know it
    yet.
    """
    if condition.rung is None:
        return all(node.pid is None for node in document.nodes if condition.name in (CLUSTER, node.name))
    if condition.name == CLUSTER:
        if condition.rung is Rung.READY:
            return document.ready
        return _has_reached(CLUSTER_LADDER, document.rung, condition.rung)
    node = next((each for each in document.nodes if each.name == condition.name), None)
    if node is None:
        return False
    program = plan.program(node.name)
    if condition.rung is serving_rung(program):
        return node.ready
    return _has_reached(ladder_of(program), node.rung, condition.rung)


def _has_reached(ladder: tuple[Rung, ...], rung: Rung | None, wanted: Rung) -> bool:
    return rung is not None and ladder.index(rung) >= ladder.index(wanted)


def _timed_out(
    cluster: ClusterContext, document: StatusDocument, unmet: Sequence[Condition], timeout_s: float
) -> TimedOutError:
    waited_for = "; and for ".join(f"{each}: {missing(document, each)}" for each in unmet)
    concerned = {node.name: node for each in unmet for node in _concerned(document, each)}
    lines = {
        name: _log_lines(cluster, name, node.uptime_s)
        for name, node in concerned.items()
        if node.uptime_s is not None and not node.ready
    }
    logged = [f"\n  {name} logged: {line}" for name, own in lines.items() for line in own]
    return TimedOutError(
        f"cannot wait longer than {timeout_s:g} s for {waited_for}{''.join(logged)}",
        hint="'kraftd status -v' shows more.",
        details={
            "waiting_for": [{"name": each.name, "rung": str(each.rung or STOPPED)} for each in unmet],
            "programs": {name: node.rung for name, node in concerned.items()},
            "lines": lines,
        },
    )


def _log_lines(cluster: ClusterContext, name: str, uptime_s: float) -> list[str]:
    """Return the log lines that matter of a program's run."""
    program = cluster.plan.program(name)
    return relevant_lines(last_records(cluster.layout, program, cluster.clock.now_s() - uptime_s))


def missing(document: StatusDocument, condition: Condition) -> str:
    """Return because of which programs a condition is not met, with their rungs."""
    concerned = list(_concerned(document, condition))
    if condition.rung is None:
        return ", ".join(f"{node.name} runs" for node in concerned)
    if condition.name != CLUSTER and not concerned:
        return "the cluster has no such program now"
    nodes = ", ".join(
        f"{node.name} is {node.service_state}"
        + (f" ({described(node.rung, node.recovery)})" if node.rung is not None else "")
        for node in concerned
    )
    return nodes or "; ".join(document.reasons) or f"it is {document.rung or 'on no rung'}"


def _concerned(document: StatusDocument, condition: Condition) -> Iterable[ProgramView]:
    """Return the programs because of which a condition is not met."""
    if condition.rung is None:
        return [node for node in document.nodes if node.pid is not None and condition.name in (CLUSTER, node.name)]
    if condition.name != CLUSTER:
        return [node for node in document.nodes if node.name == condition.name]
    unready = [node for node in document.nodes if not node.ready]
    if condition.rung in (Rung.QUORUM, Rung.BROKERS):
        return [node for node in unready if node.kind in (Kind.BROKER, Kind.CONTROLLER)]
    if condition.rung is Rung.IN_SYNC and not unready:
        return [node for node in document.nodes if node.kind is Kind.BROKER and node.rung is not Rung.IN_SYNC]
    return unready
