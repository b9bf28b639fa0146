"""Whether supervisord can be asked to start what a command ends."""

import signal

from kraftd.errors import NeedsRunningClusterError
from kraftd.observe.processes import ProcessTable
from kraftd.operate.context import ClusterContext

_PATIENCE_S = 3.0
"""supervisord makes its control socket again within a second, and a frozen one answers once it continues."""

_POLL_S = 0.1


def find_supervised(cluster: ClusterContext, patience_s: float = _PATIENCE_S) -> ProcessTable:
    """Return which programs run; a frozen supervisord continues, and one that does not answer gets a moment to."""
    table = cluster.find_processes()
    if table.supervisor is None or table.unreachable is None:
        return table
    cluster.reporter.step(f"supervisord does not answer: {table.unreachable}")
    cluster.doors.send_signal(table.supervisor, signal.SIGCONT)
    deadline_s = cluster.clock.monotonic_s() + patience_s
    while table.unreachable and cluster.clock.monotonic_s() < deadline_s:
        cluster.clock.sleep(_POLL_S)
        table = cluster.find_processes()
    return table


def require_supervision(cluster: ClusterContext, names: tuple[str, ...]) -> None:
    """Refuse to end programs that could not be started again.

    Raises:
        NeedsRunningClusterError: Programs of the cluster run, and supervisord does not, or does not answer.
    """
    table = find_supervised(cluster)
    if table.supervised is not False:
        return
    why = table.unreachable or "it does not run"
    raise NeedsRunningClusterError(
        f"cannot restart {' and '.join(names)}: supervisord could not start what ends ({why})",
        hint="'kraftd start' ends what runs, in the order of a stop, and starts the cluster under a new supervisord.",
        code="unsupervised",
    )
