"""Records in columns, and topics, partitions and commits as plain data."""

from collections.abc import Sequence
from dataclasses import dataclass, field

NO_TIMESTAMP = 0
CREATE_TIME = 1
LOG_APPEND_TIME = 2

HeaderPairs = Sequence[tuple[str, bytes | None]]
"""The headers of a record in their order; names may repeat."""


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one partition in the order of their offsets, a column for each property.

    Attributes:
        offsets: Rising, with gaps where records were compacted or aborted.
        timestamps_ms: Milliseconds since the Unix epoch; -1 where the type is NO_TIMESTAMP.
        timestamp_types: NO_TIMESTAMP, CREATE_TIME or LOG_APPEND_TIME.
        keys: None for no key.
        values: None is a tombstone.
        headers: By index of the record, for those that have any.
    """

    offsets: Sequence[int]
    timestamps_ms: Sequence[int]
    timestamp_types: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: dict[int, HeaderPairs] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def size_bytes(self) -> int:
        """The bytes of keys and values."""
        return sum(map(len, filter(None, self.values))) + sum(map(len, filter(None, self.keys)))

    def part(self, begin: int, end: int) -> "Records":
        """Return the records with these indices, the last excluded."""
        return Records(
            self.offsets[begin:end],
            self.timestamps_ms[begin:end],
            self.timestamp_types[begin:end],
            self.keys[begin:end],
            self.values[begin:end],
            {index - begin: pairs for index, pairs in self.headers.items() if begin <= index < end},
        )


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is in a cluster.

    Attributes:
        topic_id: Another one after the topic was deleted and made again.
        config: The settings that were made for this topic; none of the defaults.
    """

    name: str
    topic_id: str
    partitions: int
    replication_factor: int
    config: dict[str, str]


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """The offsets of a partition that can be read.

    Attributes:
        begin: The first offset.
        end: The offset after the last one: the high watermark, or the last stable offset.
    """

    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Commit:
    """A group's committed offset in one partition."""

    topic: str
    partition: int
    offset: int
    metadata: str = ""


@dataclass(frozen=True, slots=True)
class GroupCommits:
    """A group's committed offsets."""

    group: str
    commits: tuple[Commit, ...]
