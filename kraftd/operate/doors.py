"""The doors of a cluster: supervisord, Kafka and its processes, behind Protocols that tests implement."""

# ruff: noqa: D102 the Protocols name methods that their classes describe

import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kraftd.host.files import is_locked
from kraftd.host.logs import tail
from kraftd.host.machine import is_free
from kraftd.host.processes import Process, describe, is_alive, send_signal
from kraftd.kafka.model import ClusterMetadata, Failure, Partial, Quorum, TopicOutcome, TopicPartition, TopicState
from kraftd.observe.processes import ProcessTable, find_processes
from kraftd.plan.plan import Access, Plan, Topic
from kraftd.supervisord.rpc import SupervisedProcess, Supervisor

if TYPE_CHECKING:
    from kraftd.kafka.administration.administrator import Administrator
    from kraftd.kafka.administration.settings import BrokerSetting

_LOG_LINES = 1000


class SupervisorDoor(Protocol):
    """supervisord, as ``Supervisor`` describes it."""

    def processes(self) -> dict[str, SupervisedProcess]: ...

    def start(self, supervised_name: str) -> str: ...

    def stop(self, supervised_name: str) -> None: ...

    def update(self) -> None: ...

    def shutdown(self) -> None: ...


class KafkaDoor(Protocol):
    """The part of ``Administrator`` that the use cases ask."""

    def quorum(self) -> Quorum: ...

    def topics(self, names: Iterable[str] | None = None) -> Partial[str, TopicState]: ...

    def min_in_sync_replicas(self, names: Iterable[str]) -> Partial[str, int]: ...

    def metadata(self, names: Iterable[str] | None = None) -> ClusterMetadata: ...

    def broker_settings(self, node_id: int, keys: Iterable[str]) -> "dict[str, BrokerSetting]": ...

    def alter_broker(
        self,
        node_id: int,
        values: Mapping[str, str | None],
        *,
        of_all_brokers: bool = False,
        validate_only: bool = False,
    ) -> Failure | None: ...

    def elect_leaders(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Failure]: ...

    def unregister(self, node_id: int) -> Failure | None: ...

    def create_topics(self, declared: Sequence[Topic], limit_s: float) -> tuple[TopicOutcome, ...]: ...


def _remove_jvm_sockets(plan: Plan) -> None:
    # Only a stop opens this door, at its end.
    from kraftd.host.jvm import remove_sockets  # noqa: PLC0415
    from kraftd.supervisord.log import spawned_pids  # noqa: PLC0415

    log_lines = tail(plan.layout.supervisord_log, _LOG_LINES)
    remove_sockets(spawned_pids(log_lines, {node.name for node in plan.nodes}))


@dataclass(frozen=True, slots=True)
class Doors:
    """The doors through which a use case reads and changes a cluster.

    Attributes:
        supervisor: supervisord at a control socket.
        find_processes: The programs of a plan that run, under supervisord or without it.
        open_kafka: Kafka by the way to it, with a time limit for each request in seconds; opened by entering it.
        describe: The live process with a pid.
        is_alive: Whether this incarnation still runs.
        send_signal: Signals this incarnation; False where it has ended.
        listens: Whether some process listens on a host and port.
        is_locked: Whether another process holds a lock on a file.
        remove_jvm_sockets: Removes the sockets in ``/tmp`` of the cluster's JVMs that were killed.
    """

    supervisor: Callable[[Path], SupervisorDoor]
    find_processes: Callable[[Plan], ProcessTable]
    open_kafka: Callable[[Access, float], AbstractContextManager[KafkaDoor]]
    describe: Callable[[int], Process | None] = describe
    is_alive: Callable[[Process], bool] = is_alive
    send_signal: Callable[[Process, signal.Signals], bool] = send_signal
    listens: Callable[[str, int], bool] = lambda host, port: not is_free(host, port)
    is_locked: Callable[[Path], bool] = is_locked
    remove_jvm_sockets: Callable[[Plan], None] = _remove_jvm_sockets


def real_doors() -> Doors:
    """Return the real doors."""
    return Doors(Supervisor, _find_processes, _kafka_admin)


def _find_processes(plan: Plan) -> ProcessTable:
    return find_processes(plan, Supervisor(plan.layout.socket))


def _kafka_admin(access: Access, timeout_s: float) -> "Administrator":
    # Most commands never open this door, and what is behind it takes as long to load as the plan.
    from kraftd.kafka.administration.administrator import Administrator  # noqa: PLC0415

    return Administrator(access, timeout_s=timeout_s)
