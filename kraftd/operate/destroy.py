"""`kraftd destroy`: the only thing that removes data."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from kraftd.errors import NotRunningError, RefusedError
from kraftd.host.files import remove, tree_bytes
from kraftd.operate.context import ClusterContext
from kraftd.spec.plan import Plan

_LOCK_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Doomed:
    """What destroy removes.

    Attributes:
        entries: Each path and its bytes.
    """

    cluster: str
    entries: tuple[tuple[Path, int], ...]


def doomed(plan: Plan) -> Doomed:
    """Return what destroying a cluster removes.

    Raises:
        NotRunningError: There is nothing of it.
    """
    places = [path for path in plan.layout.everything if path.exists()]
    if not places:
        raise NotRunningError(
            f"cannot find the cluster {plan.cluster}: nothing was started in {plan.layout.state_dir}",
            hint="'kraftd list' shows the clusters of this machine.",
            code="never_started",
        )
    entries = [(path, tree_bytes(path) if path.is_dir() else path.lstat().st_size) for path in places]
    return Doomed(plan.cluster, tuple(entries))


def destroy(cluster: ClusterContext) -> Doomed:
    """Remove a stopped cluster with its data.

    Raises:
        RefusedError: It runs.
        NotRunningError: There is nothing of it.
        PermissionDeniedError: The operating system refuses.
    """
    plan, layout = cluster.plan, cluster.layout
    doomed(plan)  # before the lock makes a file there
    with cluster.lock("destroy", timeout_s=_LOCK_TIMEOUT_S):
        roster = cluster.find_processes()
        if roster.supervisor is not None or roster.processes:
            raise RefusedError(
                f"cannot destroy the cluster {plan.cluster}: it runs ({', '.join(roster.processes) or 'supervisord'})",
                hint="Run 'kraftd stop' first.",
            )
        what = doomed(plan)
        for path, _ in what.entries:
            remove(path)
    for directory in (layout.socket.parent, layout.state_dir):
        with contextlib.suppress(OSError):
            # Not empty: a state_dir of the user's own choice may hold other things.
            directory.rmdir()
    return what
