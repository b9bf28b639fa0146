"""What a command that could not finish leaves running."""

from kraftd.operate.configuring import Selection, layout_for
from kraftd.operate.store import Store
from kraftd.operate.workspace import Workspace
from kraftd.supervisord.door import Supervisor
from kraftd.watch.roster import call_the_roll


def running_programs(selection: Selection, workspace: Workspace) -> tuple[str, ...]:
    """Return the programs of a cluster that have a process now, supervisord among them.

    Raises:
        KraftdError: The cluster's records are damaged.
    """
    _, _, layout = layout_for(selection, workspace)
    plan = Store(layout).plan()
    if plan is None:
        return ()
    roster = call_the_roll(plan, Supervisor(layout.socket))
    return (*roster.processes, *(("supervisord",) if roster.supervisor else ()))
