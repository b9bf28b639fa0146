"""How many replicas there are, and how many of them must be in sync, where nobody says."""

from collections.abc import Iterable

from kraftd.spec.kinds import Node


def default_replication_factor(brokers: int) -> int:
    """Return the replicas that a topic gets by default."""
    return min(3, brokers)


def min_in_sync_replicas(replicas: int) -> int:
    """Return the min.insync.replicas of a topic: writes with acks=all go on while one broker is down."""
    return max(1, min(replicas, 3) - 1)


def default_min_in_sync_replicas(nodes: Iterable[Node]) -> int:
    """Return the brokers' min.insync.replicas, which holds for every topic without its own, those that exist included.

    It follows from the brokers of the first format, which are those that vote: one that is added changes it for none.
    """
    voting_brokers = [node for node in nodes if node.client and node.controller]
    return min_in_sync_replicas(default_replication_factor(len(voting_brokers)))
