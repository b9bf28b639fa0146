"""Topics: requests and responses for their state, creation, settings, deletion, leaders and replicas."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from kraftd.kafka.model import (
    BrokerEndpoint,
    Difference,
    Failure,
    Partial,
    Partition,
    TopicPartition,
    TopicState,
)
from kraftd.kafka.wire import Request, Wire, ask_leaders, by_topic
from kraftd.plan.plan import Topic

T = TypeVar("T")

TOPIC_RESOURCE = 2
ALREADY_EXISTS = "TOPIC_ALREADY_EXISTS"

HIGH_WATERMARK = -1
_PREFERRED = 0
_NOT_NEEDED = "ELECTION_NOT_NEEDED"


def metadata_request(names: Iterable[str] | None) -> Request:
    """Return the request for the named topics: None for all topics, no name for the brokers only."""
    topics = None if names is None else [{"topic_id": None, "name": name} for name in names]
    return Request("Metadata", {"topics": topics, "allow_auto_topic_creation": False})


def brokers_in(metadata: Any) -> tuple[BrokerEndpoint, ...]:
    """Return the live brokers of a Metadata response, in order of node id."""
    endpoints = (BrokerEndpoint(broker.node_id, broker.host, broker.port) for broker in metadata.brokers)
    return tuple(sorted(endpoints, key=lambda endpoint: endpoint.node_id))


def topics_in(metadata: Any, wire: Wire) -> Partial[str, TopicState]:
    """Return the topics of a Metadata response; a topic in error is a failure."""
    values: dict[str, TopicState] = {}
    failures: dict[str, Failure] = {}
    for topic in sorted(metadata.topics, key=lambda topic: topic.name):
        failure = wire.failure_of(topic.error_code)
        if failure is not None:
            failures[topic.name] = failure
        else:
            topic_id = str(topic.topic_id) if topic.topic_id else None
            values[topic.name] = TopicState(topic.name, topic.is_internal, _partitions_of(topic), topic_id)
    return Partial(values, failures)


def _partitions_of(topic: Any) -> tuple[Partition, ...]:
    # A partition's error (LEADER_NOT_AVAILABLE) adds nothing to its missing leader.
    partitions = (
        Partition(
            topic=topic.name,
            partition=partition.partition_index,
            leader=partition.leader_id if partition.leader_id >= 0 else None,
            replicas=tuple(partition.replica_nodes),
            in_sync_replicas=tuple(partition.isr_nodes),
        )
        for partition in topic.partitions
    )
    return tuple(sorted(partitions, key=lambda partition: partition.partition))


def creation_request(declared: Sequence[Topic], timeout_s: float, *, validate_only: bool = False) -> Request:
    """Return the request that creates topics; Kafka refuses an assignment together with the two counts."""
    topics = [
        {
            "name": topic.name,
            "num_partitions": -1,
            "replication_factor": -1,
            "assignments": [
                {"partition_index": index, "broker_ids": list(replicas)}
                for index, replicas in enumerate(topic.assignment)
            ],
            "configs": [{"name": name, "value": value} for name, value in topic.config.items()],
        }
        for topic in declared
    ]
    fields = {"topics": topics, "timeout_ms": round(timeout_s * 1000), "validate_only": validate_only}
    return Request("CreateTopics", fields)


def creation_failures_in(response: Any, wire: Wire) -> dict[str, Failure]:
    """Return why topics were not created, by name; existing topics are among them."""
    failures = {topic.name: wire.failure_of(topic.error_code, topic.error_message) for topic in response.topics}
    return {name: failure for name, failure in failures.items() if failure is not None}


def create_partitions_request(
    topic: TopicState, added: Sequence[Sequence[int]], timeout_s: float, *, validate_only: bool = False
) -> Request:
    """Return the request that adds a partition to a topic for each list of replicas."""
    grown = {
        "name": topic.name,
        "count": len(topic.partitions) + len(added),
        "assignments": [{"broker_ids": list(replicas)} for replicas in added],
    }
    fields = {"topics": [grown], "timeout_ms": round(timeout_s * 1000), "validate_only": validate_only}
    return Request("CreatePartitions", fields)


def create_partitions_failure(response: Any, wire: Wire) -> Failure | None:
    """Return why partitions were not added; None if they were."""
    (topic,) = response.results
    return wire.failure_of(topic.error_code, topic.error_message)


def differences(declared: Topic, actual: TopicState) -> tuple[Difference, ...]:
    """Return the differences in replica placement from what was stated; settings are not compared."""
    placement = tuple(partition.replicas for partition in actual.partitions)
    factors = sorted({len(replicas) for replicas in placement})
    compared = (
        Difference("partitions", str(declared.partitions), str(len(placement))),
        Difference("replication_factor", str(declared.replication_factor), ", ".join(map(str, factors))),
        Difference("assignment", written(declared.assignment), written(placement)),
    )
    return tuple(each for each in compared if each.setting in declared.stated and each.declared != each.actual)


def written(assignment: tuple[tuple[int, ...], ...]) -> str:
    """Return an assignment as Kafka's tools and kraftd.toml write it: 1:2,2:1."""
    return ",".join(":".join(map(str, replicas)) for replicas in assignment)


def not_ready(names: Iterable[str], views: Mapping[int, Partial[str, TopicState]]) -> dict[str, str]:
    """Return why topics cannot be used yet, by name, given each answering broker's view of them.

    A topic is usable when every answering broker knows all of its leaders, and these are among the answering brokers.
    """
    reasons: dict[str, str] = {}
    for name in names:
        for node_id, view in views.items():
            topic = view.values.get(name)
            if topic is None:
                reasons[name] = f"broker {node_id} does not know it yet"
                continue
            if leaderless := [str(p.partition) for p in topic.partitions if p.leader is None]:
                reasons[name] = f"broker {node_id} knows no leader of partition {', '.join(leaderless)}"
            elif silent := sorted({p.leader for p in topic.partitions if p.leader is not None} - views.keys()):
                reasons[name] = f"broker {silent[0]}, which leads a partition, does not answer"
    return reasons


def settings_request(names: Iterable[str], keys: Sequence[str]) -> Request:
    """Return the request for the effective values of topic settings."""
    resources = [
        {"resource_type": TOPIC_RESOURCE, "resource_name": name, "configuration_keys": list(keys)} for name in names
    ]
    return Request("DescribeConfigs", {"resources": resources})


def settings_in(response: Any, wire: Wire) -> Partial[str, Mapping[str, str]]:
    """Return the effective settings by topic."""
    return described(response, wire, lambda configs: {each.name: each.value for each in configs})


def described(response: Any, wire: Wire, value_of: Callable[[Any], T]) -> Partial[str, T]:
    """Return what a response to DescribeConfigs has of each topic, made from its entries, or why it has nothing."""
    values: dict[str, T] = {}
    failures: dict[str, Failure] = {}
    for resource in response.results:
        failure = wire.failure_of(resource.error_code, resource.error_message)
        if failure is not None:
            failures[resource.resource_name] = failure
        else:
            values[resource.resource_name] = value_of(resource.configs)
    return Partial(values, failures)


def deletion_request(names: Sequence[str], timeout_s: float) -> Request:
    """Return the request that deletes topics, by name."""
    # Version 6 names topics in another field.
    fields = {"topic_names": list(names), "timeout_ms": round(timeout_s * 1000)}
    return Request("DeleteTopics", fields, min_version=5, max_version=5)


def deletion_failures(response: Any, wire: Wire) -> dict[str, Failure]:
    """Return why topics were not deleted, by name."""
    failures = {each.name: wire.failure_of(each.error_code, each.error_message) for each in response.responses}
    return {name: failure for name, failure in failures.items() if failure is not None}


def delete_records(wire: Wire, targets: Mapping[Partition, int], timeout_s: float) -> Partial[TopicPartition, int]:
    """Delete the records before an offset of each partition, or before its HIGH_WATERMARK; return the new starts."""

    def low_watermark(partition: Any) -> int:
        offset: int = partition.low_watermark
        return offset

    return ask_leaders(wire, targets.items(), lambda theirs: _records_request(theirs, timeout_s), low_watermark)


def _records_request(targets: Sequence[tuple[Partition, int]], timeout_s: float) -> Request:
    asked = by_topic(
        (partition.topic, {"partition_index": partition.partition, "offset": offset}) for partition, offset in targets
    )
    topics = [{"name": name, "partitions": partitions} for name, partitions in asked.items()]
    return Request("DeleteRecords", {"topics": topics, "timeout_ms": round(timeout_s * 1000)})


def election_request(partitions: Iterable[TopicPartition], timeout_s: float) -> Request:
    """Return the request that makes the first replica of each partition its leader, where it is in sync."""
    fields = {
        "election_type": _PREFERRED,
        "topic_partitions": [{"topic": name, "partitions": indexes} for name, indexes in by_topic(partitions).items()],
        "timeout_ms": round(timeout_s * 1000),
    }
    return Request("ElectLeaders", fields, min_version=1)


def election_failures(response: Any, wire: Wire) -> dict[TopicPartition, Failure]:
    """Return why partitions kept their leaders; one that its first replica leads already is no failure."""
    failures: dict[TopicPartition, Failure] = {}
    for topic in response.replica_election_results:
        for found in topic.partition_result:
            failure = wire.failure_of(found.error_code, found.error_message)
            if failure is not None and failure.error != _NOT_NEEDED:
                failures[topic.topic, found.partition_id] = failure
    return failures


@dataclass(frozen=True, slots=True)
class Reassignment:
    """A partition whose replicas change.

    Attributes:
        replicas: The earlier replicas and those that are added.
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
