"""The doors that only a scale, and a reassignment, use: Kafka, and the file of their journal."""

# ruff: noqa: D102 the Protocol names methods that its class describes

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kraftd.errors import NeedsRunningClusterError
from kraftd.host.files import read_text, write_atomically
from kraftd.kafka.administration.administrator import Administrator
from kraftd.kafka.administration.settings import BrokerSetting
from kraftd.kafka.model import BrokerEndpoint, ClusterMetadata, Failure, LogDir, Partial, TopicPartition
from kraftd.kafka.topics import Reassignment
from kraftd.operate.context import ClusterContext
from kraftd.operate.doors import Doors, real_doors
from kraftd.operate.scale.journal import Journal, parse_journal
from kraftd.operate.start.doors import StartDoors, start_doors
from kraftd.plan.plan import Access

_ADMIN_TIMEOUT_S = 10.0


class ReassigningDoor(Protocol):
    """The part of ``Administrator`` that a scale asks."""

    def metadata(self, names: Iterable[str] | None = None) -> ClusterMetadata: ...

    def log_dirs(self, brokers: Iterable[BrokerEndpoint]) -> Partial[int, tuple[LogDir, ...]]: ...

    def reassign(self, targets: Mapping[TopicPartition, tuple[int, ...]]) -> dict[TopicPartition, Failure]: ...

    def reassignments(self) -> dict[TopicPartition, Reassignment]: ...

    def own_settings(self, names: Iterable[str]) -> dict[str, dict[str, str | None]]: ...

    def alter_topics(self, changes: Mapping[str, Mapping[str, str | None]]) -> dict[str, Failure]: ...

    def delete_topics(self, names: Sequence[str]) -> dict[str, Failure]: ...

    def broker_settings(self, node_id: int, keys: Iterable[str]) -> dict[str, BrokerSetting]: ...

    def alter_broker(
        self, node_id: int, values: Mapping[str, str | None], *, of_all_brokers: bool = False
    ) -> Failure | None: ...

    def elect_leaders(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Failure]: ...

    def unregister(self, node_id: int) -> Failure | None: ...


@dataclass(frozen=True, slots=True)
class JournalFile:
    """The file of the journal: a cluster has one, of a scale or of a reassignment."""

    path: Path

    def read(self) -> Journal | None:
        """Return the journal of what is unfinished; None where nothing is.

        Raises:
            KraftdError: It is damaged, or a newer kraftd wrote it.
        """
        text = read_text(self.path)
        return parse_journal(text, self.path) if text is not None else None

    def write(self, journal: Journal) -> None:
        """Write the journal, whole or not at all."""
        write_atomically(self.path, journal.to_json())

    def remove(self) -> None:
        """Remove the journal, as what it describes is done."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class ScaleDoors:
    """The functions through which a scale reaches outside; tests give others.

    Attributes:
        open_kafka: Kafka by the way to it, with a time limit for each request in seconds; opened by entering it.
        start: The doors of a start.
        cluster: The doors of the cluster that is scaled.
    """

    open_kafka: Callable[[Access, float], AbstractContextManager[ReassigningDoor]] = field(
        default=lambda access, timeout_s: Administrator(access, timeout_s=timeout_s)
    )
    start: StartDoors = field(default_factory=start_doors)
    cluster: Doors = field(default_factory=real_doors)

    def reach(self, cluster: ClusterContext, verb: str) -> AbstractContextManager[ReassigningDoor]:
        """Return Kafka of a cluster that runs, opened by entering it.

        Raises:
            NeedsRunningClusterError: It does not run.
        """
        if not cluster.find_processes().processes.keys() & {node.name for node in cluster.plan.brokers}:
            raise NeedsRunningClusterError(
                f"cannot {verb} the cluster {cluster.plan.cluster}: it is not running",
                hint="'kraftd start' starts it.",
            )
        return self.open_kafka(cluster.plan.access, _ADMIN_TIMEOUT_S)
