"""One look at a cluster, frozen: what the daemon serves and what status prints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from kraftd.spec.program import Kind
from kraftd.watch.kafka_view import KafkaView


class ServiceState(StrEnum):
    """Whether a program serves, beyond whether its process runs."""

    READY = "READY"
    STARTING = "STARTING"
    UNREADY = "UNREADY"
    DOWN = "DOWN"
    GIVEN_UP = "GIVEN_UP"
    STOPPED = "STOPPED"


class Status(StrEnum):
    """The cluster in a word."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"
    UNSUPERVISED = "unsupervised"


@dataclass(frozen=True, slots=True)
class LastExit:
    """How a program's last run ended; one of status and signal is None.

    Attributes:
        at: RFC 3339, UTC.
        cause: What its log says of it; None where nothing telling was found.
    """

    at: str
    status: int | None
    signal: str | None
    cause: str | None = None

    def __str__(self) -> str:
        return f"signal {self.signal}" if self.signal else f"exit status {self.status}"


@dataclass(frozen=True, slots=True)
class ProgramView:
    """One program, as ``kraftd status`` shows it.

    Attributes:
        process_state: supervisord's word; ORPHANED where it runs without supervisord.
        reason: Why it is not ready; None when it is.
        restarts: How often the daemon restarted it since the cluster was started.
    """

    name: str
    kind: Kind
    node_id: int | None
    pid: int | None
    process_state: str
    service_state: ServiceState
    ready: bool
    restarts: int
    last_exit: LastExit | None
    reason: str | None
    uptime_s: float | None
    listeners: tuple[str, ...]
    jmx_port: int | None
    heap_bytes: int | None
    log: str

    @property
    def is_wanted(self) -> bool:
        """Whether it shall run."""
        return self.service_state is not ServiceState.STOPPED


@dataclass(frozen=True, slots=True)
class BrokerContact:
    """What a configured broker did when it was asked.

    Attributes:
        latency_s: From connecting to the end of its ApiVersions response; None where none came.
        unfenced: Whether the cluster counts it as alive; None while no broker can be asked.
    """

    latency_s: float | None = None
    unfenced: bool | None = None


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """What a program's process takes, its children not counted.

    Attributes:
        cpu_s: CPU time since its start.
        open_files: None where the system does not say.
        started_at_s: In seconds since the Unix epoch.
    """

    cpu_s: float
    resident_bytes: int
    open_files: int | None
    threads: int
    started_at_s: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look.

    Attributes:
        taken_at_s: Seconds since the Unix epoch.
        monotonic_s: The same moment on the clock that never steps, for its age.
        supervised: Whether supervisord answers; None where nothing of the cluster runs at all.
        contacts: By node id, for every configured broker.
        usages: By program name, for those that run.
    """

    taken_at_s: float
    monotonic_s: float
    supervised: bool | None
    programs: tuple[ProgramView, ...]
    kafka: KafkaView = field(default_factory=KafkaView)
    contacts: Mapping[int, BrokerContact] = field(default_factory=dict)
    usages: Mapping[str, ProcessUsage] = field(default_factory=dict)
