"""What Kafka says of itself, frozen: each value, or the reason why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kraftd.broker.model import (
    BrokerEndpoint,
    Failure,
    GroupState,
    LogDir,
    Partial,
    Quorum,
    RoundTrip,
    TopicPartition,
    TopicState,
)
from kraftd.watch.burrow import Status
from kraftd.watch.lag import GroupLag
from kraftd.watch.time_lag import Age


@dataclass(frozen=True, slots=True)
class Offsets:
    """The offsets of every partition, each with the reason where a partition has none.

    Attributes:
        ends: Next offset that will be assigned to a record that consumers may read.
        starts: First offset that retention has left; up to a minute old.
        last_stable: Where read_committed consumers wait while a transaction is open; up to a minute old.
        taken_at_s: When the ends were read, in seconds since the Unix epoch.
    """

    taken_at_s: float
    ends: Partial[TopicPartition, int] = field(default_factory=Partial)
    starts: Partial[TopicPartition, int] = field(default_factory=Partial)
    last_stable: Partial[TopicPartition, int] = field(default_factory=Partial)


@dataclass(frozen=True, slots=True)
class GroupPace:
    """Whether a group keeps up, by Burrow's rules.

    Attributes:
        status: That of its worst partition; None while too little was seen.
        partitions: Each partition whose status is known.
    """

    status: Status | None
    partitions: Mapping[TopicPartition, Status]


@dataclass(frozen=True, slots=True)
class Missing:
    """Why single items have no value or only a part of one; what failed as a whole is in KafkaView.failures.

    Partitions without offsets have their reasons in Offsets, brokers without log directories or canary beside those.

    Attributes:
        topics: By name: listed, but without a state.
        groups: By name: listed, but not described, so that state and members may be old or unknown.
        commits: By group: some or all of its commits could not be read.
        coordinators: By node id: a broker that did not list its groups, so that any of them may be missing.
    """

    topics: Mapping[str, Failure] = field(default_factory=dict)
    groups: Mapping[str, Failure] = field(default_factory=dict)
    commits: Mapping[str, Failure] = field(default_factory=dict)
    coordinators: Mapping[int, Failure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LogDirs:
    """The log directories of brokers, by node id."""

    taken_at_s: float
    brokers: Partial[int, tuple[LogDir, ...]] = field(default_factory=Partial)


@dataclass(frozen=True, slots=True)
class Canary:
    """How the last record went through each broker, by node id; a broker that is no leader of its own has a failure."""

    taken_at_s: float
    brokers: Partial[int, RoundTrip] = field(default_factory=Partial)


@dataclass(frozen=True, slots=True)
class CollectorRun:
    """How one part of the collection goes.

    Attributes:
        up: Whether it succeeded the last time.
        duration_s: How long it took the last time.
        last_success_s: When it last succeeded, in seconds since the Unix epoch; None before the first time.
        errors: How often it failed since the daemon began, by error code.
    """

    up: bool
    duration_s: float
    last_success_s: float | None
    errors: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many topics and groups the allow and deny lists leave out, and how many partitions the limits do."""

    topics: int = 0
    groups: int = 0
    partitions: int = 0


@dataclass(frozen=True, slots=True)
class KafkaView:
    """What Kafka says of itself; each part is None until it was read, and keeps its reason when it fails.

    Attributes:
        brokers: Those that the cluster counts as alive, which means unfenced.
        waits: Time lag: by group and partition, how long the oldest unread record waits.
        paces: By group.
        failures: By the name of the part, why it could not be read the last time.
        runs: By the name of the part.
        requests: How many requests the daemon sent, by Kafka's name of the API.
        dropped: What the settings leave out.
    """

    quorum: Quorum | None = None
    topics: tuple[TopicState, ...] | None = None
    groups: Mapping[str, GroupState] | None = None
    lags: Mapping[str, GroupLag] | None = None
    lags_taken_at_s: float | None = None
    failures: Mapping[str, str] = field(default_factory=dict)
    brokers: tuple[BrokerEndpoint, ...] | None = None
    offsets: Offsets | None = None
    waits: Mapping[str, Mapping[TopicPartition, Age]] | None = None
    paces: Mapping[str, GroupPace] | None = None
    log_dirs: LogDirs | None = None
    canary: Canary | None = None
    missing: Missing = Missing()
    runs: Mapping[str, CollectorRun] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)
    dropped: Dropped = Dropped()
