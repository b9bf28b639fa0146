"""The reasons that block a stop of nodes, under the name by which the use cases know them."""

from kraftd.health.programs.stop_blockers import (
    MAX_CAUGHT_UP_AGE_S,
    MinInSyncReplicasUnknown,
    PartitionsOffline,
    PartitionsReadOnly,
    QuorumLoss,
    QuorumUnknown,
    StopBlocker,
    describe_blocker,
    quorum_loss,
    stop_blockers,
)

__all__ = (
    "MAX_CAUGHT_UP_AGE_S",
    "MinInSyncReplicasUnknown",
    "PartitionsOffline",
    "PartitionsReadOnly",
    "QuorumLoss",
    "QuorumUnknown",
    "StopBlocker",
    "describe_blocker",
    "quorum_loss",
    "stop_blockers",
)
