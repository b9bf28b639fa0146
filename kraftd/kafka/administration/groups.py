"""Groups: requests and responses that change their committed offsets, and remove them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from kraftd.kafka.model import Failure, GroupState, TopicPartition
from kraftd.kafka.wire import Request, Wire, by_topic

_NO_GENERATION = -1


def commit_request(
    group: str, offsets: Mapping[TopicPartition, int], metadata: Mapping[TopicPartition, str]
) -> Request:
    """Return the request that commits offsets from outside a group, which Kafka takes only while it is empty."""
    topics = by_topic(
        (
            place[0],
            {"partition_index": place[1], "committed_offset": offset, "committed_metadata": metadata.get(place, "")},
        )
        for place, offset in sorted(offsets.items())
    )
    fields = {
        "group_id": group,
        "generation_id_or_member_epoch": _NO_GENERATION,
        "member_id": "",
        "topics": [{"name": name, "partitions": partitions} for name, partitions in topics.items()],
    }
    # From version 10 on, topics are named by id.
    return Request("OffsetCommit", fields, min_version=7, max_version=9)


def partition_failures(response: Any, wire: Wire) -> dict[TopicPartition, Failure]:
    """Return why offsets of partitions were not committed, or not removed."""
    failures = {
        (topic.name, partition.partition_index): wire.failure_of(partition.error_code)
        for topic in response.topics
        for partition in topic.partitions
    }
    return {key: failure for key, failure in failures.items() if failure is not None}


def removal_request(group: str, partitions: Iterable[TopicPartition]) -> Request:
    """Return the request that removes a group's offsets of partitions."""
    asked = by_topic((topic, {"partition_index": partition}) for topic, partition in sorted(partitions))
    topics = [{"name": name, "partitions": indexes} for name, indexes in asked.items()]
    return Request("OffsetDelete", {"group_id": group, "topics": topics})


def delete_groups(wire: Wire, groups: Iterable[GroupState]) -> dict[str, Failure]:
    """Delete groups with their offsets; return why some were not, by name."""
    by_coordinator: dict[int, list[str]] = defaultdict(list)
    for group in groups:
        by_coordinator[group.coordinator].append(group.name)
    requests = [
        (node_id, Request("DeleteGroups", {"groups_names": names})) for node_id, names in by_coordinator.items()
    ]
    failures: dict[str, Failure] = {}
    for names, answer in zip(by_coordinator.values(), wire.request_each(requests), strict=True):
        if isinstance(answer, Failure):
            failures.update(dict.fromkeys(names, answer))
            continue
        found = {each.group_id: wire.failure_of(each.error_code) for each in answer.results}
        failures.update({name: failure for name, failure in found.items() if failure is not None})
    return failures
