"""Groups and their committed offsets, asked for, changed and removed.

The broker that lists a group is its coordinator, so none is looked up.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from kraftd.kafka.model import SHARE, STREAMS, Failure, Groups, GroupState, Member, Partial, TopicPartition
from kraftd.kafka.wire import Request, Wire, by_topic

CLASSIC = "classic"
CONSUMER = "consumer"
NO_COMMIT = -1
_DESCRIBED_BY = {CONSUMER: "ConsumerGroupDescribe", SHARE: "ShareGroupDescribe", STREAMS: "StreamsGroupDescribe"}
"""The requests for the kinds of groups whose coordinator assigns the partitions."""

V = TypeVar("V")

_Bucket: TypeAlias = tuple[int, str]
"""A coordinator's node id, and the kind of groups."""

_NO_GENERATION = -1


def list_groups(wire: Wire, broker_ids: Sequence[int]) -> Groups:
    """List each broker's groups and describe them, in one request for each broker and kind of group.

    Groups of a kind that is not known here are listed but not described.
    """
    answers = wire.request_each([(node_id, Request("ListGroups", {})) for node_id in broker_ids])
    listed: dict[str, GroupState] = {}
    broker_failures: dict[int, Failure] = {}
    for node_id, answer in zip(broker_ids, answers, strict=True):
        failure = answer if isinstance(answer, Failure) else wire.failure_of(answer.error_code)
        if failure is not None:
            broker_failures[node_id] = failure
        else:
            listed.update({group.group_id: _listed(group, node_id) for group in answer.groups})
    described, failures = _describe(wire, listed.values())
    return Groups(dict(sorted((listed | described).items())), failures, broker_failures)


def _listed(group: Any, node_id: int) -> GroupState:
    return GroupState(
        name=group.group_id,
        state=group.group_state or None,
        protocol_type=group.protocol_type,
        kind=group.group_type.lower() or None,
        coordinator=node_id,
        members=None,
    )


def _describe(wire: Wire, groups: Iterable[GroupState]) -> tuple[dict[str, GroupState], dict[str, Failure]]:
    buckets: dict[_Bucket, list[GroupState]] = defaultdict(list)
    for group in groups:
        if (kind := group.kind or CLASSIC) == CLASSIC or kind in _DESCRIBED_BY:
            buckets[group.coordinator, kind].append(group)
    requests = [(node_id, _describe_request(kind, theirs)) for (node_id, kind), theirs in buckets.items()]
    described: dict[str, GroupState] = {}
    failures: dict[str, Failure] = {}
    for theirs, answer in zip(buckets.values(), wire.request_each(requests), strict=True):
        if isinstance(answer, Failure):
            failures.update(dict.fromkeys((group.name for group in theirs), answer))
            continue
        before = {group.name: group for group in theirs}
        for group in answer.groups:
            failure = wire.failure_of(group.error_code, group.error_message)
            if failure is not None:
                failures[group.group_id] = failure
            else:
                described[group.group_id] = _described(group, before[group.group_id], wire)
    return described, failures


def _describe_request(kind: str, groups: Sequence[GroupState]) -> Request:
    names = [group.name for group in groups]
    if kind in _DESCRIBED_BY:
        return Request(_DESCRIBED_BY[kind], {"group_ids": names, "include_authorized_operations": False})
    return Request("DescribeGroups", {"groups": names})


def _described(group: Any, before: GroupState, wire: Wire) -> GroupState:
    members = tuple(
        Member(
            member_id=member.member_id,
            client_id=member.client_id,
            host=member.client_host.removeprefix("/"),
            assigned=_assigned(member, group, before.kind, wire),
        )
        for member in group.members
    )
    return replace(before, state=group.group_state, members=members)


def _assigned(member: Any, group: Any, kind: str | None, wire: Wire) -> tuple[TopicPartition, ...] | None:
    if kind not in _DESCRIBED_BY:
        return wire.assigned_partitions(member.member_assignment)
    if kind == STREAMS:
        return _read_by_tasks(member.assignment.active_tasks, group.topology)
    topics = member.assignment.topic_partitions
    return tuple(sorted((topic.topic_name, index) for topic in topics for index in topic.partitions))


def _read_by_tasks(tasks: Iterable[Any], topology: Any) -> tuple[TopicPartition, ...]:
    """Return the partitions that tasks read: those with the task's number, of each topic of its subtopology.

    Where these topics have different numbers of partitions, some of these partitions do not exist.
    """
    subtopologies = (topology.subtopologies if topology is not None else None) or ()
    read = {
        each.subtopology_id: (*each.source_topics, *(topic.name for topic in each.repartition_source_topics))
        for each in subtopologies
    }
    topics = ((topic, task) for task in tasks for topic in read.get(task.subtopology_id, ()))
    return tuple(sorted((topic, index) for topic, task in topics for index in task.partitions))


def committed(
    wire: Wire, groups: Iterable[GroupState], read: Callable[[Any], V]
) -> Partial[str, dict[TopicPartition, V]]:
    """Return what is read from each commit of each group, with one request to each coordinator.

    A partition without a committed offset is absent, and so is a share group. A group with a partition in error has the
    others, and a failure.
    """
    found, failures = _asked(wire, (group for group in groups if not group.is_share), _fetch_request)
    values: dict[str, dict[TopicPartition, V]] = {}
    for group in found:
        failure = wire.failure_of(group.error_code)
        if failure is None:
            values[group.group_id], failure = _commits(group, wire, read)
        if failure is not None:
            failures[group.group_id] = failure
    return Partial(values, failures)


def _asked(
    wire: Wire, groups: Iterable[GroupState], request: Callable[[Sequence[GroupState]], Request]
) -> tuple[list[Any], dict[str, Failure]]:
    """Ask each coordinator about its groups in one request.

    Returns:
        What the answers have of each group, and by name the failure of groups whose coordinator gave no answer.
    """
    by_broker = _by_coordinator(groups)
    answers = wire.request_each([(node_id, request(theirs)) for node_id, theirs in by_broker.items()])
    found: list[Any] = []
    failures: dict[str, Failure] = {}
    for theirs, answer in zip(by_broker.values(), answers, strict=True):
        if isinstance(answer, Failure):
            failures.update(dict.fromkeys((group.name for group in theirs), answer))
        else:
            found += answer.groups
    return found, failures


def _fetch_request(groups: Sequence[GroupState]) -> Request:
    fields = {"groups": _of_all_topics(groups), "require_stable": False}
    # Version 8 is the first for several groups (KIP-709, Kafka 3.0); from version 10 on, topics are named by id.
    return Request("OffsetFetch", fields, min_version=8, max_version=8)


def _commits(group: Any, wire: Wire, read: Callable[[Any], V]) -> tuple[dict[TopicPartition, V], Failure | None]:
    commits: dict[TopicPartition, V] = {}
    last_failure: Failure | None = None
    for topic in group.topics:
        for partition in topic.partitions:
            failure = wire.failure_of(partition.error_code)
            if failure is not None:
                last_failure = failure
            elif partition.committed_offset != NO_COMMIT:
                commits[topic.name, partition.partition_index] = read(partition)
    return commits, last_failure


def _by_coordinator(groups: Iterable[GroupState]) -> dict[int, list[GroupState]]:
    by_broker: dict[int, list[GroupState]] = defaultdict(list)
    for group in groups:
        by_broker[group.coordinator].append(group)
    return dict(sorted(by_broker.items()))


def share_topics(wire: Wire, groups: Iterable[GroupState]) -> Partial[str, tuple[str, ...]]:
    """Return the topics in which share groups took records, with one request to each coordinator."""
    found, failures = _asked(wire, (group for group in groups if group.is_share), _share_offsets_request)
    topics: dict[str, tuple[str, ...]] = {}
    for group in found:
        if (failure := wire.failure_of(group.error_code, group.error_message)) is not None:
            failures[group.group_id] = failure
        else:
            topics[group.group_id] = tuple(sorted(topic.topic_name for topic in group.topics))
    return Partial(topics, failures)


def _share_offsets_request(groups: Sequence[GroupState]) -> Request:
    return Request("DescribeShareGroupOffsets", {"groups": _of_all_topics(groups)})


def _of_all_topics(groups: Sequence[GroupState]) -> list[dict[str, Any]]:
    return [{"group_id": group.name, "topics": None} for group in groups]


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
