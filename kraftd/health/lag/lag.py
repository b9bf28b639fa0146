"""The lag of groups. Pure: offsets in, lag out.

Commits are to be read before end offsets: then no group can seem ahead of a log that only grows, and the lag is at most
what was produced in between too high. Lag is never negative and never invented: an unknown lag is None.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from kraftd.kafka.model import TopicPartition


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """A group on one partition where it has committed.

    Attributes:
        committed: Next offset the group will read.
        end: Next offset the partition will assign, or its last stable offset for a read_committed group.
        start: First offset that the partition still has.
        lag: Offsets between the two, as Kafka's own tool counts them; of a compacted topic more than there are records.
        available_lag: The part of it that can still be read: retention may have overtaken the group.
        retention_margin: Offsets between the start of the log and the group; below 0, that many were lost.
        ahead_of_end: Whether the commit lies beyond the log: the topic was created again, or truncated.
    """

    topic: str
    partition: int
    committed: int
    end: int | None
    start: int | None
    lag: int | None
    available_lag: int | None
    retention_margin: int | None
    ahead_of_end: bool


@dataclass(frozen=True, slots=True)
class LagSum:
    """Partitions taken together.

    Attributes:
        lag: Their sum; None where the lag of one of them is not known, or of none has a meaning yet.
        known_lag: The sum of the known lags: a lower bound.
        committed: The sum of the commits, of use for rates only.
        partitions: How many are counted; those without a commit are not.
        unknown_partitions: How many of these have no known lag.
    """

    lag: int | None
    known_lag: int
    committed: int
    partitions: int
    unknown_partitions: int


_NOTHING_COMMITTED = LagSum(lag=None, known_lag=0, committed=0, partitions=0, unknown_partitions=0)


@dataclass(frozen=True, slots=True)
class GroupLag:
    """One group, over every partition that it has committed on or is assigned.

    Attributes:
        partitions: In order of topic and index.
        topics: The sum of each topic, in order of name.
        total: The sum of all; of no partition at all 0, but not known where members read and none has committed.
        uncommitted: Partitions assigned to a member, without a commit: their lag has no meaning yet.
    """

    partitions: tuple[PartitionLag, ...]
    topics: Mapping[str, LagSum]
    total: LagSum
    uncommitted: tuple[TopicPartition, ...]


def group_lag(
    committed: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    starts: Mapping[TopicPartition, int],
    *,
    existing: Collection[TopicPartition],
    assigned: Iterable[TopicPartition] = (),
) -> GroupLag:
    """Return a group's lag.

    Args:
        committed: The group's commits; a group without members has them too.
        ends: End offsets, read after the commits; absent where they are not known.
        starts: Start offsets; absent where they are not known.
        existing: The partitions that exist now: a commit on any other belongs to a deleted topic and is dropped.
        assigned: What the group's members read.
    """
    partitions = tuple(
        partition_lag(key, offset, ends.get(key), starts.get(key))
        for key, offset in sorted(committed.items())
        if key in existing
    )
    by_topic: dict[str, list[PartitionLag]] = defaultdict(list)
    for partition in partitions:
        by_topic[partition.topic].append(partition)
    uncommitted = {key for key in assigned if key in existing} - committed.keys()
    return GroupLag(
        partitions=partitions,
        topics={topic: _sum(theirs) for topic, theirs in by_topic.items()},
        total=_sum(partitions) if partitions or not uncommitted else _NOTHING_COMMITTED,
        uncommitted=tuple(sorted(uncommitted)),
    )


def partition_lag(key: TopicPartition, committed: int, end: int | None, start: int | None) -> PartitionLag:
    """Return a group's lag on one partition; an end before the commit counts as no lag."""
    topic, partition = key
    readable_from = committed if start is None else max(committed, start)
    return PartitionLag(
        topic=topic,
        partition=partition,
        committed=committed,
        end=end,
        start=start,
        lag=None if end is None else max(0, end - committed),
        available_lag=None if end is None or start is None else max(0, end - readable_from),
        retention_margin=None if start is None else committed - start,
        ahead_of_end=end is not None and committed > end,
    )


def _sum(partitions: Collection[PartitionLag]) -> LagSum:
    known = [partition.lag for partition in partitions if partition.lag is not None]
    unknown = len(partitions) - len(known)
    return LagSum(
        lag=sum(known) if not unknown else None,
        known_lag=sum(known),
        committed=sum(partition.committed for partition in partitions),
        partitions=len(partitions),
        unknown_partitions=unknown,
    )
