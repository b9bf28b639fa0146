"""The memory of offsets from one measurement to the next. Pure: it grows and shrinks with topics and groups.

It holds a timeline for each partition that a group has committed on, the newest samples of each group, and one start
and one last stable offset for each partition; and which last stable offsets an open transaction holds back.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from kraftd.health.lag.status import CAPACITY, Window
from kraftd.health.lag.time_lag import NO_WAIT, AgeBounds, Timeline, group_wait, looked_up, lookup_time_s, observed
from kraftd.health.lag.unread import Position, Unread, UnreadMemory
from kraftd.kafka.log import EARLIEST, Question
from kraftd.kafka.model import OpenTransaction, Partial, Partition, TopicPartition, TopicState

HELD_S = 8.0
"""A last stable offset that stayed so long before the end is asked about; a busy producer's moves all the time."""

ASK_AGAIN_S = 60.0
MOST_ASKED = 20
"""Partitions in one cycle."""

STARTS_EVERY_S = 60.0
"""How often start offsets are read: retention moves them every few minutes."""

STABLE_EVERY_S = 30.0
"""How often last stable offsets are read at least; also in every cycle that has nothing else to ask for."""

CLOCK_STEP_S = 2.0
"""A wall clock that moved this far against the monotonic one was set: earlier points in time are invalid."""

Commits = Mapping[str, Mapping[TopicPartition, int]]
"""By group."""


@dataclass(slots=True)
class HeldMemory:
    """Remembers which partitions are held back, since when, and by which transaction."""

    transactions: dict[TopicPartition, OpenTransaction] = field(default_factory=dict)
    _since: dict[TopicPartition, tuple[int, float]] = field(default_factory=dict)
    _ask_at_s: dict[TopicPartition, float] = field(default_factory=dict)

    def observe(
        self, stable: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int], monotonic_s: float
    ) -> None:
        """Note the last stable offsets that were read now, with end offsets from before them."""
        for key in [key for key in self._since if key not in ends]:
            self._forget(key)
        for key, offset in stable.items():
            known = self._since.get(key)
            if known is not None and known[0] == offset < ends.get(key, offset):
                continue
            self._forget(key)
            if offset < ends.get(key, offset):
                self._since[key] = (offset, monotonic_s)

    def questions(self, partitions: Mapping[TopicPartition, Partition], monotonic_s: float) -> list[Partition]:
        """Return the partitions whose open transaction to ask for: once each, and later again where none was found."""
        due = [
            key
            for key, (_, since_s) in self._since.items()
            if key in partitions
            and key not in self.transactions
            and monotonic_s - since_s >= HELD_S
            and monotonic_s >= self._ask_at_s.get(key, 0.0)
        ][:MOST_ASKED]
        self._ask_at_s |= dict.fromkeys(due, monotonic_s + ASK_AGAIN_S)
        return [partitions[key] for key in due]

    def store(self, answers: Partial[TopicPartition, OpenTransaction]) -> None:
        """Store the open transactions that were found."""
        self.transactions |= answers.values

    def _forget(self, key: TopicPartition) -> None:
        self._since.pop(key, None)
        self._ask_at_s.pop(key, None)
        self.transactions.pop(key, None)


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a group: its commits, and the ends of every partition, read after them.

    Attributes:
        readable_ends: In place of an end, where less can be read than there are offsets: the commit and the lag added.
    """

    time_s: float
    commits: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]
    readable_ends: Mapping[TopicPartition, int] = field(default_factory=dict)


@dataclass(slots=True)
class OffsetMemory:
    """Remembers offsets between measurements; see the module."""

    starts: dict[TopicPartition, int] = field(default_factory=dict)
    stable: dict[TopicPartition, int] = field(default_factory=dict)
    timelines: dict[TopicPartition, Timeline] = field(default_factory=dict)
    samples: dict[str, tuple[Sample, ...]] = field(default_factory=dict)
    unread: UnreadMemory = field(default_factory=UnreadMemory)
    held: HeldMemory = field(default_factory=HeldMemory)
    _ends: dict[TopicPartition, int] = field(default_factory=dict)
    _begun_after_s: dict[TopicPartition, float] = field(default_factory=dict)
    _narrowed_s: dict[str, float] = field(default_factory=dict)
    _sampled_s: float = 0.0
    _topic_ids: dict[str, str | None] = field(default_factory=dict)
    _starts_due_s: float = 0.0
    _stable_due_s: float = 0.0
    _clock_offset_s: float | None = None

    def forget_other_clock(self, now_s: float, monotonic_s: float) -> None:
        """Forget every point in time where the wall clock was set since the last call."""
        before_s, self._clock_offset_s = self._clock_offset_s, now_s - monotonic_s
        if before_s is not None and abs(self._clock_offset_s - before_s) > CLOCK_STEP_S:
            self.timelines.clear()

    def forget_topics(self, topics: Iterable[TopicState]) -> None:
        """Forget topics that were deleted, and those recreated under the same name."""
        ids = {topic.name: topic.topic_id for topic in topics}
        gone = {name for name, topic_id in self._topic_ids.items() if name not in ids or ids[name] != topic_id}
        self._topic_ids = ids
        if gone:
            self._forget({key for key in self._ends if key[0] in gone})

    def forget_groups(self, groups: Collection[str]) -> None:
        """Forget all groups except these."""
        for name in self.samples.keys() - set(groups):
            del self.samples[name]
            self._narrowed_s.pop(name, None)

    def observe(self, ends: Mapping[TopicPartition, int], commits: Commits, now_s: float, monotonic_s: float) -> None:
        """Remember end offsets, and how far behind them the groups are that committed before."""
        # A log that became shorter was recreated or truncated: what is known is of the earlier log.
        self._forget({key for key, end in ends.items() if end < self._ends.get(key, end)})
        self._ends.update(ends)
        # Also what groups committed whose coordinator does not answer now, so that their records keep their age.
        remembered = (samples[-1].commits for samples in self.samples.values())
        read = {key for of_group in (*commits.values(), *remembered) for key in of_group}
        self.timelines = {
            key: observed(self.timelines.get(key, ()), now_s, ends[key]) if key in ends else self.timelines[key]
            for key in read
            if key in ends or key in self.timelines
        }
        self._sampled_s = monotonic_s
        for group, of_group in commits.items():
            samples = self.samples.get(group, ())
            # One mapping for all samples with the same commits: most groups commit nothing most of the time.
            kept = samples[-1].commits if samples and samples[-1].commits == of_group else of_group
            self.samples[group] = (*samples, Sample(monotonic_s, kept, ends))[-CAPACITY:]
        oldest_s = min((samples[0].time_s for samples in self.samples.values()), default=inf)
        self._begun_after_s = {key: at_s for key, at_s in self._begun_after_s.items() if at_s >= oldest_s}

    def unmoved(self, ends: Mapping[TopicPartition, int]) -> Iterator[Position]:
        """Yield where a commit is before the end, and was the same in the sample before."""
        for samples in self.samples.values():
            if len(samples) > 1:
                before = samples[-2].commits
                for key, committed in samples[-1].commits.items():
                    if committed < ends.get(key, committed) and before.get(key) == committed:
                        yield key, committed

    def store_unread(self, ends: Mapping[TopicPartition, int]) -> None:
        """Store in the newest sample of each group how much it can read, where that is less than the offsets."""
        if not (unread := self.unread.fewer):
            return
        for group, samples in self.samples.items():
            readable = {
                key: committed + found.lag(committed, ends[key])
                for key, committed in samples[-1].commits.items()
                if (found := unread.get((key, committed))) is not None
            }
            if readable:
                self._narrowed_s[group] = samples[-1].time_s
                self.samples[group] = (*samples[:-1], replace(samples[-1], readable_ends=readable))

    def window(self, group: str, key: TopicPartition) -> Window:
        """Return the samples of a group on a partition, since the partition's log began."""
        samples = self.samples.get(group, ())
        if (begun_after_s := self._begun_after_s.get(key)) is not None:
            samples = tuple(sample for sample in samples if sample.time_s > begun_after_s)
        columns = _columns
        if samples and self._narrowed_s.get(group, -inf) >= samples[0].time_s:
            columns = _narrowed_columns
        try:
            return columns(samples, key)
        except KeyError:
            # Some samples have no commit or no end: no leader, or a broker that did not answer.
            return columns([sample for sample in samples if key in sample.commits and key in sample.ends], key)

    def time_lags(
        self,
        commits: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        now_s: float,
    ) -> dict[TopicPartition, AgeBounds]:
        """Return how long the oldest records that a group can still read wait, of the partitions whose end is known."""
        return {
            key: self._time_lag(
                key, committed, ends[key], now_s, self.unread.fewer.get((key, committed)) if self.unread.fewer else None
            )
            for key, committed in commits.items()
            if key in ends
        }

    def _time_lag(
        self, key: TopicPartition, committed: int, end: int, now_s: float, unread: Unread | None
    ) -> AgeBounds:
        first = committed
        if unread is not None:
            if not unread.lag(committed, end):
                return NO_WAIT
            first = unread.first_unread()
        return group_wait(self.timelines[key], first, end, self.starts.get(key), now_s)

    def questions(
        self, partitions: Iterable[Partition], commits: Commits, now_s: float, monotonic_s: float
    ) -> list[Question]:
        """Return which starts and offsets at times to ask for now.

        One question for each partition at most, so that there is one request for each leader.
        """
        are_starts_due = monotonic_s >= self._starts_due_s
        if are_starts_due:
            self._starts_due_s = monotonic_s + STARTS_EVERY_S
        by_partition: dict[TopicPartition, set[int]] = defaultdict(set)
        for of_group in commits.values():
            for key, committed in of_group.items():
                by_partition[key].add(committed)
        found: list[Question] = []
        for partition in partitions:
            if are_starts_due or partition.key not in self.starts:
                found.append((partition, EARLIEST))
            elif (at_s := self._lookup_s(partition.key, by_partition[partition.key], now_s)) is not None:
                found.append((partition, round(at_s * 1000)))
        return found

    def is_stable_due(self, questions: Iterable[Question], monotonic_s: float) -> bool:
        """Return whether it is the turn of the stable offsets, and not that of offsets at times."""
        only_lookups = not any(at_ms == EARLIEST for _, at_ms in questions)
        return only_lookups and monotonic_s >= self._stable_due_s

    def store_answers(self, questions: Iterable[Question], answers: Partial[TopicPartition, int]) -> None:
        """Store the answers to ``questions()``."""
        for partition, at_ms in questions:
            key = partition.key
            if key in answers.failures:
                continue
            offset = answers.values.get(key)
            if at_ms != EARLIEST:
                self.timelines[key] = looked_up(self.timelines[key], at_ms / 1000, offset, self._ends[key])
            elif offset is not None:
                self.starts[key] = offset

    def store_stable(self, answers: Mapping[TopicPartition, int], monotonic_s: float) -> None:
        """Store last stable offsets, read after the ends."""
        self.stable.update(answers)
        self.held.observe(answers, self._ends, monotonic_s)
        self._stable_due_s = monotonic_s + STABLE_EVERY_S

    def _lookup_s(self, key: TopicPartition, committed: Iterable[int], now_s: float) -> float | None:
        timeline, end, start = self.timelines.get(key), self._ends.get(key), self.starts.get(key)
        if timeline is None or end is None:
            return None
        return lookup_time_s((group_wait(timeline, each, end, start, now_s) for each in committed), now_s)

    def _forget(self, keys: Collection[TopicPartition]) -> None:
        for key in keys:
            self.timelines.pop(key, None)
            for offsets in (self.starts, self.stable, self._ends):
                offsets.pop(key, None)
            self.unread.forget(key)
            self._begun_after_s[key] = self._sampled_s


def _columns(samples: Sequence[Sample], key: TopicPartition) -> Window:
    return Window(
        [sample.time_s for sample in samples],
        [sample.commits[key] for sample in samples],
        [sample.ends[key] for sample in samples],
    )


def _narrowed_columns(samples: Sequence[Sample], key: TopicPartition) -> Window:
    """Return the columns with the ends up to which the group could read."""
    times_s, commits, ends = _columns(samples, key)
    return Window(
        times_s,
        commits,
        [sample.readable_ends.get(key, end) for sample, end in zip(samples, ends, strict=True)],
    )
