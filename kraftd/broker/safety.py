"""May this node stop? Pure: the same facts give the same answer.

The rules are those of Strimzi's KafkaRoller (KafkaAvailability, KafkaQuorumCheck), with the majority counted from the
voters that are alive and caught up.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from kraftd.broker.model import Partition, Quorum, TopicPartition

MAX_CAUGHT_UP_AGE_S = 2.0
"""A voter further behind cannot replace the one that stops: Kafka's default controller.quorum.fetch.timeout.ms."""


@dataclass(frozen=True, slots=True)
class QuorumLoss:
    """Without the node fewer voters than a majority would be left.

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
    """The node is the only replica in sync: no one could read or write these partitions."""

    partitions: tuple[TopicPartition, ...]


@dataclass(frozen=True, slots=True)
class PartitionsReadOnly:
    """Fewer replicas than min.insync.replicas would be in sync: producers with acks=all would wait."""

    partitions: tuple[TopicPartition, ...]


@dataclass(frozen=True, slots=True)
class MinInSyncReplicasUnknown:
    """The topics' min.insync.replicas could not be read, so that nothing can be said of their partitions."""

    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QuorumUnknown:
    """No quorum leader answers, so that nothing can be said of the quorum."""


Objection: TypeAlias = QuorumLoss | QuorumUnknown | PartitionsOffline | PartitionsReadOnly | MinInSyncReplicasUnknown


def objections(
    node_id: int,
    quorum: Quorum | None,
    partitions: Iterable[Partition],
    min_in_sync_replicas: Mapping[str, int],
) -> tuple[Objection, ...]:
    """Return why a node should not stop now; nothing where it may.

    Partitions with no more replicas than their min.insync.replicas do not count: their node could never stop.

    Args:
        node_id: The broker, the controller, or both in one, that is to stop.
        quorum: As a broker reports it now; None where none could be read.
        partitions: All partitions, internal ones included.
        min_in_sync_replicas: The effective value by topic.
    """
    found: list[Objection] = []
    if quorum is None:
        found.append(QuorumUnknown())
    elif (loss := quorum_loss(node_id, quorum)) is not None:
        found.append(loss)
    hosted = [partition for partition in partitions if node_id in partition.in_sync_replicas]
    unknown = sorted({partition.topic for partition in hosted} - min_in_sync_replicas.keys())
    judged = [
        partition
        for partition in hosted
        if partition.topic in min_in_sync_replicas and len(partition.replicas) > min_in_sync_replicas[partition.topic]
    ]
    offline = tuple(p.key for p in judged if len(p.in_sync_replicas) == 1)
    read_only = tuple(p.key for p in judged if 1 < len(p.in_sync_replicas) <= min_in_sync_replicas[p.topic])
    if offline:
        found.append(PartitionsOffline(offline))
    if read_only:
        found.append(PartitionsReadOnly(read_only))
    if unknown:
        found.append(MinInSyncReplicasUnknown(tuple(unknown)))
    return tuple(found)


def quorum_loss(node_id: int, quorum: Quorum) -> QuorumLoss | None:
    """Return the loss of the majority that the node's stop would cause.

    None where the node is no voter, or the only one: a quorum of one always ends with its voter.
    """
    voters = len(quorum.voters)
    if voters == 1 or node_id not in {voter.node_id for voter in quorum.voters}:
        return None
    majority = voters // 2 + 1
    remaining = tuple(
        sorted(
            voter.node_id
            for voter in quorum.voters
            if voter.node_id != node_id
            and voter.last_caught_up_age_s is not None
            and voter.last_caught_up_age_s < MAX_CAUGHT_UP_AGE_S
        )
    )
    return QuorumLoss(voters, majority, remaining) if len(remaining) < majority else None
