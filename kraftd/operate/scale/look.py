"""One look at where the replicas of a cluster are."""

from kraftd.errors import RefusedError
from kraftd.operate.scale.doors import ReassigningDoor
from kraftd.operate.scale.targets import Situation, replica_bytes


def look(kafka: ReassigningDoor) -> tuple[Situation, frozenset[int]]:
    """Return where the replicas are, and which brokers are alive.

    Raises:
        KafkaAccessError: No broker answers.
        RefusedError: A topic, or the reassignments that are under way, cannot be read.
    """
    # Before the metadata: what ends in between has its new replicas there.
    reassignments = kafka.reassignments()
    metadata = kafka.metadata()
    if unread := ", ".join(metadata.topics.failures):
        raise RefusedError(
            f"cannot tell where the replicas are: the state of {unread} could not be read",
            hint="Wait a moment, then run it again.",
        )
    topics = metadata.topics.values
    known = {each.key for topic in topics.values() for each in topic.partitions}
    under_way = {key: each for key, each in reassignments.items() if key in known}
    sizes = replica_bytes(kafka.log_dirs(metadata.brokers).values)
    return Situation(topics, under_way, sizes), frozenset(broker.node_id for broker in metadata.brokers)
