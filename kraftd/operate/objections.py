"""The reasons against stopping a node, in words."""

from kraftd.broker.model import TopicPartition
from kraftd.broker.safety import (
    MinInSyncReplicasUnknown,
    PartitionsOffline,
    PartitionsReadOnly,
    QuorumLoss,
    QuorumUnknown,
    StopBlocker,
)

_SHOWN = 4


def describe_blocker(blocker: StopBlocker) -> str:
    """Return a reason against a stop as a clause."""
    match blocker:
        case QuorumLoss(voters, majority, remaining):
            return f"only {len(remaining)} of {voters} voters would be left, and the quorum needs {majority}"
        case QuorumUnknown():
            return "no quorum leader answers"
        case PartitionsOffline(partitions):
            return f"no in-sync replica of {_listed(partitions)} would be left"
        case PartitionsReadOnly(partitions):
            return f"fewer in-sync replicas than min.insync.replicas would be left of {_listed(partitions)}"
        case MinInSyncReplicasUnknown(topics):
            return f"min.insync.replicas of {', '.join(topics[:_SHOWN])} could not be read"


def _listed(partitions: tuple[TopicPartition, ...]) -> str:
    shown = ", ".join(f"{topic}-{partition}" for topic, partition in partitions[:_SHOWN])
    more = len(partitions) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
