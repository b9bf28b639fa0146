"""Whether records of a topic have keys, told from a sample: the newest, and where these have none, the oldest."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from kraftd.kafka.model import TopicPartition
from kraftd.operate.data.tail import Read, further_back
from kraftd.operate.data.topic_changes import key_risk

_SAMPLED = 500
_MOST_READ = 100_000
"""Others may write faster than this reads, and an old transaction that was aborted may be long."""

Offsets = Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class _Sample:
    """How many records were read of each partition, and how many of all have keys."""

    read: Counter[TopicPartition]
    keyed: int


def sampled_key_risk(read: Read, firsts: Offsets, ends: Offsets) -> str | None:
    """Return the risk of more partitions to records that have keys, None where none of the sample has one.

    Args:
        read: Reads records.
        firsts: The first offset of each partition.
        ends: The offset after the last one of each that can be read.
    """
    ends = {place: end for place, end in ends.items() if end > firsts.get(place, 0)}
    if not ends:
        return None
    count = math.ceil(_SAMPLED / len(ends))
    starts = {place: max(firsts.get(place, 0), end - count) for place, end in ends.items()}
    newest = _newest(read, starts, (firsts, ends), count)
    is_whole = all(start == firsts.get(place, 0) for place, start in starts.items())
    if newest.keyed or is_whole:
        return key_risk(newest.keyed, newest.read.total(), "newest")
    oldest = _sample(read, {place: firsts.get(place, 0) for place in ends}, ends, count)
    return key_risk(oldest.keyed, oldest.read.total(), "oldest")


def _newest(read: Read, starts: Offsets, bounds: tuple[Offsets, Offsets], count: int) -> _Sample:
    """Return a sample that goes back far enough: aborted transactions and compaction leave offsets without a record."""
    firsts, ends = bounds
    found: Counter[TopicPartition] = Counter()
    keyed = 0
    while starts:
        sample = _sample(read, starts, ends, count)
        keyed += sample.keyed
        # A partition that is read again gives the records of before once more.
        found |= sample.read
        starts = {
            place: further_back(start, ends[place], firsts.get(place, 0))
            for place, start in starts.items()
            if not keyed and found[place] < count and firsts.get(place, 0) < start and ends[place] - start < _MOST_READ
        }
    return _Sample(found, keyed)


def _sample(read: Read, starts: Offsets, ends: Offsets, count: int) -> _Sample:
    """Return a sample between these offsets, of so many records of each partition at least where it has them."""
    found: Counter[TopicPartition] = Counter()
    keyed = 0
    for batch in read(starts, until=ends):
        for message in batch:
            found[message.topic(), message.partition()] += 1
            keyed += message.key() is not None
        if all(found[place] >= count for place in starts) or found.total() >= _MOST_READ:
            break
    return _Sample(found, keyed)
