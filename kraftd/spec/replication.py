"""How many replicas there are where nobody says."""


def default_replication_factor(brokers: int) -> int:
    """Return the replicas that a topic gets by default."""
    return min(3, brokers)
