"""The status of the cluster: the daemon's documents while they are fresh, else a command's own observation."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import msgspec

from kraftd.errors import KraftdError, NeedsRunningClusterError, unknown_name
from kraftd.escapes import typed
from kraftd.health.programs.operations import Operation
from kraftd.health.programs.restarts import from_json
from kraftd.health.programs.state import ObservedPrograms, ServiceState, Snapshot, Status, views
from kraftd.health.programs.verdict import judge, judge_what_has_ended
from kraftd.health.report.documents import SCHEMA_VERSION, HealthDocument, LagDocument, StatusDocument
from kraftd.health.report.health import status_document
from kraftd.host.files import read_text
from kraftd.host.http import Answer, get
from kraftd.observe.disks import DiskWatch
from kraftd.observe.exits import exit_records, with_causes
from kraftd.observe.operations import OperationWatch
from kraftd.observe.probes import all_start_progress, ask_all
from kraftd.operate.context import ClusterContext, CommandContext, cluster_context
from kraftd.operate.doors import real_doors
from kraftd.operate.store import Store
from kraftd.plan.desired import DesiredState
from kraftd.plan.layout import Layout, clusters_dir, layout_of
from kraftd.plan.plan import Plan

_TIMEOUT_S = 3.0


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
    except msgspec.DecodeError:
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
        raise unread("the lag of groups", document.failures)
    names = [each.group for each in document.groups]
    meant = None if group is None else typed(group, names)
    chosen = tuple(each for each in document.groups if meant in (None, each.group))
    if group is not None and not chosen:
        raise unknown_name(f"cannot find the group {group}", group, names)
    return LagDocument(ok=True, schema_version=SCHEMA_VERSION, age_s=document.groups_age_s, groups=chosen)


def unread(what: str, failures: Mapping[str, str]) -> NeedsRunningClusterError:
    """Return the error that names each reason once: often all collectors fail for the same one.

    Args:
        what: The values that are not known.
        failures: The reasons, by the part of the collection that failed.
    """
    reasons = "; ".join(dict.fromkeys(failures.values())) or "they were not read yet"
    return NeedsRunningClusterError(f"cannot show {what}: {reasons}", hint="Try again in a few seconds.")


def running_programs(layout: Layout) -> tuple[str, ...]:
    """Return the programs of a cluster that have a process now, supervisord among them.

    Raises:
        KraftdError: The cluster's records are damaged.
    """
    plan = Store(layout).plan()
    if plan is None:
        return ()
    process_table = real_doors().find_processes(plan)
    return (*process_table.processes, *(("supervisord",) if process_table.supervisor else ()))


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
        """0 when every desired program serves, 1 degraded, 3 not running, as in the Linux Standard Base."""
        return int(self.document.status is not Status.OK) if self.is_running else _NOT_RUNNING


def status(cluster: ClusterContext) -> StatusResult:
    """Return the cluster's status now."""
    plan = cluster.plan
    fresh_within_s = max(_FRESH_TURNS * plan.daemon.interval_s, 2.0)
    document = _from_daemon(plan, timeout_s=_DAEMON_TIMEOUT_S, fresh_within_s=fresh_within_s)
    return StatusResult(document or _observe_directly(cluster))


def best_document(cluster: ClusterContext) -> StatusDocument:
    """Return the fullest document: the daemon's health, even if some seconds old, else the command's own observation.

    While a broker is frozen an observation takes the daemon seconds, and a command cannot read Kafka's state itself.
    """
    document = _from_daemon(cluster.plan, timeout_s=_PATIENCE_S, fresh_within_s=_LIVE_WITHIN_S)
    return document or _observe_directly(cluster)


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


def _observe_directly(cluster: ClusterContext) -> StatusDocument:
    plan = cluster.plan
    process_table = cluster.find_processes()
    with ThreadPoolExecutor(max_workers=len(plan.names)) as pool:
        answers = ask_all(plan, tuple(process_table.processes), pool, timeout_s=_ASK_TIMEOUT_S)
    wanted = cluster.store.desired()
    desired = wanted if process_table.processes else DesiredState(0, {})
    facts = ObservedPrograms(
        process_table.facts,
        answers,
        desired,
        from_json(read_text(plan.layout.restarts)),
        with_causes(exit_records(plan), plan, process_table.facts),
        progress=all_start_progress(plan, process_table.facts, answers),
    )
    now_s = cluster.clock.now_s()
    snapshot = Snapshot(
        now_s,
        cluster.clock.monotonic_s(),
        process_table.supervised,
        views(plan, facts, now_s),
        unreachable=process_table.unreachable,
        disks=DiskWatch(plan, cluster.clock).views(),
    )
    verdict = judge(snapshot) if process_table.processes else judge_what_has_ended(snapshot, wanted)
    return status_document(plan, snapshot, verdict, "command")


def operations(cluster: ClusterContext) -> tuple[Operation, ...]:
    """Return the operations that take long: running, resumable, done; also where the daemon does not run."""
    return OperationWatch(cluster.layout, cluster.clock).look()


@dataclass(frozen=True, slots=True)
class Listed:
    """One cluster.

    Attributes:
        status: As ``kraftd status`` has it; ``stopped`` where nothing of it runs, ``damaged`` where it cannot be read.
    """

    cluster: str
    status: str
    kafka_version: str
    brokers: int
    bootstrap_servers: str
    state_dir: str


def list_clusters(command_context: CommandContext) -> tuple[Listed, ...]:
    """Return the clusters in the default place; one with a ``state_dir`` of its own is found there only by that."""
    place = clusters_dir(command_context.environ, command_context.home)
    names = sorted(path.parent.name for path in place.glob("*/plan.json"))
    return tuple(_listed(name, command_context) for name in names)


def _listed(name: str, command_context: CommandContext) -> Listed:
    place = str(clusters_dir(command_context.environ, command_context.home) / name)
    try:
        layout = layout_of(cluster=name, state_dir=None, environ=command_context.environ, home=command_context.home)
        plan = Store(layout).plan_of_record(name)
        result = status(cluster_context(plan, command_context))
    except KraftdError:
        return Listed(name, "damaged", "", 0, "", place)
    state = result.document.status if result.is_running else "stopped"
    return Listed(name, state, plan.kafka_version, len(plan.brokers), plan.access.bootstrap_servers, place)
