"""The view of Kafka's state: each value, or the reason why there is none."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

from kraftd.health.lag.lag import GroupLag
from kraftd.health.lag.status import LagStatus
from kraftd.health.lag.time_lag import AgeBounds
from kraftd.kafka.model import (
    BrokerEndpoint,
    Failure,
    GroupState,
    LogDir,
    OpenTransaction,
    Partial,
    Quorum,
    RoundTrip,
    TopicPartition,
    TopicState,
)

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of a canary's durations: from a local round trip to the time limit."""


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
class GroupStatus:
    """Whether a group keeps up, by Burrow's rules.

    Attributes:
        status: That of its worst partition; None while too little was seen.
        partitions: Each partition whose status is known.
    """

    status: LagStatus | None
    partitions: Mapping[TopicPartition, LagStatus]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The items that could not be read, or only in part; collectors that failed are in KafkaView.failures.

    Partitions without offsets have their reasons in Offsets, brokers without log directories or canary beside those.

    Attributes:
        topics: By name: listed, but without a state.
        groups: By name: listed, but not described, so that state and members may be old or unknown.
        commits: By group: some or all of its commits could not be read.
        coordinators: By node id: the broker did not list its groups, so that any of them may be missing.
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
class Histogram:
    """Durations, counted in buckets.

    Attributes:
        counts: How many fall below each of BUCKETS_S and not below the one before it; last, those beyond all.
        sum_s: All of them together.
    """

    counts: tuple[int, ...] = (0,) * (len(BUCKETS_S) + 1)
    sum_s: float = 0.0

    def with_one(self, duration_s: float) -> "Histogram":
        """Return the histogram with one more duration."""
        place = bisect_left(BUCKETS_S, duration_s)
        counts = (*self.counts[:place], self.counts[place] + 1, *self.counts[place + 1 :])
        return Histogram(counts, self.sum_s + duration_s)


@dataclass(frozen=True, slots=True)
class Canary:
    """The results of canary records, by broker.

    Attributes:
        taken_at_s: When the newest was sent, in seconds since the Unix epoch.
        brokers: The last round trip, by node id; a broker through which none was sent lately has a failure.
        sent_at_s: When that was sent, by node id, whether it came back or not; absent where none was sent.
        writes: By node id, how long writing took since the daemon began.
        reads: By node id, how long reading back took.
        failures: How many did not come back, by node id and error.
    """

    taken_at_s: float
    brokers: Partial[int, RoundTrip] = field(default_factory=Partial)
    sent_at_s: Mapping[int, float] = field(default_factory=dict)
    writes: Mapping[int, Histogram] = field(default_factory=dict)
    reads: Mapping[int, Histogram] = field(default_factory=dict)
    failures: Mapping[tuple[int, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CollectorRun:
    """The last run of one collector.

    Attributes:
        up: Whether it succeeded.
        duration_s: How long it took.
        last_success_s: When it last succeeded, in seconds since the Unix epoch; None before the first time.
        errors: How often it failed since the daemon began, by error code.
    """

    up: bool
    duration_s: float
    last_success_s: float | None
    errors: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Excluded:
    """The topics and groups that the allow and deny lists and the limits exclude.

    Attributes:
        topics: Names of topics that are not measured.
        groups: How many groups are not measured.
        undetailed: Groups of which only totals are kept.
    """

    topics: frozenset[str] = frozenset()
    groups: int = 0
    undetailed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class KafkaView:
    """The view of Kafka's state; each part is None until it was read, or has its reason in ``failures``.

    Attributes:
        brokers: The brokers that the cluster counts as alive (unfenced).
        time_lags: Time lag: by group and partition, how long the oldest unread record waits.
        statuses: Whether each group keeps up, by group.
        open_transactions: By partition, the transaction that holds its last stable offset back for some time.
        failures: By the name of the part, why it could not be read the last time.
        runs: By the name of the part.
        requests: How many requests the daemon sent, by Kafka's name of the API.
        excluded: What the settings exclude.
    """

    quorum: Quorum | None = None
    topics: tuple[TopicState, ...] | None = None
    groups: Mapping[str, GroupState] | None = None
    lags: Mapping[str, GroupLag] | None = None
    lags_taken_at_s: float | None = None
    failures: Mapping[str, str] = field(default_factory=dict)
    brokers: tuple[BrokerEndpoint, ...] | None = None
    offsets: Offsets | None = None
    time_lags: Mapping[str, Mapping[TopicPartition, AgeBounds]] | None = None
    statuses: Mapping[str, GroupStatus] | None = None
    open_transactions: Mapping[TopicPartition, OpenTransaction] = field(default_factory=dict)
    log_dirs: LogDirs | None = None
    canary: Canary | None = None
    unreadable: Unreadable = Unreadable()
    runs: Mapping[str, CollectorRun] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)
    excluded: Excluded = Excluded()
