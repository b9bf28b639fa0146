"""Offsets by partition, one ListOffsets to each leader, and the sizes of log directories."""

import enum
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from kraftd.kafka.model import Failure, LogDir, Partial, Partition, TopicPartition
from kraftd.kafka.wire import Request, Wire, ask_leaders, by_topic

LATEST = -1
EARLIEST = -2
NO_OFFSET = -1

Question: TypeAlias = tuple[Partition, int]
"""A partition, and LATEST, EARLIEST or a time in milliseconds since the epoch."""


class IsolationLevel(enum.IntEnum):
    """The end of a log to report: that of all records, or that of committed transactions."""

    READ_UNCOMMITTED = 0
    READ_COMMITTED = 1


def offsets_at(
    wire: Wire,
    partitions: Iterable[Partition],
    at_ms: int,
    isolation_level: IsolationLevel = IsolationLevel.READ_UNCOMMITTED,
) -> Partial[TopicPartition, int]:
    """Return offsets by partition; a partition without a leader, or in error, is among the failures.

    at_ms is LATEST, EARLIEST, or a time since the epoch, for the first record at that time or later; a partition
    without such a record is absent, without a failure.
    """
    return mixed_offsets(wire, ((partition, at_ms) for partition in partitions), isolation_level)


def mixed_offsets(
    wire: Wire, questions: Iterable[Question], isolation_level: IsolationLevel
) -> Partial[TopicPartition, int]:
    """Return offsets as offsets_at does, at a time of its own for each partition, which may occur only once."""

    def offset_in(partition: Any) -> int | None:
        offset: int = partition.offset
        return offset if offset != NO_OFFSET else None

    return ask_leaders(wire, questions, lambda theirs: _request(theirs, isolation_level), offset_in)


def _request(questions: Sequence[Question], isolation_level: IsolationLevel) -> Request:
    asked = by_topic(
        (partition.topic, {"partition_index": partition.partition, "timestamp": at_ms})
        for partition, at_ms in questions
    )
    topics = [{"name": topic, "partitions": partitions} for topic, partitions in asked.items()]
    return Request("ListOffsets", {"isolation_level": int(isolation_level), "topics": topics}, min_version=2)


def describe_log_dirs(wire: Wire, broker_ids: Sequence[int]) -> Partial[int, tuple[LogDir, ...]]:
    """Return each broker's log directories, with one request each; an offline directory has a failure."""
    request = Request("DescribeLogDirs", {"topics": None}, min_version=1)
    answers = wire.request_each([(node_id, request) for node_id in broker_ids])
    values: dict[int, tuple[LogDir, ...]] = {}
    failures: dict[int, Failure] = {}
    for node_id, answer in zip(broker_ids, answers, strict=True):
        failure = answer if isinstance(answer, Failure) else wire.failure_of(answer.error_code)
        if failure is not None:
            failures[node_id] = failure
        else:
            values[node_id] = tuple(_log_dir(found, wire) for found in answer.results)
    return Partial(values, failures)


def _log_dir(found: Any, wire: Wire) -> LogDir:
    replicas = {
        (topic.name, partition.partition_index): partition.partition_size
        for topic in found.topics
        for partition in topic.partitions
    }
    return LogDir(
        path=found.log_dir,
        replica_bytes=replicas,
        total_bytes=found.total_bytes if found.total_bytes >= 0 else None,
        usable_bytes=found.usable_bytes if found.usable_bytes >= 0 else None,
        failure=wire.failure_of(found.error_code),
    )
