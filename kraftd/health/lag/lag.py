"""The lag of groups. Pure: offsets in, lag out.

There are two: the lag counts the records that a group can still read, and the offset lag is the plain difference
between the end of the log and the commit, which Kafka's own tool and kafka_exporter tell. They differ by what retention
took, by markers of transactions and records of aborted ones, and by what an open transaction holds back (``unread``).

Commits are to be read before end offsets: then no group can seem ahead of a log that only grows, and the lag is at most
what was produced in between too high. Lag is never negative and never invented: an unknown lag is None.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from kraftd.health.lag.unread import Unread
from kraftd.kafka.model import TopicPartition

_NO_SIBLINGS: Mapping[str, Collection[TopicPartition]] = {}
_NO_UNREAD: Mapping[TopicPartition, Unread] = {}


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """A group on one partition of a topic that it reads.

    Attributes:
        committed: Next offset the group will read; None without a commit: its lag is then counted from the start of the
            log, though it may begin at the end (auto.offset.reset).
        end: Next offset the partition will assign.
        start: First offset that the partition still has.
        lag: Records that the group can still read, as far as that is known: at most so many.
        offset_lag: Offsets between commit and end, as Kafka's own tool counts them; None without a commit.
        retention_margin: Offsets between the start of the log and the group; below 0, that many were lost.
        ahead_of_end: Whether the commit lies beyond the log: the topic was recreated, or truncated.
    """

    topic: str
    partition: int
    committed: int | None
    end: int | None
    start: int | None
    lag: int | None
    offset_lag: int | None
    retention_margin: int | None
    ahead_of_end: bool


@dataclass(frozen=True, slots=True)
class LagSum:
    """Partitions taken together.

    Attributes:
        lag: Their sum; None where the lag of one of them is not known.
        known_lag: The sum of the known lags: a lower bound.
        offset_lag: The sum of the offset lags; None where that of a commit is not known, or nothing is committed.
        committed: The sum of the commits, of use for rates only.
        partitions: How many have a commit.
        unknown_partitions: How many of all have no known lag.
    """

    lag: int | None
    known_lag: int
    offset_lag: int | None
    committed: int
    partitions: int
    unknown_partitions: int


@dataclass(frozen=True, slots=True)
class GroupLag:
    """One group, over every partition of the topics that it has committed on or is assigned.

    Attributes:
        partitions: In order of topic and index.
        topics: The sum of each topic, in order of name.
        total: The sum of all; of no partition at all 0.
        uncommitted: Those without a commit.
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
    siblings: Mapping[str, Collection[TopicPartition]] = _NO_SIBLINGS,
    unread: Mapping[TopicPartition, Unread] = _NO_UNREAD,
) -> GroupLag:
    """Return a group's lag.

    Args:
        committed: The group's commits; a group without members has them too.
        ends: End offsets, read after the commits; absent where they are not known.
        starts: Start offsets; absent where they are not known.
        existing: The partitions that exist now: a commit on any other belongs to a deleted topic and is dropped.
        assigned: What the group's members read.
        siblings: By topic, its partitions: a group that reads one of them reads all.
        unread: What was found after the group's commits, where it was looked for.
    """
    read = {*committed, *assigned}
    for topic in {topic for topic, _ in read}:
        read.update(siblings.get(topic, ()))
    partitions = tuple(
        partition_lag(key, committed.get(key), ends.get(key), starts.get(key), unread.get(key))
        for key in sorted(read)
        if key in existing
    )
    by_topic: dict[str, list[PartitionLag]] = defaultdict(list)
    for partition in partitions:
        by_topic[partition.topic].append(partition)
    return GroupLag(
        partitions=partitions,
        topics={topic: _sum(theirs) for topic, theirs in by_topic.items()},
        total=_sum(partitions),
        uncommitted=tuple((each.topic, each.partition) for each in partitions if each.committed is None),
    )


def partition_lag(
    key: TopicPartition, committed: int | None, end: int | None, start: int | None, unread: Unread | None = None
) -> PartitionLag:
    """Return a group's lag on one partition; an end before the commit counts as no lag."""
    topic, partition = key
    return PartitionLag(
        topic=topic,
        partition=partition,
        committed=committed,
        end=end,
        start=start,
        lag=_readable(committed, end, start, unread),
        offset_lag=None if end is None or committed is None else max(0, end - committed),
        retention_margin=None if start is None or committed is None else committed - start,
        ahead_of_end=end is not None and committed is not None and committed > end,
    )


def _readable(committed: int | None, end: int | None, start: int | None, unread: Unread | None) -> int | None:
    if end is None or (committed is None and start is None):
        return None
    if unread is not None and committed is not None:
        return unread.lag(committed, end)
    # An unknown start lies before the commit, as far as is known.
    return max(0, end - max(committed or 0, start or 0))


def _sum(partitions: Collection[PartitionLag]) -> LagSum:
    known = [partition.lag for partition in partitions if partition.lag is not None]
    unknown = len(partitions) - len(known)
    commits = [partition.committed for partition in partitions if partition.committed is not None]
    plain = [partition.offset_lag for partition in partitions if partition.offset_lag is not None]
    return LagSum(
        lag=sum(known) if not unknown else None,
        known_lag=sum(known),
        offset_lag=sum(plain) if len(plain) == len(commits) > 0 else None,
        committed=sum(commits),
        partitions=len(commits),
        unknown_partitions=unknown,
    )
