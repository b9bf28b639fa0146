"""A cluster that was formatted and started once, without a JVM having run."""

from kraftd.operate.configuring import plan_for
from kraftd.operate.context import this_command_context
from kraftd.operate.selection import Selection, choose_cluster
from kraftd.operate.start.formatting import format_nodes
from kraftd.operate.store import Store
from kraftd.plan.desired import DesiredProgram
from kraftd.plan.plan import Plan
from tests.harness import Cluster
from tests.unit.hostile import TEXTS


def format_cluster(cluster: Cluster) -> Plan:
    """Leave the records and the data directories of a stopped cluster, and return its plan."""
    settings = {"cluster.port_offset": cluster.offset, "cluster.heap": "256m", **cluster.settings}
    assignments = tuple(f"{key}={value}" for key, value in settings.items())
    command_context = this_command_context()
    chosen = choose_cluster(Selection(state_dir=cluster.state_dir, assignments=assignments), command_context)
    plan = plan_for(chosen, command_context).plan
    format_nodes(plan, plan.nodes, None)
    store = Store(plan.layout)
    store.write_plan(plan)
    store.set_desired(
        plan.names, DesiredProgram(running=False, since="2026-11-22T16:00:00.000Z", by="stop", why="a test")
    )
    return plan


def write_logs(plan: Plan) -> None:
    """Let every log of a cluster have lines that act on a terminal, and bytes that are no text."""
    lines = [f"[2026-11-22 16:00:00,123] ERROR {each}".encode() for each in TEXTS.values()]
    for program in plan.programs:
        for path in plan.layout.log_files(program):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"\n".join([*lines, b"\xff\xfe\x9b31m", b""]))
