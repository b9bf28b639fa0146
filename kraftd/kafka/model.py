"""Kafka's responses and records as plain data, and the errors of Kafka access. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeAlias, TypeVar

from kraftd.errors import KraftdError

K = TypeVar("K")
V = TypeVar("V")

NO_TIMESTAMP = 0
CREATE_TIME = 1
LOG_APPEND_TIME = 2

HeaderPairs = Sequence[tuple[str, bytes | None]]
"""The headers of a record in their order; names may repeat."""


class KafkaAccessError(KraftdError):
    """Base of the errors of Kafka access.

    Attributes:
        retriable: Whether the same call can succeed later.
    """

    code = "kafka_failed"
    retriable: ClassVar[bool] = False


class KafkaUnreachableError(KafkaAccessError):
    """No broker answered in time."""

    code = "kafka_unreachable"
    retriable = True


class KafkaUnavailableError(KafkaAccessError):
    """A broker cannot serve the request for now; details has Kafka's name of the error."""

    code = "kafka_unavailable"
    retriable = True


class KafkaRejectedError(KafkaAccessError):
    """A broker refused the request permanently; details has Kafka's name of the error."""

    code = "kafka_rejected"


TopicPartition: TypeAlias = tuple[str, int]
"""A topic's name and a partition's index."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The reason why a broker, topic, partition or group has no value.

    Attributes:
        error: Kafka's name of the error, such as NOT_COORDINATOR; CONNECTION_FAILED or TIMED_OUT without a response.
        text: The cause for people, without "cannot" and without a full stop.
        retriable: Whether the same request can succeed later.
    """

    error: str
    text: str
    retriable: bool


@dataclass(frozen=True, slots=True)
class Partial(Generic[K, V]):
    """Values by key, and the reason for each key that has none or only a part.

    Attributes:
        values: The values.
        failures: The reasons; a key with an incomplete value is in both.
    """

    values: Mapping[K, V] = field(default_factory=dict)
    failures: Mapping[K, Failure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BrokerEndpoint:
    """A broker that the cluster counts as alive, with its address for clients."""

    node_id: int
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Voter:
    """A voter or an observer of the quorum, as its leader reports it.

    Attributes:
        log_end_offset: The next offset of its metadata log; None before its first fetch.
        lag_records: Records behind the leader.
        last_caught_up_age_s: Seconds since it was last caught up with the leader; 0 for the leader.
    """

    node_id: int
    log_end_offset: int | None
    lag_records: int | None
    last_caught_up_age_s: float | None


@dataclass(frozen=True, slots=True)
class Quorum:
    """The controllers' state, from DescribeQuorum; leader_id is None while there is no leader."""

    leader_id: int | None
    leader_epoch: int | None
    high_watermark: int | None
    voters: tuple[Voter, ...]
    observers: tuple[Voter, ...]


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition; leader is None while it has none."""

    topic: str
    partition: int
    leader: int | None
    replicas: tuple[int, ...]
    in_sync_replicas: tuple[int, ...]

    @property
    def key(self) -> TopicPartition:
        """The key of this partition in mappings of offsets."""
        return self.topic, self.partition


@dataclass(frozen=True, slots=True)
class Batch:
    """The header of a record batch.

    Attributes:
        records: How many it holds; compaction may have left fewer than its offsets.
        is_control: It holds the marker that ends a transaction, and no record for consumers.
        size_bytes: Its length in the log.
    """

    base_offset: int
    last_offset: int
    records: int
    producer_id: int
    is_transactional: bool
    is_control: bool
    size_bytes: int


@dataclass(frozen=True, slots=True)
class AbortedTransaction:
    """A transaction whose records, from an offset to its marker, no read_committed consumer is given."""

    producer_id: int
    first_offset: int


@dataclass(frozen=True, slots=True)
class FetchedBatches:
    """The batches from an offset on, as far as they were sent, and the last stable offset of then."""

    batches: tuple[Batch, ...]
    aborted: tuple[AbortedTransaction, ...]
    stable: int


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A transaction that was neither committed nor aborted; what is not known is None.

    Attributes:
        start_offset: Its first record in the partition: read_committed consumers wait there.
        written_at_s: The newest timestamp that its producer wrote to the partition, in seconds since the Unix epoch.
        began_at_s: When it began.
        timeout_s: After how long the coordinator aborts it.
    """

    producer_id: int
    start_offset: int
    written_at_s: float | None
    transactional_id: str | None = None
    began_at_s: float | None = None
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic in a broker's metadata, its partitions in order of index.

    Attributes:
        topic_id: The id, which changes when a topic is recreated under the same name; None if the broker reports none.
    """

    name: str
    internal: bool
    partitions: tuple[Partition, ...]
    topic_id: str | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of an existing topic from its declaration; kraftd does not change the topic."""

    setting: str
    declared: str
    actual: str


@dataclass(frozen=True, slots=True)
class TopicOutcome:
    """The outcome of the creation of a declared topic.

    Attributes:
        created: Whether this call created it.
        differences: The differences of an existing topic from its declaration.
        failure: Why it is not usable yet; None if every partition has a leader that every broker knows.
    """

    name: str
    created: bool
    differences: tuple[Difference, ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a group; assigned is None if it could not be read."""

    member_id: str
    client_id: str
    host: str
    assigned: tuple[TopicPartition, ...] | None


SHARE = "share"
STREAMS = "streams"


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group, as described by its coordinator.

    Attributes:
        state: Kafka's name, such as Stable or Empty.
        protocol_type: Such as consumer or connect; empty for a group that only commits.
        kind: classic, consumer (KIP-848), share or streams; None if the broker reports none.
        coordinator: The node id of the broker that listed the group.
        members: None if they could not be read.
    """

    name: str
    state: str | None
    protocol_type: str
    kind: str | None
    coordinator: int
    members: tuple[Member, ...] | None

    @property
    def is_share(self) -> bool:
        """Whether it is a share group (KIP-932), which commits no offsets: Kafka keeps what was taken per record."""
        return self.kind == SHARE


@dataclass(frozen=True, slots=True)
class Groups:
    """Every group that an answering broker coordinates.

    Attributes:
        groups: By name.
        failures: By name, for a group that is listed but could not be described.
        broker_failures: By node id, for a broker that did not list its groups, so that any group may be missing.
    """

    groups: Mapping[str, GroupState]
    failures: Mapping[str, Failure]
    broker_failures: Mapping[int, Failure]


@dataclass(frozen=True, slots=True)
class ClusterMetadata:
    """One broker's view of the cluster: the live brokers, and topics with the reason for each without a state."""

    brokers: tuple[BrokerEndpoint, ...]
    topics: Partial[str, TopicState]

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """The partitions of all topics with a state."""
        return tuple(each for topic in self.topics.values.values() for each in topic.partitions)


@dataclass(frozen=True, slots=True)
class LogDir:
    """A log directory of a broker.

    Attributes:
        replica_bytes: The size of each replica in it.
        total_bytes: The size of its file system; None before Kafka 3.3.
        usable_bytes: The space available to the broker on that file system.
        failure: Why the broker cannot use it; the other values are then meaningless.
    """

    path: str
    replica_bytes: Mapping[TopicPartition, int]
    total_bytes: int | None
    usable_bytes: int | None
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """The durations of a record's write to all in-sync replicas and of its read, through one broker."""

    write_s: float
    read_s: float


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets of a partition that cannot be read, because its log is damaged there.

    Attributes:
        begin: The first of them.
        end: The offset after the last one.
        reason: Why they cannot be read.
        is_end_known: False where nothing after them can be read either, up to the end of the log.
    """

    topic: str
    partition: int
    begin: int
    end: int
    reason: str
    is_end_known: bool = True

    def __str__(self) -> str:
        """Return the sentence about it."""
        until = f"to {self.end - 1}" if self.is_end_known else f"on, up to the end of the log at {self.end}"
        return f"{self.topic}-{self.partition} cannot be read from offset {self.begin} {until}: {self.reason}"


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
