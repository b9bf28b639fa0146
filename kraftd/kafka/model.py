"""What can go wrong between kraftd and the brokers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeAlias, TypeVar

from kraftd.errors import KraftdError


class KafkaAccessError(KraftdError):
    """Base of the Kafka door's errors.

    Attributes:
        retriable: Whether the same call can succeed later.
    """

    code = "kafka_failed"
    retriable: ClassVar[bool] = False


class KafkaUnreachableError(KafkaAccessError):
    """No broker that was asked answered in time."""

    code = "kafka_unreachable"
    retriable = True


class KafkaUnavailableError(KafkaAccessError):
    """A broker answered that it cannot serve the request for now; details has Kafka's name of the error."""

    code = "kafka_unavailable"
    retriable = True


class KafkaRejectedError(KafkaAccessError):
    """A broker refused the request for good; details has Kafka's name of the error."""

    code = "kafka_rejected"


K = TypeVar("K")
V = TypeVar("V")

TopicPartition: TypeAlias = tuple[str, int]
"""A topic's name and a partition's index."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one broker, topic, partition or group has no value.

    Attributes:
        error: The error's name as kafka-python spells it, as NOT_COORDINATOR; CONNECTION_FAILED and TIMED_OUT where no
            answer came.
        text: The cause in words, without "cannot" and without a full stop.
        retriable: Whether the same question can succeed later.
    """

    error: str
    text: str
    retriable: bool


@dataclass(frozen=True, slots=True)
class Partial(Generic[K, V]):
    """Values by key, and the reason for each key that has none or only a part.

    Attributes:
        values: What was answered.
        failures: What was not. A key stands in both where its value is incomplete.
    """

    values: Mapping[K, V] = field(default_factory=dict)
    failures: Mapping[K, Failure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BrokerEndpoint:
    """A broker that the cluster counts as alive, and where clients reach it."""

    node_id: int
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Voter:
    """A controller, or an observer, as the quorum's leader sees it.

    Attributes:
        log_end_offset: Next offset of its metadata log; None before its first fetch.
        lag_records: Records behind the leader.
        last_caught_up_age_s: Seconds since it had everything that the leader had; 0 for the leader.
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
        """Return what mappings of offsets are keyed by."""
        return self.topic, self.partition


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic as a broker's metadata has it, partitions in order of index.

    Attributes:
        topic_id: Another one when a topic is created again under the same name; None on brokers that do not say.
    """

    name: str
    internal: bool
    partitions: tuple[Partition, ...]
    topic_id: str | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """Where an existing topic is not as declared; kraftd does not change it."""

    setting: str
    declared: str
    actual: str


@dataclass(frozen=True, slots=True)
class TopicOutcome:
    """What became of a declared topic.

    Attributes:
        created: Whether this call created it.
        differences: Where a topic that was there before differs from its declaration.
        failure: Why it cannot be used yet; None where every partition has a leader and every broker knows it.
    """

    name: str
    created: bool
    differences: tuple[Difference, ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a group; assigned is None where it could not be read."""

    member_id: str
    client_id: str
    host: str
    assigned: tuple[TopicPartition, ...] | None


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group as its coordinator describes it.

    Attributes:
        state: Kafka's word, as Stable or Empty.
        protocol_type: As consumer or connect; empty for a group that only commits.
        kind: classic, consumer (KIP-848) or share; None on brokers that do not say.
        coordinator: Node id of the broker that listed the group.
        members: None where they could not be read.
    """

    name: str
    state: str | None
    protocol_type: str
    kind: str | None
    coordinator: int
    members: tuple[Member, ...] | None


@dataclass(frozen=True, slots=True)
class Groups:
    """Every group that an answering broker coordinates.

    Attributes:
        groups: By name.
        failures: By name: a group that is listed but could not be described.
        broker_failures: By node id: a broker that did not list its groups, so that any group may be missing.
    """

    groups: Mapping[str, GroupState]
    failures: Mapping[str, Failure]
    broker_failures: Mapping[int, Failure]


@dataclass(frozen=True, slots=True)
class ClusterMetadata:
    """One broker's view of the cluster: the live brokers, and topics with the reason for each that has no state."""

    brokers: tuple[BrokerEndpoint, ...]
    topics: Partial[str, TopicState]


@dataclass(frozen=True, slots=True)
class LogDir:
    """One log directory of a broker.

    Attributes:
        replica_bytes: The size of each replica in it.
        total_bytes: Of its file system; None on brokers that do not say (before Kafka 3.3).
        usable_bytes: Free for the broker on that file system.
        failure: Why the broker cannot use it; its other values then mean nothing.
    """

    path: str
    replica_bytes: Mapping[TopicPartition, int]
    total_bytes: int | None
    usable_bytes: int | None
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A record's way through a broker: until all replicas in sync had it, and until it was read back."""

    write_s: float
    read_s: float
