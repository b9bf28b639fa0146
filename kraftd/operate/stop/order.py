"""The order in which the nodes of a cluster get signals in a stop. Pure.

A broker leaves cleanly only while a quorum approves it, so the tie-breaker outlives the brokers. A node that has closed
its logs and only waits for a lost quorum may be killed: its metadata log is fsynced.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kraftd.plan.program import Kind

CLEAN_GRACE_S = 0.2
"""How long a node may take to end that has closed its logs, or is a controller, when the quorum is lost and no broker
needs it: the last voters wait 5 s for each other, and what is in their metadata logs is fsynced."""

FINISH_GRACE_S = 3.0
"""The same while the quorum holds or a broker still needs one: this node may be part of it."""

DUMP_AFTER_S = 10.0
KILL_AFTER_S = 15.0
"""Without a quorum Kafka waits 300 s for an approval that cannot come: a thread dump after 10 s, KILL after 15 s."""

LOST_DUMP_AFTER_S = 1.0
LOST_KILL_AFTER_S = 2.5
"""The same where the quorum was lost before the stop: no voter comes back while it holds the lock, and no node can be
closing its logs with an approval from before."""

STARTING_GRACE_S = 1.0
"""How long a broker may take that was asked within its start, where Kafka's shutdown may hang (3.9: MetadataLoader,
"newPublisher is null").

Its client port opens at the end of the start, and before that the controller has it fenced: it leads nothing, is in no
ISR, and has acknowledged nothing since its start. What it had acknowledged before is in files, and a KILL leaves the
page cache alone.
"""

CONTROLLER_GRACE_S = 1.0
"""How long a controller may take while the quorum holds: one that leads hands over to its peers."""


@dataclass(frozen=True, slots=True)
class NodeStop:
    """How far a node's stop has come.

    Attributes:
        clean: Its logs are closed.
        stopping: The node is to be stopped.
        starting: It was asked before it had opened its client port.
        since_term_s: Seconds since its TERM; None before.
        since_clean_s: Seconds since its logs were first seen closed after its TERM; None before.
    """

    name: str
    kind: Kind
    is_voter: bool
    alive: bool
    stopping: bool
    starting: bool = False
    clean: bool = False
    since_term_s: float | None = None
    since_clean_s: float | None = None
    dumped: bool = False
    killed: bool = False


@dataclass(frozen=True, slots=True)
class SignalAction:
    """A signal that is due: TERM, QUIT for a thread dump, or KILL."""

    name: str
    signal: str
    why: str


def next_signals(nodes: Sequence[NodeStop], *, patience_s: float) -> list[SignalAction]:
    """Return the signals that are due.

    Args:
        nodes: Every node of the cluster.
        patience_s: How long a broker may take while the quorum holds.
    """
    due = [action for node in nodes if node.stopping and node.alive for action in _of(node, nodes, patience_s)]
    return [action for action in due if action is not None]


def quorum_holds(nodes: Sequence[NodeStop]) -> bool:
    """Return whether a majority of the voters is alive and not about to end."""
    voters = [node for node in nodes if node.is_voter]
    active = [node for node in voters if node.alive and not (node.clean and node.since_term_s is not None)]
    return len(active) > len(voters) // 2


def quorum_was_lost(nodes: Sequence[NodeStop]) -> bool:
    """Return whether a majority of the voters was gone before any of them was asked to stop."""
    voters = [node for node in nodes if node.is_voter]
    return sum(node.alive or node.since_term_s is not None for node in voters) <= len(voters) // 2


def _of(node: NodeStop, nodes: Sequence[NodeStop], patience_s: float) -> list[SignalAction | None]:
    if node.kind is Kind.CONTROLLER:
        return [_controller(node, nodes)]
    if node.since_term_s is None:
        return [SignalAction(node.name, "TERM", "asked to stop")]
    return [_terminating(node, nodes, patience_s)]


def _terminating(node: NodeStop, nodes: Sequence[NodeStop], patience_s: float) -> SignalAction | None:
    waited_s = node.since_term_s or 0.0
    holds = quorum_holds(nodes)
    if node.killed:
        return None
    if node.clean:
        grace_s = FINISH_GRACE_S if holds or _is_a_broker_closing_logs(nodes) else CLEAN_GRACE_S
        finished = node.since_clean_s is not None and node.since_clean_s >= grace_s
        return SignalAction(node.name, "KILL", "its logs are closed") if finished else None
    if node.starting and waited_s >= STARTING_GRACE_S and not _is_a_started_broker_closing_logs(nodes):
        return SignalAction(node.name, "KILL", "it had not finished its start, and holds nothing that is not on disk")
    if holds:
        is_late = waited_s >= patience_s
        return SignalAction(node.name, "KILL", f"it did not end within {patience_s:g} s") if is_late else None
    return _without_quorum(node, quorum_was_lost(nodes))


def _without_quorum(node: NodeStop, was_lost: bool) -> SignalAction | None:
    waited_s = node.since_term_s or 0.0
    if waited_s >= (LOST_KILL_AFTER_S if was_lost else KILL_AFTER_S):
        return SignalAction(node.name, "KILL", "the quorum is lost, and without one it cannot close its logs")
    if waited_s >= (LOST_DUMP_AFTER_S if was_lost else DUMP_AFTER_S) and not node.dumped:
        return SignalAction(node.name, "QUIT", "the quorum is lost: a thread dump for its log")
    return None


def _controller(node: NodeStop, nodes: Sequence[NodeStop]) -> SignalAction | None:
    if _is_a_broker_closing_logs(nodes) or node.killed:
        return None
    if node.since_term_s is None:
        return SignalAction(node.name, "TERM", "asked to stop")
    is_late = node.since_term_s >= (CONTROLLER_GRACE_S if quorum_holds(nodes) else CLEAN_GRACE_S)
    return SignalAction(node.name, "KILL", "only its peers are missing") if is_late else None


def _is_a_broker_closing_logs(nodes: Sequence[NodeStop]) -> bool:
    return any(_is_closing_logs(node) for node in nodes)


def _is_a_started_broker_closing_logs(nodes: Sequence[NodeStop]) -> bool:
    return any(_is_closing_logs(node) and not node.starting for node in nodes)


def _is_closing_logs(node: NodeStop) -> bool:
    return node.kind is Kind.BROKER and node.stopping and node.alive and not node.clean and not node.killed
