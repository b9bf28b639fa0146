"""Groups and their commits. The broker that lists a group is its coordinator: nothing is cached, nothing looked up."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from kraftd.broker.model import Failure, Groups, GroupState, Member, Partial, TopicPartition
from kraftd.broker.wire import Request, Wire

CLASSIC = "classic"
NO_COMMIT = -1


def list_groups(wire: Wire, broker_ids: Sequence[int]) -> Groups:
    """List each broker's groups and describe the classic ones, in one request each to every broker."""
    answers = wire.ask([(node_id, Request("ListGroups", {})) for node_id in broker_ids])
    listed: dict[str, GroupState] = {}
    broker_failures: dict[int, Failure] = {}
    for node_id, answer in zip(broker_ids, answers, strict=True):
        failure = answer if isinstance(answer, Failure) else wire.failure_of(answer.error_code)
        if failure is not None:
            broker_failures[node_id] = failure
        else:
            listed.update({group.group_id: _listed(group, node_id) for group in answer.groups})
    described, failures = _describe(wire, [group for group in listed.values() if group.kind in {CLASSIC, None}])
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


def _describe(wire: Wire, groups: Sequence[GroupState]) -> tuple[dict[str, GroupState], dict[str, Failure]]:
    by_broker = _by_coordinator(groups)
    answers = wire.ask(
        [
            (node_id, Request("DescribeGroups", {"groups": [group.name for group in theirs]}))
            for node_id, theirs in by_broker.items()
        ]
    )
    described: dict[str, GroupState] = {}
    failures: dict[str, Failure] = {}
    for theirs, answer in zip(by_broker.values(), answers, strict=True):
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


def _described(group: Any, before: GroupState, wire: Wire) -> GroupState:
    members = tuple(
        Member(
            member_id=member.member_id,
            client_id=member.client_id,
            host=member.client_host.removeprefix("/"),
            assigned=wire.assigned_partitions(member.member_assignment),
        )
        for member in group.members
    )
    return replace(before, state=group.group_state, protocol_type=group.protocol_type, members=members)


def committed_offsets(wire: Wire, groups: Iterable[GroupState]) -> Partial[str, dict[TopicPartition, int]]:
    """Return every commit of each group, in one request to each coordinator.

    A partition without a commit is absent. A group with a partition in error has the others, and a failure.
    """
    by_broker = _by_coordinator(groups)
    answers = wire.ask([(node_id, _fetch_request(theirs)) for node_id, theirs in by_broker.items()])
    values: dict[str, dict[TopicPartition, int]] = {}
    failures: dict[str, Failure] = {}
    for theirs, answer in zip(by_broker.values(), answers, strict=True):
        if isinstance(answer, Failure):
            failures.update(dict.fromkeys((group.name for group in theirs), answer))
            continue
        for group in answer.groups:
            failure = wire.failure_of(group.error_code)
            if failure is None:
                values[group.group_id], failure = _commits(group, wire)
            if failure is not None:
                failures[group.group_id] = failure
    return Partial(values, failures)


def _fetch_request(groups: Sequence[GroupState]) -> Request:
    fields = {"groups": [{"group_id": group.name, "topics": None} for group in groups], "require_stable": False}
    # From version 10 topics go by id; version 8 is the first for many groups (KIP-709, Kafka 3.0).
    return Request("OffsetFetch", fields, min_version=8, max_version=8)


def _commits(group: Any, wire: Wire) -> tuple[dict[TopicPartition, int], Failure | None]:
    commits: dict[TopicPartition, int] = {}
    last_failure: Failure | None = None
    for topic in group.topics:
        for partition in topic.partitions:
            failure = wire.failure_of(partition.error_code)
            if failure is not None:
                last_failure = failure
            elif partition.committed_offset != NO_COMMIT:
                commits[topic.name, partition.partition_index] = partition.committed_offset
    return commits, last_failure


def _by_coordinator(groups: Iterable[GroupState]) -> dict[int, list[GroupState]]:
    by_broker: dict[int, list[GroupState]] = defaultdict(list)
    for group in groups:
        by_broker[group.coordinator].append(group)
    return dict(sorted(by_broker.items()))
