"""`kraftd tail`: which offsets of a topic are read, and the records from there on."""

import heapq
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol, TypeAlias

from kraftd.errors import ConfigurationError
from kraftd.escapes import named
from kraftd.kafka.log import IsolationLevel
from kraftd.kafka.model import Gap, Partition, TopicPartition
from kraftd.kafka.records.reading import Message
from kraftd.operate.data.access import KafkaData, refusal
from kraftd.operate.data.groups import bounds_of
from kraftd.operate.data.resets import Bounds, ResetKind, ResetTo
from kraftd.operate.data.topics import chosen_partitions, chosen_topics

Chosen = Callable[[Sequence[Message]], Sequence[Message]]
"""Returns the records of a batch that pass a filter."""

_Ranked: TypeAlias = tuple[int, int, Message]
"""The time of a record, which never goes back in a partition, its number, and the record."""

_rank = operator.itemgetter(0, 1)
_FURTHER = 8
_LEAST_FURTHER = 1000
_MOST_SORTED = 10_000
"""The records that are held to put all of a topic into the order of their times."""


class PassedGaps:
    """What of a log is damaged, each part once: a partition that is read again from further back has it again.

    Attributes:
        found: By topic, partition and end; the longest of those that end there.
    """

    def __init__(self, tell: Callable[[Gap], None]) -> None:
        self.found: dict[tuple[str, int, int], Gap] = {}
        self._tell = tell

    def add(self, gap: Gap) -> None:
        """Tell of a part, unless it was told."""
        place = gap.topic, gap.partition, gap.end
        known = self.found.get(place)
        if known is None:
            self._tell(gap)
        if known is None or gap.begin < known.begin:
            self.found[place] = gap


class Read(Protocol):
    """Reads partitions from their offsets on."""

    def __call__(
        self, starts: Mapping[TopicPartition, int], *, until: Mapping[TopicPartition, int] | None
    ) -> Iterator[Sequence[Message]]:
        """Yield their records before these ends; following where there are none."""


@dataclass(frozen=True, slots=True)
class TailRange:
    """Which records are wanted.

    Attributes:
        newest: How many of the newest; with an offset or a time, how many at most. None for no bound.
        partitions: Only these; all where there is none.
        offset: ``earliest``, ``latest``, an offset, or a negative number from the end of each partition; None for the
            newest.
        since_ms: From this time on, in milliseconds since the epoch.
        is_filtered: Whether only some records count, so that those before the newest must be read too.
    """

    newest: int | None = 10
    partitions: tuple[int, ...] = ()
    offset: str | int | None = None
    since_ms: int | None = None
    is_filtered: bool = False

    @property
    def is_from_the_end(self) -> bool:
        """Whether the newest records are wanted, rather than those from an offset or a time on."""
        return self.offset is None and self.since_ms is None


@dataclass(frozen=True, slots=True)
class TailPlan:
    """What is read.

    Attributes:
        starts: The first offset of each partition.
        ends: The offset after the last one of each that can be read now: with an open transaction, where it began.
        firsts: The first offset that each still has.
        keep: How many of the records up to the ends are wanted, the newest by their time; None for all, unsorted.
        stop_after: After how many records the reading ends; None for no bound.
    """

    starts: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]
    firsts: Mapping[TopicPartition, int]
    keep: int | None
    stop_after: int | None


def planned_tail(kafka: KafkaData, name: str, wanted: TailRange) -> TailPlan:
    """Return from where a topic is read.

    Raises:
        UnknownNameError: There is no such topic.
        ConfigurationError: It has no such partition.
    """
    (topic,) = chosen_topics(kafka.metadata(), [name])
    partitions = chosen_partitions([topic], wanted.partitions)
    to = None if wanted.since_ms is None else ResetTo(ResetKind.TIME, wanted.since_ms)
    bounds = bounds_of(kafka, partitions, to)
    ends = readable_ends(kafka, partitions)
    starts = {key: _start(each, ends[key], wanted) for key, each in bounds.items()}
    firsts = {key: each.start for key, each in bounds.items()}
    if not wanted.is_from_the_end:
        return TailPlan(starts, ends, firsts, None, wanted.newest)
    return TailPlan(
        starts, ends, firsts, _kept(wanted.newest, [ends[key] - first for key, first in firsts.items()]), None
    )


def _kept(newest: int | None, offsets: Sequence[int]) -> int | None:
    """Return how many of the newest are picked by their times, of partitions with so many offsets; None to print all.

    All of one partition are in the order of their times already, and too many of several are not held to sort them.
    """
    available = sum(offsets)
    if newest is None or available > newest:
        return newest
    return newest if sum(map(bool, offsets)) > 1 and available <= _MOST_SORTED else None


def readable_ends(kafka: KafkaData, partitions: Iterable[Partition]) -> Mapping[TopicPartition, int]:
    """Return the offset of each partition from which on nothing can be read before an open transaction ends.

    Raises:
        KraftdError: Those of a partition are not known.
    """
    found = kafka.end_offsets(partitions, IsolationLevel.READ_COMMITTED)
    for (topic, index), failure in found.failures.items():
        raise refusal(f"cannot read the offsets of partition {index} of the topic {named(topic)}", failure)
    return found.values


def _start(bounds: Bounds, readable_end: int, wanted: TailRange) -> int:
    if wanted.since_ms is not None:
        return bounds.end if bounds.at_time is None else bounds.at_time
    match wanted.offset:
        case None:
            offset = bounds.start if wanted.newest is None or wanted.is_filtered else readable_end - wanted.newest
        case "earliest":
            offset = bounds.start
        case "latest":
            offset = readable_end
        case int(number):
            offset = number if number >= 0 else readable_end + number
        case other:
            raise ConfigurationError(
                f"cannot read from {other}: it is not an offset", hint="Use earliest, latest or a number."
            )
    return min(max(offset, bounds.start), bounds.end)


def tail(read: Read, plan: TailPlan, chosen: Chosen, *, follow: bool) -> Iterator[Sequence[Message]]:
    """Yield the wanted records, of which a filter chose; the newest of several partitions in the order of their times.

    While nothing arrives, empty batches are yielded.
    """
    if plan.keep is None:
        batches = read(_unread(plan, follow=follow), until=None if follow else plan.ends)
        yield from _bounded(map(chosen, batches), plan.stop_after)
        return
    if plan.keep:
        yield _newest(read, plan, chosen, plan.keep)
    if follow:
        yield from map(chosen, read(plan.ends, until=None))


def _newest(read: Read, plan: TailPlan, chosen: Chosen, count: int) -> list[Message]:
    """Return the newest records of all partitions, in the order of their times.

    Not each offset has a record: where markers and records of aborted transactions take some, or compaction left
    gaps, a partition is read again from further back, until it gave enough or is read from its start.
    """
    starts = _unread(plan, follow=False)
    found: list[_Ranked] = []
    while starts:
        counts: Counter[TopicPartition] = Counter()
        arrived = _counted(chain.from_iterable(map(chosen, read(starts, until=plan.ends))), counts)
        found = _best(chain(found, _ranked(arrived)), count)
        starts = {
            place: further_back(start, plan.ends[place], plan.firsts[place])
            for place, start in starts.items()
            if counts[place] < count and start > plan.firsts[place]
        }
        found = [each for each in found if _place(each[2]) not in starts]
    return [message for _, _, message in reversed(found)]


def further_back(start: int, end: int, first: int) -> int:
    """Return from where to read a partition again that gave too few records from a start on."""
    return max(first, end - max(_LEAST_FURTHER, _FURTHER * (end - start)))


def _counted(messages: Iterable[Message], counts: Counter[TopicPartition]) -> Iterator[Message]:
    for message in messages:
        counts[_place(message)] += 1
        yield message


def _place(message: Message) -> TopicPartition:
    return message.topic(), message.partition()


def _unread(plan: TailPlan, *, follow: bool) -> Mapping[TopicPartition, int]:
    """Return the partitions to read; an empty one would only cost the wait for its end."""
    return {key: start for key, start in plan.starts.items() if follow or start < plan.ends[key]}


def _best(ranked: Iterable[_Ranked], count: int) -> list[_Ranked]:
    """Return the newest records, the newest first, those of one partition by their offsets."""
    return heapq.nlargest(count, ranked, key=_rank)


def _ranked(messages: Iterable[Message]) -> Iterator[_Ranked]:
    """Yield each record with its time, which never goes back in a partition, and its number."""
    latest: dict[TopicPartition, int] = {}
    for number, message in enumerate(messages):
        key = _place(message)
        latest[key] = max(latest.get(key, 0), message.timestamp()[1])
        yield latest[key], number, message


def _bounded(batches: Iterator[Sequence[Message]], count: int | None) -> Iterator[Sequence[Message]]:
    if count is None:
        yield from batches
        return
    left = count
    if not left:
        return
    for batch in batches:
        yield batch[:left]
        left -= len(batch[:left])
        if not left:
            return
