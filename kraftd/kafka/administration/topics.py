"""Topics: requests and responses that change them, and their configuration with its sources."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kraftd.kafka.model import Failure, Partial, Partition, TopicPartition
from kraftd.kafka.offsets import NO_LEADER
from kraftd.kafka.topics import TOPIC_RESOURCE
from kraftd.kafka.wire import Request, Wire

HIGH_WATERMARK = -1
_SOURCE_TOPIC = 1
_SET, _DELETE = 0, 1
_PREFERRED = 0
_NOT_NEEDED = "ELECTION_NOT_NEEDED"


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """One configuration of a topic; the value is None where Kafka keeps it secret.

    Attributes:
        is_own: Whether it is set on the topic, so that it does not follow the brokers.
    """

    name: str
    value: str | None
    is_own: bool


def configs_request(names: Iterable[str]) -> Request:
    """Return the request for every configuration of topics."""
    resources = [{"resource_type": TOPIC_RESOURCE, "resource_name": name, "configuration_keys": None} for name in names]
    # Version 1 is the first that tells where a value comes from.
    return Request("DescribeConfigs", {"resources": resources}, min_version=1)


def configs_in(response: Any, wire: Wire) -> Partial[str, tuple[ConfigEntry, ...]]:
    """Return the configuration by topic, in order of name."""
    values: dict[str, tuple[ConfigEntry, ...]] = {}
    failures: dict[str, Failure] = {}
    for resource in response.results:
        failure = wire.failure_of(resource.error_code, resource.error_message)
        if failure is not None:
            failures[resource.resource_name] = failure
            continue
        entries = (ConfigEntry(each.name, each.value, each.config_source == _SOURCE_TOPIC) for each in resource.configs)
        values[resource.resource_name] = tuple(sorted(entries, key=lambda entry: entry.name))
    return Partial(values, failures)


def alter_request(topic: str, changes: Mapping[str, str | None], *, validate_only: bool) -> Request:
    """Return the request that sets configurations of a topic, and takes its own value away where it is None."""
    configs = [
        {"name": name, "config_operation": _DELETE if value is None else _SET, "value": value}
        for name, value in changes.items()
    ]
    resource = {"resource_type": TOPIC_RESOURCE, "resource_name": topic, "configs": configs}
    return Request("IncrementalAlterConfigs", {"resources": [resource], "validate_only": validate_only})


def alter_failure(response: Any, wire: Wire) -> Failure | None:
    """Return why configurations were not changed; None if they were."""
    (resource,) = response.responses
    return wire.failure_of(resource.error_code, resource.error_message)


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
    by_leader: dict[int, list[tuple[Partition, int]]] = defaultdict(list)
    failures: dict[TopicPartition, Failure] = {}
    values: dict[TopicPartition, int] = {}
    for partition, offset in targets.items():
        if partition.leader is None:
            failures[partition.key] = NO_LEADER
        else:
            by_leader[partition.leader].append((partition, offset))
    requests = [(leader, _records_request(theirs, timeout_s)) for leader, theirs in by_leader.items()]
    for theirs, answer in zip(by_leader.values(), wire.request_each(requests), strict=True):
        if isinstance(answer, Failure):
            failures.update(dict.fromkeys((partition.key for partition, _ in theirs), answer))
            continue
        for topic in answer.topics:
            for found in topic.partitions:
                key = (topic.name, found.partition_index)
                failure = wire.failure_of(found.error_code)
                if failure is not None:
                    failures[key] = failure
                else:
                    values[key] = found.low_watermark
    return Partial(values, failures)


def _records_request(targets: Sequence[tuple[Partition, int]], timeout_s: float) -> Request:
    by_topic: dict[str, list[dict[str, int]]] = defaultdict(list)
    for partition, offset in targets:
        by_topic[partition.topic].append({"partition_index": partition.partition, "offset": offset})
    topics = [{"name": name, "partitions": partitions} for name, partitions in by_topic.items()]
    return Request("DeleteRecords", {"topics": topics, "timeout_ms": round(timeout_s * 1000)})


def election_request(partitions: Iterable[Partition], timeout_s: float) -> Request:
    """Return the request that makes the first replica of each partition its leader."""
    by_topic: dict[str, list[int]] = defaultdict(list)
    for partition in partitions:
        by_topic[partition.topic].append(partition.partition)
    fields = {
        "election_type": _PREFERRED,
        "topic_partitions": [{"topic": name, "partitions": indexes} for name, indexes in by_topic.items()],
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
