"""A command's own observation: of a cluster whose daemon does not answer, of its processes, of all clusters."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from kraftd.clock import Clock
from kraftd.errors import KraftdError, NotRunningError
from kraftd.health.programs.operations import Operation
from kraftd.health.programs.restarts import from_json
from kraftd.health.programs.state import ObservedPrograms, Snapshot, views
from kraftd.health.programs.verdict import judge, judge_stopped
from kraftd.health.report.documents import StatusDocument
from kraftd.health.report.health import status_document
from kraftd.host.files import read_text
from kraftd.observe.disks import DiskWatch
from kraftd.observe.exits import exit_records, with_causes
from kraftd.observe.operations import OperationWatch
from kraftd.observe.probes import all_start_progress, ask_all
from kraftd.operate.context import ClusterContext, CommandContext, cluster_context
from kraftd.operate.doors import real_doors
from kraftd.operate.status import status
from kraftd.operate.store import Store
from kraftd.plan.desired import NOTHING_DESIRED, DesiredState
from kraftd.plan.layout import Layout, clusters_dir, layout_of
from kraftd.supervisord.rpc import OtherNamespaceError

_ASK_TIMEOUT_S = 2.0


def observed(cluster: ClusterContext) -> StatusDocument:
    """Return the status as this command sees it: processes, their probes, their logs and the records on disk."""
    plan = cluster.plan
    process_table = cluster.find_processes()
    with ThreadPoolExecutor(max_workers=len(plan.names)) as pool:
        answers = ask_all(plan, tuple(process_table.processes), pool, timeout_s=_ASK_TIMEOUT_S)
    desired = cluster.store.desired() if process_table.processes else NOTHING_DESIRED
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
        operations=operations(plan.layout, cluster.clock),
    )
    verdict = judge(snapshot) if process_table.processes else judge_stopped(snapshot, _last_desired(cluster))
    return status_document(plan, snapshot, verdict, "command")


def _last_desired(cluster: ClusterContext) -> DesiredState:
    """Return what was desired of a cluster of which nothing runs: it only explains, so that damage hides no status."""
    try:
        return cluster.store.desired()
    except KraftdError:
        return NOTHING_DESIRED


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


def operations(layout: Layout, clock: Clock) -> tuple[Operation, ...]:
    """Return the operations that take long: running, resumable, done; also where the daemon does not run."""
    return OperationWatch(layout, clock).look()


@dataclass(frozen=True, slots=True)
class ListedCluster:
    """One cluster.

    Attributes:
        status: As ``kraftd status`` has it; ``stopped`` where nothing of it runs, ``elsewhere`` where it does so in
            another container, ``damaged`` where it cannot be read.
    """

    cluster: str
    status: str
    kafka_version: str
    brokers: int
    bootstrap_servers: str
    state_dir: str


def list_clusters(command_context: CommandContext) -> tuple[ListedCluster, ...]:
    """Return the clusters in the default place; one with a ``state_dir`` of its own is found there only by that."""
    place = clusters_dir(command_context.environ, command_context.home)
    # One whose plan is missing while it runs has still its manifest.
    names = sorted({path.parent.name for file in ("plan.json", "manifest.json") for path in place.glob(f"*/{file}")})
    listed = (_listed(name, command_context) for name in names)
    return tuple(each for each in listed if each is not None)


def _listed(name: str, command_context: CommandContext) -> ListedCluster | None:
    place = str(clusters_dir(command_context.environ, command_context.home) / name)
    try:
        layout = layout_of(cluster=name, state_dir=None, environ=command_context.environ, home=command_context.home)
        plan = Store(layout).plan_of_record(name)
        result = status(cluster_context(plan, command_context), observed)
    except NotRunningError:
        return None
    except OtherNamespaceError:
        return ListedCluster(name, "elsewhere", "", 0, "", place)
    except KraftdError:
        return ListedCluster(name, "damaged", "", 0, "", place)
    state = result.document.status if result.is_running else "stopped"
    return ListedCluster(name, state, plan.kafka_version, len(plan.brokers), plan.access.bootstrap_servers, place)
