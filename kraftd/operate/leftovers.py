"""What a command that could not finish leaves running."""

from kraftd.operate.doors import doors_of
from kraftd.operate.store import Store
from kraftd.spec.layout import Layout


def running_programs(layout: Layout) -> tuple[str, ...]:
    """Return the programs of a cluster that have a process now, supervisord among them.

    Raises:
        KraftdError: The cluster's records are damaged.
    """
    plan = Store(layout).plan()
    if plan is None:
        return ()
    roster = doors_of(layout).find_processes(plan)
    return (*roster.processes, *(("supervisord",) if roster.supervisor else ()))
