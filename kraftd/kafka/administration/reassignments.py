"""Requests and responses for reassignments, and for brokers that leave."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kraftd.kafka.model import Failure, TopicPartition
from kraftd.kafka.wire import Request, Wire, by_topic


@dataclass(frozen=True, slots=True)
class Reassignment:
    """A partition whose replicas change.

    Attributes:
        replicas: The replicas of before and those that are added.
        adding: The replicas that copy the partition.
        removing: The replicas that are given up once these are in sync.
    """

    replicas: tuple[int, ...]
    adding: tuple[int, ...]
    removing: tuple[int, ...]

    @property
    def target(self) -> tuple[int, ...]:
        """The replicas that are left in the end."""
        return tuple(broker for broker in self.replicas if broker not in self.removing)


def reassign_request(targets: Mapping[TopicPartition, tuple[int, ...]], timeout_s: float) -> Request:
    """Return the request that gives partitions other replicas, the preferred leader first."""
    asked = by_topic(
        (topic, {"partition_index": partition, "replicas": list(replicas)})
        for (topic, partition), replicas in targets.items()
    )
    topics = [{"name": name, "partitions": partitions} for name, partitions in asked.items()]
    return Request("AlterPartitionReassignments", {"timeout_ms": round(timeout_s * 1000), "topics": topics})


def reassign_failures(response: Any, wire: Wire) -> dict[TopicPartition, Failure] | Failure:
    """Return why partitions keep their replicas, or why none was reassigned."""
    failure = wire.failure_of(response.error_code, response.error_message)
    if failure is not None:
        return failure
    found = {
        (topic.name, each.partition_index): wire.failure_of(each.error_code, each.error_message)
        for topic in response.responses
        for each in topic.partitions
    }
    return {key: failure for key, failure in found.items() if failure is not None}


def reassignments_request(timeout_s: float) -> Request:
    """Return the request for all reassignments that are under way."""
    return Request("ListPartitionReassignments", {"timeout_ms": round(timeout_s * 1000), "topics": None})


def reassignments_in(response: Any, wire: Wire) -> dict[TopicPartition, Reassignment] | Failure:
    """Return the reassignments that are under way."""
    failure = wire.failure_of(response.error_code, response.error_message)
    if failure is not None:
        return failure
    return {
        (topic.name, each.partition_index): Reassignment(
            tuple(each.replicas), tuple(each.adding_replicas), tuple(each.removing_replicas)
        )
        for topic in response.topics
        for each in topic.partitions
    }


def unregister_request(node_id: int) -> Request:
    """Return the request that makes the cluster forget a broker that has ended."""
    return Request("UnregisterBroker", {"broker_id": node_id})
