"""Offsets by partition: one ListOffsets to each leader, whatever the number of partitions."""

import enum
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from kraftd.broker.model import Failure, Partial, Partition, TopicPartition
from kraftd.broker.wire import Request, Wire

LATEST = -1
EARLIEST = -2
NO_OFFSET = -1

NO_LEADER = Failure("NO_LEADER", "the partition has no leader", retriable=True)


class IsolationLevel(enum.IntEnum):
    """Which end of a log is meant: that of all records, or that of committed transactions."""

    READ_UNCOMMITTED = 0
    READ_COMMITTED = 1


def offsets_at(
    wire: Wire,
    partitions: Iterable[Partition],
    at_ms: int,
    isolation_level: IsolationLevel = IsolationLevel.READ_UNCOMMITTED,
) -> Partial[TopicPartition, int]:
    """Return offsets by partition; a partition without a leader, or in error, costs its own value only.

    at_ms is LATEST, EARLIEST, or a time since the epoch, which means the first record that is not older; a partition
    that has no such record is absent, without a failure.
    """
    by_leader, failures = _by_leader(partitions)
    answers = wire.ask([(leader, _request(theirs, at_ms, isolation_level)) for leader, theirs in by_leader.items()])
    values: dict[TopicPartition, int] = {}
    for theirs, answer in zip(by_leader.values(), answers, strict=True):
        if isinstance(answer, Failure):
            failures.update(dict.fromkeys((partition.key for partition in theirs), answer))
            continue
        for topic in answer.topics:
            for partition in topic.partitions:
                key = (topic.name, partition.partition_index)
                failure = wire.failure_of(partition.error_code)
                if failure is not None:
                    failures[key] = failure
                elif partition.offset != NO_OFFSET:
                    values[key] = partition.offset
    return Partial(values, failures)


def _by_leader(
    partitions: Iterable[Partition],
) -> tuple[Mapping[int, Sequence[Partition]], dict[TopicPartition, Failure]]:
    by_leader: dict[int, list[Partition]] = defaultdict(list)
    failures: dict[TopicPartition, Failure] = {}
    for partition in partitions:
        if partition.leader is None:
            failures[partition.key] = NO_LEADER
        else:
            by_leader[partition.leader].append(partition)
    return dict(sorted(by_leader.items())), failures


def _request(partitions: Sequence[Partition], at_ms: int, isolation_level: IsolationLevel) -> Request:
    by_topic: dict[str, list[int]] = defaultdict(list)
    for partition in partitions:
        by_topic[partition.topic].append(partition.partition)
    topics = [
        {"name": topic, "partitions": [{"partition_index": index, "timestamp": at_ms} for index in indexes]}
        for topic, indexes in by_topic.items()
    ]
    return Request("ListOffsets", {"isolation_level": int(isolation_level), "topics": topics}, min_version=2)
