"""In what order the nodes of a cluster get which signal. Pure.

A broker leaves cleanly only while a quorum approves it, so the tie-breaker outlives the brokers. What has closed its
logs and only waits for a quorum that is gone may be killed: its metadata log is fsynced.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kraftd.spec.program import Kind

CLEAN_GRACE_S = 0.2
"""How long a node that has closed its logs may finish, when the quorum is gone and nobody needs it."""

FINISH_GRACE_S = 3.0
"""How long it may finish while the quorum holds, or while a broker waits for it: this node may be part of it."""

DUMP_AFTER_S = 10.0
KILL_AFTER_S = 15.0
"""Without a quorum Kafka waits 300 s for an approval that cannot come: a thread dump, then the end."""

CONTROLLER_GRACE_S = 1.0
"""Left alone, the last controller waits 5 s for its peers."""


@dataclass(frozen=True, slots=True)
class NodeStop:
    """Where a node's stop stands.

    Attributes:
        clean: Its logs are closed.
        stopping: It is one of those that shall stop.
        termed_s: Seconds since its TERM; None before.
        clean_s: Seconds since its logs were first seen closed after its TERM; None before.
    """

    name: str
    kind: Kind
    is_voter: bool
    alive: bool
    stopping: bool
    clean: bool = False
    termed_s: float | None = None
    clean_s: float | None = None
    dumped: bool = False
    killed: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """Send a node a signal: TERM, QUIT for a thread dump, or KILL."""

    name: str
    signal: str
    why: str


def next_signals(nodes: Sequence[NodeStop], *, patience_s: float) -> list[Send]:
    """Return the signals that are due.

    Args:
        nodes: Every node of the cluster.
        patience_s: How long a broker may take while the quorum holds.
    """
    due = [send for node in nodes if node.stopping and node.alive for send in _of(node, nodes, patience_s)]
    return [send for send in due if send is not None]


def quorum_holds(nodes: Sequence[NodeStop]) -> bool:
    """Return whether a majority of the voters still takes part: alive, and not merely finishing."""
    voters = [node for node in nodes if node.is_voter]
    active = [node for node in voters if node.alive and not (node.clean and node.termed_s is not None)]
    return len(active) > len(voters) // 2


def _of(node: NodeStop, nodes: Sequence[NodeStop], patience_s: float) -> list[Send | None]:
    if node.kind is Kind.CONTROLLER:
        return [_controller(node, nodes)]
    if node.termed_s is None:
        return [Send(node.name, "TERM", "asked to stop")]
    return [_terminating(node, nodes, patience_s)]


def _terminating(node: NodeStop, nodes: Sequence[NodeStop], patience_s: float) -> Send | None:
    waited_s = node.termed_s or 0.0
    holds = quorum_holds(nodes)
    if node.killed:
        return None
    if node.clean:
        grace_s = FINISH_GRACE_S if holds or _is_a_broker_waiting(nodes) else CLEAN_GRACE_S
        finished = node.clean_s is not None and node.clean_s >= grace_s
        return Send(node.name, "KILL", "its logs are closed") if finished else None
    if holds:
        return Send(node.name, "KILL", f"it did not end within {patience_s:g} s") if waited_s >= patience_s else None
    if waited_s >= KILL_AFTER_S:
        return Send(node.name, "KILL", "the quorum is lost, and it cannot close its logs without")
    if waited_s >= DUMP_AFTER_S and not node.dumped:
        return Send(node.name, "QUIT", "the quorum is lost: a thread dump for its log")
    return None


def _controller(node: NodeStop, nodes: Sequence[NodeStop]) -> Send | None:
    if _is_a_broker_waiting(nodes) or node.killed:
        return None
    if node.termed_s is None:
        return Send(node.name, "TERM", "asked to stop")
    return Send(node.name, "KILL", "only its peers are missing") if node.termed_s >= CONTROLLER_GRACE_S else None


def _is_a_broker_waiting(nodes: Sequence[NodeStop]) -> bool:
    return any(
        node.kind is Kind.BROKER and node.stopping and node.alive and not node.clean and not node.killed
        for node in nodes
    )
