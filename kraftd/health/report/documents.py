"""The JSON documents of status, health, lag and topics, as dataclasses. Pure, and free of the web framework.

Each document has its shape in this module only: the daemon encodes these values, OpenAPI describes them, the commands
decode them, and the status page, ``top``, ``why`` and ``explain`` read them. An unknown value is None.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kraftd.health.lag.lag import PartitionLag
from kraftd.health.lag.status import LagStatus
from kraftd.health.programs.alerts import Alerts
from kraftd.health.programs.backups import ScheduledBackup
from kraftd.health.programs.disks import DiskView
from kraftd.health.programs.ladder import Rung
from kraftd.health.programs.operations import Operation
from kraftd.health.programs.state import ProgramView, ServiceState, Status
from kraftd.kafka.model import Quorum, RoundTrip

SCHEMA_VERSION = 1

DESCRIBED: Mapping[str, Any] = {"use_attribute_docstrings": True}
"""Has OpenAPI take the text below a field as its description."""


@dataclass(frozen=True, slots=True)
class StatusDocument:
    """The status of cluster and programs; ``source`` is ``daemon``, or ``command`` where the daemon did not answer."""

    ok: bool
    schema_version: int
    cluster: str
    status: Status
    ready: bool
    reasons: tuple[str, ...]
    source: str
    generated_at: str
    state_dir: str
    bootstrap_servers: str
    kafka_version: str
    nodes: tuple[ProgramView, ...]
    rung: Rung | None = field(default=None, kw_only=True)
    operations: tuple[Operation, ...] = field(default=(), kw_only=True)
    """What takes long: running, then resumable, then the last that are done, the newest first."""


@dataclass(frozen=True, slots=True)
class ProgramUsage:
    """The resources that a program's process uses; null while it does not run, or was not measured."""

    __pydantic_config__ = DESCRIBED

    name: str
    service_state: ServiceState
    pid: int | None
    cpu_s: float | None
    cpu_cores: float | None
    """Cores that it uses now."""
    resident_bytes: int | None
    open_files: int | None
    threads: int | None


@dataclass(frozen=True, slots=True)
class Disk:
    """One log directory; its numbers are null where the broker cannot use it, for a reason."""

    path: str
    used_bytes: int | None
    usable_bytes: int | None
    total_bytes: int | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class BrokerView:
    """One configured broker, whether it runs or not, as its process and the cluster's metadata have it together."""

    __pydantic_config__ = DESCRIBED

    node_id: int
    name: str
    address: str
    up: bool
    """It answers on its client port."""
    reason: str | None
    """Why it does not; null when it does."""
    unfenced: bool | None
    """The cluster counts it as alive; null while no broker can be asked."""
    answer_s: float | None
    """From connecting to its ApiVersions response."""
    round_trip: RoundTrip | None
    """Of the canary's last record through it."""
    leads: int | None
    """Partitions that it leads; this and the next two are null while the topics are not known."""
    in_sync: int | None
    """Replicas that it holds in sync."""
    replicas: int | None
    """Replicas that it holds."""
    disks: tuple[Disk, ...] | None
    """Null until the broker has reported them."""
    canary_age_s: float | None
    """Since the canary's record was sent, whether it came back or not."""


@dataclass(frozen=True, slots=True)
class TopicSummary:
    """One topic, summed up."""

    __pydantic_config__ = DESCRIBED

    topic: str
    internal: bool
    partitions: int
    without_leader: int
    under_replicated: int
    offsets: int | None
    """Between start and end, over all partitions; of a compacted topic more than there are records."""
    produced_per_s: float | None
    bytes: int | None
    """Of all replicas on disk."""


@dataclass(frozen=True, slots=True)
class TimeLag:
    """The bounds of how long the oldest unread record waits."""

    at_least_s: float
    at_most_s: float | None
    estimate_s: float


@dataclass(frozen=True, slots=True)
class HeldBack:
    """An open transaction: no read_committed consumer gets records from its first one on, until it ends."""

    __pydantic_config__ = DESCRIBED

    offset: int
    """Its first record in the partition."""
    producer_id: int
    transactional_id: str | None
    age_s: float | None
    """Since it began; null where its coordinator did not tell."""
    last_record_age_s: float | None
    """Since its producer last wrote to the partition."""
    timeout_s: float | None
    """After how long its coordinator aborts it."""


@dataclass(frozen=True, slots=True)
class GroupPartition(PartitionLag):
    """A group on one partition of a topic that it reads; ``committed`` is null where it has not committed."""

    __pydantic_config__ = DESCRIBED

    time_lag: TimeLag | None
    status: LagStatus | None
    """Whether the group keeps up, by Burrow's rules."""
    leader: int | None
    replicas: tuple[int, ...]
    reason: str | None
    """Why its lag is not known."""
    held_back: HeldBack | None
    """By an open transaction; null while none is known."""


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """A consumer group; what is not known is null."""

    __pydantic_config__ = DESCRIBED

    group: str
    state: str | None
    coordinator: int
    members: int | None
    lag: int | None
    """Records that it can still read, at most; null where the lag of one partition is not known."""
    known_lag: int | None
    """The sum of the known lags: a lower bound."""
    time_lag: TimeLag | None
    status: LagStatus | None
    """Whether the group keeps up, by Burrow's rules."""
    committed_partitions: int | None
    uncommitted_partitions: int | None
    reason: str | None
    """Why its lag is not known."""
    partitions: tuple[GroupPartition, ...] | None
    """Null where only its totals are kept."""


@dataclass(frozen=True, slots=True)
class MissingValue:
    """An item that could not be read, or only in part, and why."""

    what: str
    name: str
    error: str
    text: str
    retriable: bool


@dataclass(frozen=True, slots=True)
class DroppedCounts:
    """How many topics and groups the settings exclude, and of how many groups only totals are kept."""

    topics: int
    groups: int
    undetailed_groups: int


@dataclass(frozen=True, slots=True)
class CollectorSummary:
    """The last run of one collector; errors are counted by their code."""

    up: bool
    duration_s: float
    last_success_age_s: float | None
    errors: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class HealthDocument(StatusDocument):
    """The cluster as the daemon last saw it; an unreadable part is null, with its reason under ``failures``."""

    __pydantic_config__ = DESCRIBED

    age_s: float
    programs: tuple[ProgramUsage, ...]
    """The resources that each of the nodes uses, in their order."""
    brokers: tuple[BrokerView, ...]
    produced_per_s: float | None
    """Growth of all end offsets."""
    quorum: Quorum | None
    topics: tuple[TopicSummary, ...] | None
    groups: tuple[GroupSummary, ...] | None
    groups_age_s: float | None
    failures: Mapping[str, str]
    """Why a whole part is null."""
    missing: tuple[MissingValue, ...]
    """Items that could not be read; at most 200 of them."""
    missing_total: int
    dropped: DroppedCounts
    collectors: Mapping[str, CollectorSummary]
    alerts: Alerts | None = None
    """The alerts of the Prometheus that kraftd runs; null where none runs, or it was not asked yet."""
    file_systems: tuple[DiskView, ...] = ()
    """Those that hold the cluster, as this machine sees them."""
    backup: ScheduledBackup | None = None
    """The scheduled backups; null where none are."""


@dataclass(frozen=True, slots=True)
class NothingSeen:
    """The health of a cluster that was not observed yet."""

    ok: bool
    status: Status
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LagDocument:
    """What ``kraftd lag --json`` prints."""

    ok: bool
    schema_version: int
    age_s: float | None
    groups: tuple[GroupSummary, ...]


@dataclass(frozen=True, slots=True)
class TopicsDocument:
    """What ``kraftd topics --json`` prints."""

    ok: bool
    schema_version: int
    age_s: float
    topics: tuple[TopicSummary, ...]


def age_s(at_s: float | None, now_s: float) -> float | None:
    """Return the age of a moment, never negative; None for no moment."""
    return None if at_s is None else round(max(0.0, now_s - at_s), 3)
