"""The order of a rolling restart. Pure.

Nodes come first, by id, and the active controller last of them, as each restart of it costs an election. A node that is
a controller only needs no other place: it is restarted, as every voter, while all other voters are caught up.
"""

from collections.abc import Collection

from kraftd.plan.kinds import Node
from kraftd.plan.plan import Plan
from kraftd.plan.program import Kind, Program

_STAGES = {Kind.BROKER: 0, Kind.CONTROLLER: 0, Kind.APP: 1, Kind.TOOL: 2, Kind.DAEMON: 3}


def restart_order(plan: Plan, names: Collection[str], active_controller: int | None) -> tuple[str, ...]:
    """Return programs in the order of their restarts.

    Args:
        plan: The cluster.
        names: The programs to restart.
        active_controller: The node id of the quorum's leader; None where it is not known.
    """

    def place(program: Program) -> tuple[int, bool, int]:
        node_id = program.node_id if isinstance(program, Node) else plan.names.index(program.name)
        is_active = isinstance(program, Node) and node_id == active_controller
        return _STAGES[program.kind], is_active, node_id

    return tuple(each.name for each in sorted((plan.program(name) for name in names), key=place))
