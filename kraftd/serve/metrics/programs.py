"""The metrics of brokers and programs, as this machine sees them."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import kraftd
from kraftd.health.programs.backups import BackupOutcome, ScheduledBackup
from kraftd.health.programs.disks import DiskView
from kraftd.health.programs.operations import Operation, OperationState
from kraftd.health.programs.state import BrokerContact, ProcessUsage, ProgramView, ServiceState, Snapshot
from kraftd.plan.program import Kind
from kraftd.serve.metrics.family import Family, MetricKind, Sample, gauge
from kraftd.units import parse_timestamp

Samples: TypeAlias = Callable[[Snapshot], Iterator[Sample]]

_BROKER = ("broker_id",)
_PROGRAM = ("name", "kind")
_OPERATION = ("operation",)


def _build(_snapshot: Snapshot) -> Iterator[Sample]:
    yield (kraftd.__version__,), 1


def _taken_at(snapshot: Snapshot) -> Iterator[Sample]:
    yield (), snapshot.taken_at_s


def _supervised(snapshot: Snapshot) -> Iterator[Sample]:
    if snapshot.supervised is not None:
        yield (), int(snapshot.supervised)


def _brokers(snapshot: Snapshot) -> Iterator[ProgramView]:
    return (program for program in snapshot.programs if program.kind is Kind.BROKER)


def _broker_up(snapshot: Snapshot) -> Iterator[Sample]:
    for broker in _brokers(snapshot):
        yield (str(broker.node_id),), int(broker.ready)


def _broker_states(snapshot: Snapshot) -> Iterator[Sample]:
    for broker in _brokers(snapshot):
        for state in ServiceState:
            yield (str(broker.node_id), state.value.lower()), int(broker.service_state is state)


def _broker_recovering(snapshot: Snapshot) -> Iterator[Sample]:
    for broker in _brokers(snapshot):
        yield (str(broker.node_id),), int(broker.recovery is not None)


def _broker_jmx_up(snapshot: Snapshot) -> Iterator[Sample]:
    for broker in _brokers(snapshot):
        if broker.ready:
            yield (str(broker.node_id),), int(broker.jmx_port is not None)


def _of_contacts(number: Callable[[BrokerContact], float | None]) -> Samples:
    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        for node_id, contact in snapshot.contacts.items():
            if (value := number(contact)) is not None:
                yield (node_id,), value

    return samples


def _of_programs(number: Callable[[ProgramView], float | None]) -> Samples:
    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        for program in snapshot.programs:
            if (value := number(program)) is not None:
                yield (program.name, program.kind.value), value

    return samples


def _of_usages(number: Callable[[ProcessUsage], float | None]) -> Samples:
    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        for program in snapshot.programs:
            usage = snapshot.usages.get(program.name)
            if usage is not None and (value := number(usage)) is not None:
                yield (program.name, program.kind.value), value

    return samples


def _process_states(snapshot: Snapshot) -> Iterator[Sample]:
    for program in snapshot.programs:
        yield (program.name, program.kind.value, program.process_state.lower()), 1


def _has_process(program: ProgramView) -> int:
    return int(program.pid is not None)


def _of_disks(number: Callable[[DiskView], float]) -> Samples:
    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        for disk in snapshot.disks:
            yield (disk.path,), number(disk)

    return samples


def _of_backup(number: Callable[[ScheduledBackup], float | None]) -> Samples:
    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        if snapshot.backup is not None and (value := number(snapshot.backup)) is not None:
            yield (), value

    return samples


def _backup_succeeded(backup: ScheduledBackup) -> int | None:
    return None if backup.outcome is None else int(backup.outcome is not BackupOutcome.FAILED)


def _of_operations(number: Callable[[Operation], float | None]) -> Samples:
    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        # Two backups may be made at once, to two places.
        sums: dict[str, float] = {}
        for each in snapshot.operations:
            if (value := number(each)) is not None:
                sums[each.operation] = sums.get(each.operation, 0) + value
        for operation, total in sums.items():
            yield (operation,), total

    return samples


def _is_in(state: OperationState) -> Callable[[Operation], int | None]:
    return lambda each: 1 if each.state is state else None


def _exit_status(program: ProgramView) -> int | None:
    return program.last_exit.status if program.last_exit else None


def _exit_time(program: ProgramView) -> float | None:
    if program.last_exit is None:
        return None
    return parse_timestamp(program.last_exit.at)


def _next_restart(program: ProgramView) -> float | None:
    return parse_timestamp(program.next_restart_at) if program.next_restart_at else None


PROGRAM_FAMILIES: tuple[Family[Snapshot], ...] = (
    Family("kraftd_build_info", MetricKind.INFO, ("version",), "The version of the running kraftd.", _build),
    gauge(
        "kraftd_snapshot_timestamp_seconds",
        (),
        "When the programs were last observed, in seconds since the Unix epoch.",
        _taken_at,
    ),
    gauge("kraftd_supervised", (), "1 when supervisord answers.", _supervised),
    gauge(
        "kraftd_broker_up",
        _BROKER,
        "1 when the broker answers on its client port; for every configured one.",
        _broker_up,
    ),
    gauge("kraftd_broker_state", ("broker_id", "state"), "1 for the state that the broker is in.", _broker_states),
    gauge(
        "kraftd_broker_recovering",
        _BROKER,
        "1 while the broker starts and loads its logs, or recovers those that an unclean stop left open.",
        _broker_recovering,
    ),
    gauge(
        "kraftd_broker_jmx_up",
        _BROKER,
        "1 when the broker serves JMX clients; absent while it does not serve Kafka's.",
        _broker_jmx_up,
    ),
    gauge(
        "kraftd_broker_unfenced",
        _BROKER,
        "1 when the cluster counts the broker as alive; absent while no broker can be asked.",
        _of_contacts(lambda each: None if each.unfenced is None else int(each.unfenced)),
    ),
    gauge(
        "kraftd_broker_api_versions_latency_seconds",
        _BROKER,
        "Seconds from connecting to the broker to the end of its ApiVersions response.",
        _of_contacts(lambda each: None if each.latency_s is None else round(each.latency_s, 6)),
    ),
    gauge("kraftd_process_up", _PROGRAM, "1 when the program's process runs.", _of_programs(_has_process)),
    gauge("kraftd_process_ready", _PROGRAM, "1 when the program serves.", _of_programs(lambda each: int(each.ready))),
    gauge(
        "kraftd_process_desired",
        _PROGRAM,
        "1 when the program is to run, 0 after a command stopped it.",
        _of_programs(lambda each: int(each.is_wanted)),
    ),
    gauge(
        "kraftd_process_state",
        (*_PROGRAM, "state"),
        "1 for the state that supervisord reports for the program.",
        _process_states,
    ),
    Family(
        "kraftd_process_restarts_total",
        MetricKind.COUNTER,
        _PROGRAM,
        "Restarts by kraftd since the cluster was started.",
        _of_programs(lambda each: each.restarts),
    ),
    gauge(
        "kraftd_process_next_restart_timestamp_seconds",
        _PROGRAM,
        "When kraftd restarts the program, in seconds since the Unix epoch; absent where none waits.",
        _of_programs(_next_restart),
    ),
    gauge(
        "kraftd_process_exit_status",
        _PROGRAM,
        "Exit status of the program's last run; absent where a signal ended it.",
        _of_programs(_exit_status),
    ),
    gauge(
        "kraftd_process_exit_timestamp_seconds",
        _PROGRAM,
        "When its last run ended, in seconds since the Unix epoch.",
        _of_programs(_exit_time),
    ),
    gauge(
        "kraftd_process_start_time_seconds",
        _PROGRAM,
        "When the process was started, in seconds since the Unix epoch.",
        _of_usages(lambda each: each.started_at_s),
    ),
    Family(
        "kraftd_process_cpu_seconds_total",
        MetricKind.COUNTER,
        _PROGRAM,
        "CPU seconds of the process.",
        _of_usages(lambda each: round(each.cpu_s, 3)),
    ),
    gauge(
        "kraftd_process_resident_memory_bytes",
        _PROGRAM,
        "Resident memory of the process, in bytes.",
        _of_usages(lambda each: each.resident_bytes),
    ),
    gauge("kraftd_process_open_fds", _PROGRAM, "Open file descriptors.", _of_usages(lambda each: each.open_files)),
    gauge("kraftd_process_threads", _PROGRAM, "Threads.", _of_usages(lambda each: each.threads)),
    gauge(
        "kraftd_disk_free_bytes",
        ("path",),
        "Free space of a file system that holds the cluster, as this machine sees it, in bytes.",
        _of_disks(lambda each: each.free_bytes),
    ),
    gauge("kraftd_disk_size_bytes", ("path",), "Its size, in bytes.", _of_disks(lambda each: each.total_bytes)),
    gauge(
        "kraftd_disk_least_free_bytes",
        ("path",),
        "The free space below which a start is refused, in bytes.",
        _of_disks(lambda each: each.least_free_bytes),
    ),
    gauge(
        "kraftd_backup_age_seconds",
        (),
        "Seconds since the newest scheduled backup was finished; before the first, since there is a schedule.",
        _of_backup(lambda each: each.age_s),
    ),
    gauge(
        "kraftd_backup_interval_seconds",
        (),
        "The longest time between two backups by the schedule, in seconds.",
        _of_backup(lambda each: each.interval_s),
    ),
    gauge(
        "kraftd_backup_last_success_timestamp_seconds",
        (),
        "When the newest scheduled backup was finished, in seconds since the Unix epoch; absent before the first.",
        _of_backup(lambda each: parse_timestamp(each.succeeded_at) if each.succeeded_at else None),
    ),
    gauge(
        "kraftd_backup_last_success",
        (),
        "0 when the last scheduled backup failed, 1 when it did not; absent before the first has ended.",
        _of_backup(_backup_succeeded),
    ),
    gauge(
        "kraftd_backup_size_bytes",
        (),
        "Size of the newest scheduled backup, in bytes.",
        _of_backup(lambda each: each.size_bytes),
    ),
    gauge(
        "kraftd_backup_duration_seconds",
        (),
        "Seconds that the newest scheduled backup took.",
        _of_backup(lambda each: each.took_s),
    ),
    gauge(
        "kraftd_operation_running",
        _OPERATION,
        "How many operations of this kind run; absent where none does.",
        _of_operations(_is_in(OperationState.RUNNING)),
    ),
    gauge(
        "kraftd_operation_resumable",
        _OPERATION,
        "1 where an interrupted call left something to finish; absent where none did.",
        _of_operations(_is_in(OperationState.RESUMABLE)),
    ),
    gauge(
        "kraftd_operation_moved_bytes",
        _OPERATION,
        "Bytes that the running operation has moved in its present step.",
        _of_operations(lambda each: each.done_bytes),
    ),
    gauge(
        "kraftd_operation_left_bytes",
        _OPERATION,
        "Bytes that are left to move in that step.",
        _of_operations(lambda each: each.left_bytes),
    ),
)
"""In the order in which they are exposed."""
