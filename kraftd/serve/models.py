"""The shapes of the daemon's answers, for its OpenAPI description. Tests hold real answers against them."""

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from kraftd.spec.plan import Kind
from kraftd.watch.burrow import Status as Burrow
from kraftd.watch.snapshot import ServiceState, Status


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NoParameters(_Model):
    """The query of a route that takes none."""


NoQuery = Annotated[NoParameters, Query()]


class ReadyQuery(_Model):
    """The query of ``/readyz``."""

    fresh: Annotated[Literal["1"] | None, Field(description="Answer from a look that begins now.")] = None


class HealthQuery(_Model):
    """The query of ``/health``."""

    strict: Annotated[bool, Field(description="Answer 503 also when the cluster is degraded or unsupervised.")] = False


class Problem(_Model):
    """What went wrong, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str


class Live(_Model):
    """Whether the daemon's loop looks at the cluster."""

    live: bool
    age_s: Annotated[float | None, Field(description="Since the last look; null before the first.")]


class Ready(_Model):
    """Whether the cluster can serve."""

    ready: bool
    reasons: list[str]


class NothingSeen(_Model):
    """The health of a cluster that was not looked at yet."""

    ok: bool
    status: Status
    reasons: list[str]


class LastExit(_Model):
    """How a program's last run ended; one of status and signal is null."""

    at: str
    status: int | None
    signal: str | None
    cause: str | None


class Program(_Model):
    """One program of the cluster."""

    name: str
    kind: Kind
    node_id: int | None
    pid: int | None
    process_state: str
    service_state: ServiceState
    ready: bool
    restarts: int
    last_exit: LastExit | None
    reason: Annotated[str | None, Field(description="Why it does not serve; null when it does.")]
    uptime_s: float | None
    listeners: list[str]
    jmx_port: int | None
    heap_bytes: int | None
    log: str


class Voter(_Model):
    """A controller as the quorum's leader sees it."""

    node_id: int
    log_end_offset: int | None
    lag_records: int | None
    last_caught_up_age_s: float | None


class Quorum(_Model):
    """The controllers; leader_id is null while they have no leader."""

    leader_id: int | None
    leader_epoch: int | None
    high_watermark: int | None
    voters: list[Voter]
    observers: list[Voter]


class Usage(_Model):
    """What a program's process takes; null while it does not run, or was not looked at."""

    name: str
    service_state: ServiceState
    pid: int | None
    cpu_s: float | None
    cpu_cores: Annotated[float | None, Field(description="Cores that it uses now.")]
    resident_bytes: int | None
    open_files: int | None
    threads: int | None


class Disk(_Model):
    """One log directory; the numbers are null where the broker cannot use it."""

    path: str
    used_bytes: int | None
    usable_bytes: int | None
    total_bytes: int | None
    reason: str | None


class RoundTrip(_Model):
    """The canary's record through a broker: until all replicas in sync had it, and until it was read back."""

    write_s: float
    read_s: float


class Broker(_Model):
    """One configured broker, whether it runs or not."""

    node_id: int
    name: str
    address: str
    up: Annotated[bool, Field(description="It answers on its client port.")]
    reason: str | None
    unfenced: Annotated[bool | None, Field(description="The cluster counts it as alive.")]
    answer_s: Annotated[float | None, Field(description="Until it answered ApiVersions.")]
    round_trip: RoundTrip | None
    canary_age_s: Annotated[float | None, Field(description="Since that was sent, whether it came back or not.")]
    leads: Annotated[int | None, Field(description="Partitions that it leads.")]
    in_sync: Annotated[int | None, Field(description="Replicas that it holds in sync.")]
    replicas: Annotated[int | None, Field(description="Replicas that it holds.")]
    disks: list[Disk] | None


class Topic(_Model):
    """One topic, summed up."""

    topic: str
    internal: bool
    partitions: int
    without_leader: int
    under_replicated: int
    offsets: Annotated[int | None, Field(description="Between start and end, over all partitions.")]
    produced_per_s: float | None
    bytes: Annotated[int | None, Field(description="Of all replicas on disk.")]


class TimeLag(_Model):
    """How long the oldest unread record waits: no less and no more than the bounds, which are what is known."""

    at_least_s: float
    at_most_s: float | None
    estimate_s: float


Pace = Annotated[Burrow | None, Field(description="Whether the group keeps up, by Burrow's rules.")]


class PartitionLag(_Model):
    """A group on one partition."""

    topic: str
    partition: int
    committed: int
    end: int | None
    start: int | None
    lag: int | None
    available_lag: int | None
    retention_margin: int | None
    ahead_of_end: bool
    time_lag: TimeLag | None
    pace: Pace
    leader: int | None
    replicas: list[int]
    reason: Annotated[str | None, Field(description="Why its lag is not known.")]


class Group(_Model):
    """A consumer group; what is not known is null."""

    group: str
    state: str | None
    coordinator: int
    members: int | None
    lag: Annotated[int | None, Field(description="Null where the lag of one partition is not known.")]
    known_lag: Annotated[int | None, Field(description="At least so much.")]
    time_lag: TimeLag | None
    pace: Pace
    committed_partitions: int | None
    uncommitted_partitions: int | None
    reason: Annotated[str | None, Field(description="Why its lag is not known.")]
    partitions: Annotated[list[PartitionLag] | None, Field(description="Null where the settings only sum it up.")]


class Missing(_Model):
    """One thing without a value, or with a part of one, and why."""

    what: str
    name: str
    error: str
    text: str
    retriable: bool


class Dropped(_Model):
    """What the settings leave out."""

    topics: int
    groups: int
    undetailed_groups: int


class Collector(_Model):
    """How one part of the collection goes."""

    up: bool
    duration_s: float
    last_success_age_s: float | None
    errors: dict[str, int]


class Health(_Model):
    """Everything that the daemon last saw; what could not be read is null, with its reason under ``failures``."""

    ok: bool
    schema_version: int
    cluster: str
    status: Status
    ready: bool
    reasons: list[str]
    source: str
    generated_at: str
    age_s: float
    state_dir: str
    bootstrap_servers: str
    kafka_version: str
    nodes: Annotated[list[Program], Field(description="Every program: brokers, controllers, apps and the daemon.")]
    programs: Annotated[list[Usage], Field(description="What each of them takes.")]
    brokers: list[Broker]
    produced_per_s: Annotated[float | None, Field(description="Growth of all end offsets.")]
    quorum: Quorum | None
    topics: list[Topic] | None
    groups: list[Group] | None
    groups_age_s: float | None
    failures: Annotated[dict[str, str], Field(description="Why a whole part is null.")]
    missing: Annotated[list[Missing], Field(description="Single things without a value; at most 200 of them.")]
    missing_total: int
    dropped: Dropped
    collectors: dict[str, Collector]


class Target(_Model):
    """One target of Prometheus' HTTP service discovery."""

    targets: list[str]
    labels: dict[str, str]


Responses = dict[int | str, dict[str, Any]]


def problems(**details: str) -> Responses:
    """Return the descriptions of the problems of a route: ``status_404="No such broker."``; 421 is every route's."""
    described = {**details, "status_421": "This name is not served here."}
    return {
        int(name.removeprefix("status_")): {
            "description": text,
            "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
        }
        for name, text in described.items()
    }
