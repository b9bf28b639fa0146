"""What the end of nodes would cost now, as Kafka tells it."""

# ruff: noqa: D102 the Protocol names methods that KafkaAdmin describes

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from kraftd.health.programs.stop_blockers import StopBlocker, stop_blockers
from kraftd.kafka.model import Partial, Quorum, TopicState


class AskedKafka(Protocol):
    """The part of ``KafkaAdmin`` that tells the cost."""

    def quorum(self) -> Quorum: ...

    def topics(self, names: Iterable[str] | None = None) -> Partial[str, TopicState]: ...

    def min_in_sync_replicas(self, names: Iterable[str]) -> Partial[str, int]: ...


@dataclass(frozen=True, slots=True)
class StopCost:
    """The cost of the end of some nodes.

    Attributes:
        blockers: What speaks against it.
        unread: The topics whose state could not be read, so that the cost is not known.
    """

    blockers: tuple[StopBlocker, ...]
    unread: tuple[str, ...] = ()


def stop_cost(kafka: AskedKafka, node_ids: Collection[int]) -> StopCost:
    """Return the cost of the end of nodes together.

    Raises:
        KafkaAccessError: No broker answers, or the quorum has no leader.
    """
    quorum = kafka.quorum()
    topics = kafka.topics()
    partitions = [each for topic in topics.values.values() for each in topic.partitions]
    min_in_sync_replicas = kafka.min_in_sync_replicas(topics.values).values
    blockers = stop_blockers(node_ids, quorum, partitions, min_in_sync_replicas)
    return StopCost(blockers, tuple(topics.failures))
