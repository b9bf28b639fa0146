"""`kraftd status`: the daemon's snapshot when it is fresh, else an own look, and which of the two it was."""

from dataclasses import dataclass, replace

from kraftd.errors import NeedsRunningClusterError
from kraftd.host.files import read_text
from kraftd.operate.context import ClusterContext
from kraftd.operate.questions import health
from kraftd.spec.desired import DesiredState
from kraftd.spec.plan import Plan
from kraftd.watch.documents import HealthDocument, StatusDocument
from kraftd.watch.exit_records import exit_records, with_causes
from kraftd.watch.health import judge
from kraftd.watch.health_report import status_document
from kraftd.watch.observation import Facts, views
from kraftd.watch.readiness import ask_all
from kraftd.watch.restarts import from_json
from kraftd.watch.snapshot import ServiceState, Snapshot, Status

_DAEMON_TIMEOUT_S = 1.0
_PATIENCE_S = 3.0
_LIVE_WITHIN_S = 10.0
_FRESH_TURNS = 3
_ASK_TIMEOUT_S = 2.0

_NOT_RUNNING = 3


@dataclass(frozen=True, slots=True)
class StatusResult:
    """Answer to ``kraftd status``: the document that ``--json`` prints, the daemon's where that is fresh."""

    document: StatusDocument

    @property
    def is_running(self) -> bool:
        """Whether any process of the cluster runs."""
        return any(node.pid is not None for node in self.document.nodes)

    @property
    def exit_code(self) -> int:
        """0 when all that shall run serves, 1 degraded, 3 not running, as the Linux Standard Base has it."""
        return int(self.document.status is not Status.OK) if self.is_running else _NOT_RUNNING


def status(cluster: ClusterContext) -> StatusResult:
    """Return what the cluster is like now."""
    plan = cluster.plan
    fresh_within_s = max(_FRESH_TURNS * plan.daemon.interval_s, 2.0)
    document = _from_daemon(plan, timeout_s=_DAEMON_TIMEOUT_S, fresh_within_s=fresh_within_s)
    return StatusResult(document or _own_look(cluster))


def fullest_document(cluster: ClusterContext) -> StatusDocument:
    """Return the document that tells most: the daemon's health, also one that is some seconds old, else an own look.

    While a broker is frozen a look of the daemon takes seconds; what it knows of Kafka, a command cannot see itself.
    """
    document = _from_daemon(cluster.plan, timeout_s=_PATIENCE_S, fresh_within_s=_LIVE_WITHIN_S)
    return document or _own_look(cluster)


def narrowed(result: StatusResult, names: tuple[str, ...]) -> StatusResult:
    """Return the status of some programs only: ``ok`` when they serve or are stopped on purpose."""
    nodes = tuple(node for node in result.document.nodes if node.name in names)
    failing = [node for node in nodes if not node.ready and node.service_state is not ServiceState.STOPPED]
    verdict = result.document.status
    if verdict is not Status.UNSUPERVISED:
        verdict = Status.DEGRADED if failing else Status.OK
    reasons = tuple(f"{node.name} is {node.service_state}: {node.reason}" for node in failing)
    ready = all(node.ready for node in nodes)
    return StatusResult(replace(result.document, nodes=nodes, status=verdict, ready=ready, reasons=reasons))


def _from_daemon(plan: Plan, *, timeout_s: float, fresh_within_s: float) -> HealthDocument | None:
    try:
        document = health(plan, timeout_s)
    except NeedsRunningClusterError:
        return None
    return document if document.age_s < fresh_within_s else None


def _own_look(cluster: ClusterContext) -> StatusDocument:
    plan = cluster.plan
    roster = cluster.find_processes()
    answers = ask_all(plan, tuple(roster.processes), timeout_s=_ASK_TIMEOUT_S)
    desired = cluster.store.desired() if roster.processes else DesiredState(0, {})
    facts = Facts(
        roster.facts,
        answers,
        desired,
        from_json(read_text(plan.layout.restarts)),
        with_causes(exit_records(plan), plan, roster.facts),
    )
    now_s = cluster.clock.now_s()
    snapshot = Snapshot(now_s, cluster.clock.monotonic_s(), roster.supervised, views(plan, facts, now_s))
    return status_document(plan, snapshot, judge(snapshot), "command")
