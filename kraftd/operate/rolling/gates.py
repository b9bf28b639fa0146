"""The gates of a rolling restart, which hold before a node ends and after it came back, and its order. Pure.

Nodes come first, by id, and the active controller last of them, as each restart of it costs an election. A node that is
a controller only needs no other place: it is restarted, as every voter, while all other voters are caught up.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from kraftd import units
from kraftd.health.programs.ladder import Answer, voter_answer
from kraftd.kafka.model import ClusterMetadata, Partition, Quorum, TopicPartition
from kraftd.kafka.round_trip import CANARY_TOPIC
from kraftd.plan.kinds import Node
from kraftd.plan.plan import Plan
from kraftd.plan.program import Kind, Program

_SHOWN = 4


class Gate(StrEnum):
    """What holds where a node may be restarted."""

    KAFKA = "kafka_answers"
    SERVING = "nodes_serve"
    QUORUM = "voters_caught_up"
    IN_SYNC = "replicas_in_sync"
    PREFERRED = "preferred_leaders"


@dataclass(frozen=True, slots=True)
class ClosedGate:
    """A gate that does not hold.

    Attributes:
        text: What is missing, as a clause of a sentence.
        nodes: The names of the nodes that are not there.
        partitions: The partitions that are not there.
    """

    gate: Gate
    text: str
    nodes: tuple[str, ...] = ()
    partitions: tuple[TopicPartition, ...] = ()


def closed_gates(
    plan: Plan, answers: Mapping[str, Answer], quorum: Quorum, metadata: ClusterMetadata
) -> tuple[ClosedGate, ...]:
    """Return the gates that do not hold; none where the next node may be restarted.

    Args:
        plan: The cluster.
        answers: Whether each node serves, by name.
        quorum: The controllers' state.
        metadata: The live brokers and every topic, internal ones included.
    """
    partitions = metadata.partitions
    found = (
        _unreadable(metadata),
        _not_serving(plan, answers, {broker.node_id for broker in metadata.brokers}),
        _behind(plan, quorum),
        _of_partitions(Gate.IN_SYNC, partitions_out_of_sync(partitions), "not in sync with all replicas"),
        _of_partitions(Gate.PREFERRED, partitions_led_by_others(partitions), "not led by the preferred replica"),
    )
    return tuple(each for each in found if each is not None)


def partitions_out_of_sync(partitions: Iterable[Partition]) -> tuple[TopicPartition, ...]:
    """Return the partitions without a leader, or with a replica that is not in sync."""
    return tuple(
        each.key for each in partitions if each.leader is None or not set(each.replicas) <= set(each.in_sync_replicas)
    )


def partitions_led_by_others(partitions: Iterable[Partition]) -> tuple[TopicPartition, ...]:
    """Return the partitions that are led by another than the preferred replica, although that one is in sync."""
    return tuple(
        each.key for each in partitions if each.replicas[0] in each.in_sync_replicas and each.leader != each.replicas[0]
    )


def partitions_interrupted(partitions: Iterable[Partition], node_ids: Iterable[int]) -> tuple[TopicPartition, ...]:
    """Return the partitions that have no replica beside one that is restarted, without the canary's, which are so."""
    alone = {(node_id,) for node_id in node_ids}
    return tuple(each.key for each in partitions if tuple(each.replicas) in alone and each.topic != CANARY_TOPIC)


def listed(partitions: Iterable[TopicPartition]) -> str:
    """Return partitions as a short list for people."""
    return units.listed([f"{topic}-{partition}" for topic, partition in partitions], _SHOWN)


def _unreadable(metadata: ClusterMetadata) -> ClosedGate | None:
    failures = metadata.topics.failures
    return ClosedGate(Gate.KAFKA, f"the state of {', '.join(failures)} could not be read") if failures else None


def _not_serving(plan: Plan, answers: Mapping[str, Answer], alive: set[int]) -> ClosedGate | None:
    missing = {name: answer.reason or "it does not answer" for name, answer in answers.items() if not answer.ready}
    missing |= {
        broker.name: "the controllers do not count it as alive"
        for broker in plan.brokers
        if broker.node_id not in alive and broker.name not in missing
    }
    if not missing:
        return None
    return ClosedGate(Gate.SERVING, "; ".join(f"{name}: {why}" for name, why in missing.items()), tuple(missing))


def _behind(plan: Plan, quorum: Quorum) -> ClosedGate | None:
    voters = {voter.node_id for voter in plan.voters}
    answers = {node.name: voter_answer(node, quorum) for node in plan.nodes if node.node_id in voters}
    behind = {name: answer.reason for name, answer in answers.items() if not answer.ready}
    if not behind:
        return None
    return ClosedGate(Gate.QUORUM, "; ".join(f"{name}: {why}" for name, why in behind.items()), tuple(behind))


def _of_partitions(gate: Gate, partitions: tuple[TopicPartition, ...], what: str) -> ClosedGate | None:
    if not partitions:
        return None
    verb = "is" if len(partitions) == 1 else "are"
    return ClosedGate(gate, f"{listed(partitions)} {verb} {what}", partitions=partitions)


_STAGES = {Kind.BROKER: 0, Kind.CONTROLLER: 0, Kind.APP: 1, Kind.TOOL: 2, Kind.DAEMON: 3}


def restart_order(plan: Plan, names: Collection[str], active_controller: int | None) -> tuple[str, ...]:
    """Return programs in the order of their restarts.

    Args:
        plan: The cluster.
        names: The programs to restart.
        active_controller: The node id of the quorum's leader; None where it is not known.
    """

    def place(program: Program) -> tuple[int, bool, int]:
        node_id = program.node_id if isinstance(program, Node) else plan.names.index(program.name)
        is_active = isinstance(program, Node) and node_id == active_controller
        return _STAGES[program.kind], is_active, node_id

    return tuple(each.name for each in sorted((plan.program(name) for name in names), key=place))
