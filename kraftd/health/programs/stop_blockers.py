"""The reasons that block a stop of nodes: a lost quorum, or partitions without replicas. Pure.

The rules are those of Strimzi's KafkaRoller (KafkaAvailability, KafkaQuorumCheck), with the majority counted from the
voters that are alive and caught up.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from kraftd.kafka.model import Partition, Quorum, TopicPartition
from kraftd.units import listed

MAX_CAUGHT_UP_AGE_S = 2.0
"""A voter that lags more cannot replace the one that stops: Kafka's default controller.quorum.fetch.timeout.ms."""


@dataclass(frozen=True, slots=True)
class QuorumLoss:
    """Fewer voters than a majority would be left.

    Attributes:
        voters: How many voters the quorum has.
        majority: How many of them must live.
        remaining: Node ids of the live voters that would be left, in order.
    """

    voters: int
    majority: int
    remaining: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PartitionsOffline:
    """No in-sync replica would be left: nobody could read or write these partitions."""

    partitions: tuple[TopicPartition, ...]


@dataclass(frozen=True, slots=True)
class PartitionsReadOnly:
    """Fewer than min.insync.replicas would be in sync: writes with acks=all would fail."""

    partitions: tuple[TopicPartition, ...]


@dataclass(frozen=True, slots=True)
class MinInSyncReplicasUnknown:
    """The topics' min.insync.replicas could not be read, so the effect on their partitions is not known."""

    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QuorumUnknown:
    """No quorum leader answers, so the effect on the quorum is not known."""


StopBlocker: TypeAlias = QuorumLoss | QuorumUnknown | PartitionsOffline | PartitionsReadOnly | MinInSyncReplicasUnknown


def stop_blockers(
    node_ids: Collection[int],
    quorum: Quorum | None,
    partitions: Iterable[Partition],
    min_in_sync_replicas: Mapping[str, int],
) -> tuple[StopBlocker, ...]:
    """Return the blockers of stopping these nodes together, although one of them alone may stop.

    Partitions with no more replicas than their min.insync.replicas do not count: their node could never stop.

    Args:
        node_ids: The nodes to stop.
        quorum: As a broker reports it now; None where none could be read.
        partitions: All partitions, internal ones included.
        min_in_sync_replicas: The effective value by topic.
    """
    loss: StopBlocker | None = QuorumUnknown() if quorum is None else quorum_loss(node_ids, quorum)
    hosted = [partition for partition in partitions if not set(partition.in_sync_replicas).isdisjoint(node_ids)]
    costs = _partition_costs(node_ids, hosted, min_in_sync_replicas)
    return (loss, *costs) if loss is not None else costs


def _partition_costs(
    node_ids: Collection[int], hosted: Iterable[Partition], min_in_sync_replicas: Mapping[str, int]
) -> tuple[StopBlocker, ...]:
    offline: list[TopicPartition] = []
    read_only: list[TopicPartition] = []
    unknown: set[str] = set()
    for partition in hosted:
        required = min_in_sync_replicas.get(partition.topic)
        left = set(partition.in_sync_replicas).difference(node_ids)
        if required is None:
            unknown.add(partition.topic)
        elif len(partition.replicas) <= required:
            continue
        elif not left:
            offline.append(partition.key)
        elif len(left) < required:
            read_only.append(partition.key)
    found: list[StopBlocker] = []
    if offline:
        found.append(PartitionsOffline(tuple(offline)))
    if read_only:
        found.append(PartitionsReadOnly(tuple(read_only)))
    if unknown:
        found.append(MinInSyncReplicasUnknown(tuple(sorted(unknown))))
    return tuple(found)


def quorum_loss(node_ids: Collection[int], quorum: Quorum) -> QuorumLoss | None:
    """Return the loss of the majority that the nodes' stop would cause.

    None where none of them is a voter, or one is the only one: a quorum of one always ends with its voter.
    """
    voters = len(quorum.voters)
    if voters == 1 or {voter.node_id for voter in quorum.voters}.isdisjoint(node_ids):
        return None
    majority = voters // 2 + 1
    remaining = tuple(
        sorted(
            voter.node_id
            for voter in quorum.voters
            if voter.node_id not in node_ids
            and voter.last_caught_up_age_s is not None
            and voter.last_caught_up_age_s < MAX_CAUGHT_UP_AGE_S
        )
    )
    return QuorumLoss(voters, majority, remaining) if len(remaining) < majority else None


_SHOWN = 4


def describe_blocker(blocker: StopBlocker) -> str:
    """Return a blocker as a clause of a sentence."""
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
            return f"min.insync.replicas of {listed(topics, _SHOWN)} could not be read"


def _listed(partitions: tuple[TopicPartition, ...]) -> str:
    return listed([f"{topic}-{partition}" for topic, partition in partitions], _SHOWN)
