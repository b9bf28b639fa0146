"""One measurement of offsets, lag and time lag: commits first, end offsets after."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from kraftd.clock import Clock
from kraftd.health.lag.lag import GroupLag, LagSum, group_lag
from kraftd.health.lag.offsets import Commits, OffsetMemory
from kraftd.health.lag.selection import Selector
from kraftd.health.lag.status import LagStatus, is_idle, partition_status, worst
from kraftd.health.lag.time_lag import AgeBounds
from kraftd.health.lag.view import GroupStatus, Offsets
from kraftd.kafka.log import IsolationLevel, Question
from kraftd.kafka.model import (
    BrokerEndpoint,
    Failure,
    FetchedBatches,
    GroupState,
    OpenTransaction,
    Partial,
    Partition,
    TopicPartition,
    TopicState,
)


class OffsetSource(Protocol):
    """The part of the Kafka door that knows offsets."""

    def committed(self, groups: Iterable[GroupState]) -> Partial[str, dict[TopicPartition, int]]:
        """Return the commits of groups."""

    def end_offsets(
        self, partitions: Iterable[Partition], isolation_level: IsolationLevel = IsolationLevel.READ_UNCOMMITTED
    ) -> Partial[TopicPartition, int]:
        """Return end offsets, or last stable ones."""

    def mixed_offsets(self, questions: Iterable[Question]) -> Partial[TopicPartition, int]:
        """Return starts, and offsets at times."""

    def batches_from(self, questions: Iterable[tuple[Partition, int]]) -> Partial[TopicPartition, FetchedBatches]:
        """Return the headers of the next batches."""

    def open_transactions(
        self, partitions: Iterable[Partition], brokers: Iterable[BrokerEndpoint]
    ) -> Partial[TopicPartition, OpenTransaction]:
        """Return the oldest open transaction of partitions."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The result of one measurement; see KafkaView.

    Attributes:
        not_read: Why commits of a group are missing, by group.
        undetailed: Groups with more partitions than there is room for: they have a lag, but no time lag and no status.
    """

    offsets: Offsets
    lags: Mapping[str, GroupLag]
    time_lags: Mapping[str, Mapping[TopicPartition, AgeBounds]]
    statuses: Mapping[str, GroupStatus]
    not_read: Mapping[str, Failure]
    undetailed: frozenset[str]
    open_transactions: Mapping[TopicPartition, OpenTransaction]


class Measurement:
    """Measures again and again, and remembers the offsets that time lag and status follow from.

    Args:
        source: The Kafka door.
        clock: Time.
        selector: The topics and groups to measure.
        asks_for_all: Whether each measurement asks for every kind of offset, and not for one in turn.
    """

    def __init__(self, source: OffsetSource, clock: Clock, selector: Selector, *, asks_for_all: bool = False) -> None:
        self._source = source
        self._clock = clock
        self._selector = selector
        self._asks_for_all = asks_for_all
        self._memory = OffsetMemory()

    def measure(
        self,
        groups: Mapping[str, GroupState],
        topics: Collection[TopicState],
        unreadable: Collection[str] = (),
        *,
        are_all_groups_listed: bool = True,
        with_details: bool = True,
        brokers: Collection[BrokerEndpoint] = (),
    ) -> Measured:
        """Return offsets, lags, time lags and statuses now; three requests to each broker, more where it is unusual.

        Args:
            groups: The groups to measure, no older than this cycle.
            topics: The topics to measure, no older than this cycle.
            unreadable: Names of topics that exist but whose partitions are not known.
            are_all_groups_listed: Whether a group that is not among them is gone.
            with_details: Whether to ask for more than commits and ends, of partitions that are not new.
            brokers: Those that may coordinate transactions.
        """
        partitions = {partition.key: partition for topic in topics for partition in topic.partitions}
        committed = self._source.committed(groups.values())
        ends = self._source.end_offsets(partitions.values())
        undetailed = self._selector.undetailed({name: len(found) for name, found in committed.values.items()})
        detailed = _on(partitions, {name: each for name, each in committed.values.items() if name not in undetailed})
        remembered = groups.keys() - undetailed if are_all_groups_listed else None
        now_s = self._remember(topics, detailed, ends.values, remembered)
        led = {key: partition for key, partition in partitions.items() if key in ends.values}
        offsets = self._offsets(now_s, led, detailed, ends, with_details=with_details)
        self._look(led, ends.values, brokers)
        lags = self._lags(groups, topics, unreadable, committed, ends.values)
        return Measured(
            offsets,
            lags,
            time_lags={name: self._memory.time_lags(found, ends.values, now_s) for name, found in detailed.items()},
            statuses={name: self._status(groups[name], detailed[name], lags[name], ends.values) for name in detailed},
            not_read=committed.failures,
            undetailed=undetailed,
            open_transactions=dict(self._memory.held.transactions),
        )

    def _lags(
        self,
        groups: Mapping[str, GroupState],
        topics: Collection[TopicState],
        unreadable: Collection[str],
        committed: Partial[str, dict[TopicPartition, int]],
        ends: Mapping[TopicPartition, int],
    ) -> dict[str, GroupLag]:
        siblings = {topic.name: tuple(partition.key for partition in topic.partitions) for topic in topics}
        existing = {key for keys in siblings.values() for key in keys}
        existing |= {key for key in _keys(committed.values) if key[0] in unreadable}
        fewer = self._memory.unread.fewer
        lags = {}
        for name, commits in committed.values.items():
            lag = group_lag(
                commits,
                ends,
                self._memory.starts,
                existing=existing,
                assigned={key for member in groups[name].members or () for key in member.assigned or ()},
                siblings=siblings,
                unread={each[0]: fewer[each] for each in commits.items() if each in fewer} if fewer else {},
            )
            lags[name] = _incomplete(lag) if name in committed.failures else lag
        return lags

    def _remember(
        self,
        topics: Iterable[TopicState],
        commits: Commits,
        ends: Mapping[TopicPartition, int],
        groups: Collection[str] | None,
    ) -> float:
        now_s, monotonic_s = self._clock.now_s(), self._clock.monotonic_s()
        self._memory.forget_other_clock(now_s, monotonic_s)
        self._memory.forget_topics(topics)
        if groups is not None:
            self._memory.forget_groups(groups)
        self._memory.observe(ends, commits, now_s, monotonic_s)
        return now_s

    def _offsets(
        self,
        now_s: float,
        led: Mapping[TopicPartition, Partition],
        commits: Commits,
        ends: Partial[TopicPartition, int],
        *,
        with_details: bool,
    ) -> Offsets:
        memory, monotonic_s = self._memory, self._clock.monotonic_s()
        starts: Partial[TopicPartition, int] = Partial()
        stable: Partial[TopicPartition, int] = Partial()
        asks_for_all = self._asks_for_all or any(key not in memory.starts for key in led)
        if with_details or asks_for_all:
            questions = memory.questions(led.values(), commits, now_s, monotonic_s)
            is_stable_due = not questions or memory.is_stable_due(questions, monotonic_s)
            if questions and not is_stable_due:
                starts = self._source.mixed_offsets(questions)
                memory.store_answers(questions, starts)
            # Partitions that are new have everything at once: nobody waits three cycles for their first values.
            if asks_for_all and (lookups := memory.questions(led.values(), commits, now_s, monotonic_s)):
                memory.store_answers(lookups, self._source.mixed_offsets(lookups))
            if is_stable_due or asks_for_all:
                stable = self._source.end_offsets(led.values(), IsolationLevel.READ_COMMITTED)
                memory.store_stable(stable.values, monotonic_s)
        return Offsets(
            taken_at_s=now_s,
            ends=ends,
            starts=Partial(_known(memory.starts, ends.values), {**ends.failures, **starts.failures}),
            last_stable=Partial(_known(memory.stable, ends.values), {**ends.failures, **stable.failures}),
        )

    def _look(
        self,
        led: Mapping[TopicPartition, Partition],
        ends: Mapping[TopicPartition, int],
        brokers: Collection[BrokerEndpoint],
    ) -> None:
        """Look at batches after commits that do not move, and at transactions that stay open."""
        memory, monotonic_s = self._memory, self._clock.monotonic_s()
        if questions := memory.unread.questions(memory.unmoved(ends), led, ends, memory.starts):
            found = self._source.batches_from(questions)
            memory.unread.store(questions, found, ends)
            stable = {key: each.stable for key, each in found.values.items()}
            memory.stable.update(stable)
            memory.held.observe(stable, ends, monotonic_s)
        memory.unread.compare(ends)
        memory.store_unread(ends)
        if held := memory.held.questions(led, monotonic_s):
            memory.held.store(self._source.open_transactions(held, brokers))

    def _status(
        self,
        group: GroupState,
        commits: Mapping[TopicPartition, int],
        lag: GroupLag,
        ends: Mapping[TopicPartition, int],
    ) -> GroupStatus:
        has_members = bool(group.members) if group.members is not None else None
        windows = {key: self._memory.window(group.name, key) for key in commits if key in ends}
        found = {key: partition_status(window, has_members=has_members) for key, window in windows.items()}
        known = {key: status for key, status in found.items() if status is not None}
        group_status = worst(known.values())
        if group_status is LagStatus.OK and has_members is False and lag.uncommitted:
            # Nobody reads the records of partitions without a commit either.
            is_left = any(each.lag for each in lag.partitions if each.committed is None)
            group_status = LagStatus.EMPTY if is_left and all(map(is_idle, windows.values())) else group_status
        return GroupStatus(group_status, known)


def _on(partitions: Collection[TopicPartition], commits: Commits) -> dict[str, dict[TopicPartition, int]]:
    """Return the commits on these partitions, with their keys: fifteen samples of each group hold no copies of them."""
    keys = {key: key for key in partitions}
    return {
        name: {keys[key]: offset for key, offset in found.items() if key in keys} for name, found in commits.items()
    }


def _keys(commits: Commits) -> Iterable[TopicPartition]:
    return {key for found in commits.values() for key in found}


def _known(offsets: Mapping[TopicPartition, int], ends: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
    """Return the offsets of partitions whose end is known too; those of others may be old."""
    return {key: offsets[key] for key in ends if key in offsets}


def _incomplete(lag: GroupLag) -> GroupLag:
    """Return a lag whose sums are not known, because commits are missing from them."""
    topics = {topic: replace(each, lag=None, offset_lag=None) for topic, each in lag.topics.items()}
    total: LagSum = replace(lag.total, lag=None, offset_lag=None)
    return replace(lag, topics=topics, total=total)
