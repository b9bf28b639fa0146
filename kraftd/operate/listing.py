"""`kraftd list`: the clusters of this user on this machine."""

from dataclasses import dataclass

from kraftd.errors import KraftdError
from kraftd.operate.context import cluster_context
from kraftd.operate.status import status
from kraftd.operate.store import Store
from kraftd.operate.workspace import Workspace
from kraftd.spec.layout import clusters_dir, layout_of


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


def list_clusters(workspace: Workspace) -> tuple[Listed, ...]:
    """Return the clusters in the default place; one with a ``state_dir`` of its own is found there only by that."""
    place = clusters_dir(workspace.environ, workspace.home)
    names = sorted(path.parent.name for path in place.glob("*/plan.json"))
    return tuple(_listed(name, workspace) for name in names)


def _listed(name: str, workspace: Workspace) -> Listed:
    place = str(clusters_dir(workspace.environ, workspace.home) / name)
    try:
        layout = layout_of(cluster=name, state_dir=None, environ=workspace.environ, home=workspace.home)
        plan = Store(layout).plan_of_record(name)
        result = status(cluster_context(plan, workspace))
    except KraftdError:
        return Listed(name, "damaged", "", 0, "", place)
    state = result.document.status if result.is_running else "stopped"
    return Listed(name, state, plan.kafka_version, len(plan.brokers), plan.access.bootstrap_servers, place)
