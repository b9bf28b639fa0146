"""The status of the cluster: the daemon's documents while they are fresh, else a command's own observation.

The observation is given, so that what it takes is loaded only where the daemon does not answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import msgspec

from kraftd.errors import NeedsRunningClusterError, unknown_name
from kraftd.escapes import typed
from kraftd.health.programs.state import ServiceState, Status
from kraftd.health.report.documents import SCHEMA_VERSION, HealthDocument, LagDocument, StatusDocument
from kraftd.host.http import Answer, get
from kraftd.operate.context import ClusterContext
from kraftd.plan.plan import Plan

_TIMEOUT_S = 3.0
_DAEMON_TIMEOUT_S = 1.0
_PATIENCE_S = 3.0
_LIVE_WITHIN_S = 10.0
_FRESH_TURNS = 3
_NOT_RUNNING = 3

Observe = Callable[[ClusterContext], StatusDocument]
"""The command's own observation of a cluster, for where the daemon does not answer; see ``observation``."""


class _Header(msgspec.Struct):
    """The fields of a document that name its cluster and its version."""

    state_dir: str
    schema_version: int


def health(plan: Plan, timeout_s: float = _TIMEOUT_S) -> HealthDocument:
    """Return the daemon's health document.

    Raises:
        NeedsRunningClusterError: The daemon does not answer, or one of another version does.
    """
    return health_in(get(plan.daemon.host, plan.daemon.port, "/health", timeout_s=timeout_s), plan)


def health_in(answer: Answer, plan: Plan) -> HealthDocument:
    """Return the document in an answer of ``GET /health``; fields that this version does not know are left out.

    Raises:
        NeedsRunningClusterError: As health.
    """
    if answer.status is None:
        raise _unanswered(plan, answer.body)
    try:
        header = msgspec.json.decode(answer.body, type=_Header)
    except (msgspec.DecodeError, RecursionError):
        raise _unanswered(plan, "something else answers there") from None
    # Another cluster's daemon may have taken the port.
    if header.state_dir != str(plan.layout.state_dir):
        raise _unanswered(plan, "something else answers there")
    try:
        if header.schema_version == SCHEMA_VERSION:
            return msgspec.json.decode(answer.body, type=HealthDocument)
    except msgspec.ValidationError:
        pass
    raise NeedsRunningClusterError(
        f"cannot read the answer of the daemon of the cluster {plan.cluster}: it is of another version of kraftd",
        hint="'kraftd restart kraftd' starts the daemon of this version.",
    )


def _unanswered(plan: Plan, reason: str) -> NeedsRunningClusterError:
    return NeedsRunningClusterError(
        f"cannot ask the daemon of the cluster {plan.cluster} at {plan.daemon.host}:{plan.daemon.port}: {reason}",
        hint="'kraftd status' shows what runs, 'kraftd start' starts it.",
    )


def lag(plan: Plan, group: str | None) -> LagDocument:
    """Return the groups with their lag, or one of them; an unknown lag is None.

    Raises:
        NeedsRunningClusterError: The daemon does not answer, or has not read the groups yet.
        UnknownNameError: There is no such group.
    """
    document = health(plan)
    if document.groups is None:
        raise unread_lag(document.failures)
    names = [each.group for each in document.groups]
    meant = None if group is None else typed(group, names)
    chosen = tuple(each for each in document.groups if meant in (None, each.group))
    if group is not None and not chosen:
        raise unknown_name(f"cannot find the group {group}", group, names)
    return LagDocument(ok=True, schema_version=SCHEMA_VERSION, age_s=document.groups_age_s, groups=chosen)


def unread_lag(failures: Mapping[str, str]) -> NeedsRunningClusterError:
    """Return the error that names each reason once: often all collectors fail for the same one.

    Args:
        failures: The reasons, by the part of the collection that failed.
    """
    reasons = "; ".join(dict.fromkeys(failures.values())) or "they were not read yet"
    return NeedsRunningClusterError(f"cannot show the lag of groups: {reasons}", hint="Try again in a few seconds.")


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
        """0 when every desired program serves, 1 degraded, 3 not running, as in the Linux Standard Base."""
        return int(self.document.status is not Status.OK) if self.is_running else _NOT_RUNNING


def status(cluster: ClusterContext, observe: Observe) -> StatusResult:
    """Return the cluster's status now."""
    plan = cluster.plan
    fresh_within_s = max(_FRESH_TURNS * plan.daemon.interval_s, 2.0)
    document = _from_daemon(plan, timeout_s=_DAEMON_TIMEOUT_S, fresh_within_s=fresh_within_s)
    return StatusResult(document or observe(cluster))


def best_document(cluster: ClusterContext, observe: Observe) -> StatusDocument:
    """Return the fullest document: the daemon's health, even if some seconds old, else the command's own observation.

    While a broker is frozen an observation takes the daemon seconds, and a command cannot read Kafka's state itself.
    """
    document = _from_daemon(cluster.plan, timeout_s=_PATIENCE_S, fresh_within_s=_LIVE_WITHIN_S)
    return document or observe(cluster)


def filter_status(result: StatusResult, names: tuple[str, ...]) -> StatusResult:
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
