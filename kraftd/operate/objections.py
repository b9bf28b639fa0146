"""What speaks against stopping a node, in words."""

from kraftd.broker.model import TopicPartition
from kraftd.broker.safety import (
    MinInSyncReplicasUnknown,
    Objection,
    PartitionsOffline,
    PartitionsReadOnly,
    QuorumLoss,
    QuorumUnknown,
)

_SHOWN = 4


def sentence(objection: Objection) -> str:
    """Return an objection as a clause."""
    match objection:
        case QuorumLoss(voters, majority, remaining):
            return f"only {len(remaining)} of {voters} voters would be left, and the quorum needs {majority}"
        case QuorumUnknown():
            return "no quorum leader answers"
        case PartitionsOffline(partitions):
            return f"no replica in sync would be left of {_listed(partitions)}"
        case PartitionsReadOnly(partitions):
            return f"too few replicas in sync would be left for writes to {_listed(partitions)}"
        case MinInSyncReplicasUnknown(topics):
            return f"min.insync.replicas could not be read of {', '.join(topics[:_SHOWN])}"


def _listed(partitions: tuple[TopicPartition, ...]) -> str:
    shown = ", ".join(f"{topic}-{partition}" for topic, partition in partitions[:_SHOWN])
    more = len(partitions) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
