"""The doors that only a start uses: Java and Kafka, supervisord's launch, ports, readiness, JMX."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kraftd.clock import Clock
from kraftd.health.programs.causes import Cause, diagnose, unspawned
from kraftd.health.programs.disks import DiskSpace
from kraftd.health.programs.ladder import Answer, StartProgress
from kraftd.host.environment import highest_open_files, raise_open_files
from kraftd.host.http import get
from kraftd.host.jvm import enable_jmx
from kraftd.host.logs import tail
from kraftd.host.machine import PortHolder, loopback_fault, port_holder, total_bytes
from kraftd.host.processes import Process
from kraftd.kafka.admin import load_client
from kraftd.observe.disks import disk_spaces
from kraftd.observe.probes import ask, read_start_progress
from kraftd.operate.context import CommandContext
from kraftd.operate.setup import PreparedRuntime, prepare_runtime
from kraftd.operate.start.launch import launch_supervisord
from kraftd.plan.plan import Plan
from kraftd.plan.program import Listener, Program
from kraftd.supervisord.log import last_exits
from kraftd.supervisord.rpc import SupervisedProcess

_ASK_TIMEOUT_S = 2.0
_DAEMON_TIMEOUT_S = 4.0
_EXIT_LOG_LINES = 200


@dataclass(frozen=True, slots=True)
class StartDoors:
    """The functions through which a start reaches outside; tests give others.

    Attributes:
        prepare_runtime: Fetches the runtime of a plan's nodes.
        locate: Finds it without fetching; raises where something is missing.
        launch: Starts supervisord and returns when it answers.
        ask: Whether a program serves.
        cause_of_end: Why a program ended, according to supervisord and its log.
        enable_jmx: Lets JMX clients into a broker's JVM on a listener, with the password in a directory.
        daemon_sees_ready: Whether the daemon, in a new observation, finds the cluster ready.
        port_holder: The process that listens on a host and port; None where it is free.
        loopback_fault: Why nothing can connect to an address of this machine; empty where it can.
        memory_bytes: The memory of this machine.
        open_files_limit: The limit of open files that a new supervisord and its programs get.
        raise_open_files: Gives a process that limit where it may; the limit that it has then, None where unknown.
        disk_spaces: The file systems that hold a plan's files.
        start_progress: How far a broker's start has come since a time, by its log.
        log_records: The last records of a program's logs since a time.
    """

    prepare_runtime: Callable[[Plan, CommandContext], PreparedRuntime]
    locate: Callable[[Plan, CommandContext], PreparedRuntime]
    launch: Callable[[Plan, CommandContext], object]
    ask: Callable[[Program], Answer]
    cause_of_end: Callable[[Plan, str, SupervisedProcess], Cause]
    enable_jmx: Callable[[Process, Listener, Path, Clock], None]
    daemon_sees_ready: Callable[[Plan], bool]
    port_holder: Callable[[str, int], PortHolder | None]
    loopback_fault: Callable[[str], str]
    memory_bytes: Callable[[], int]
    open_files_limit: Callable[[], int]
    raise_open_files: Callable[[int], int | None]
    disk_spaces: Callable[[Plan], tuple[DiskSpace, ...]]
    start_progress: Callable[[Plan, Program, float | None], StartProgress]
    log_records: Callable[[Plan, Program, float | None], list[str]]


def start_doors() -> StartDoors:
    """Return the real doors."""
    return StartDoors(
        prepare_runtime=prepare_runtime,
        locate=functools.partial(prepare_runtime, fetch=False),
        # kafka-python is imported while supervisord boots, which takes it 0.1 s on a core of its own.
        launch=functools.partial(launch_supervisord, meanwhile=load_client),
        ask=functools.partial(ask, timeout_s=_ASK_TIMEOUT_S),
        cause_of_end=cause_of_end,
        enable_jmx=enable_jmx,
        daemon_sees_ready=_daemon_sees_ready,
        port_holder=port_holder,
        loopback_fault=loopback_fault,
        memory_bytes=total_bytes,
        open_files_limit=highest_open_files,
        raise_open_files=raise_open_files,
        disk_spaces=disk_spaces,
        start_progress=read_start_progress,
        log_records=_log_records,
    )


def cause_of_end(plan: Plan, program: str, process: SupervisedProcess) -> Cause:
    """Return why a program's last run ended, from supervisord and the program's own log lines."""
    from kraftd.observe.exits import last_records, with_machine  # noqa: PLC0415 a start in which nothing ends does without

    if process.spawn_error:
        return with_machine(plan, program, unspawned(process.spawn_error))
    ended = last_exits(tail(plan.layout.supervisord_log, _EXIT_LOG_LINES)).get(program)
    records = last_records(plan.layout, plan.program(program), process.started_at_s)
    return with_machine(plan, program, diagnose(str(ended or "it ended"), records))


def _log_records(plan: Plan, program: Program, since_s: float | None) -> list[str]:
    from kraftd.observe.exits import last_records  # noqa: PLC0415 as above

    return last_records(plan.layout, program, since_s)


def _daemon_sees_ready(plan: Plan) -> bool:
    daemon = plan.daemon
    return get(daemon.host, daemon.port, "/readyz?fresh=1", timeout_s=_DAEMON_TIMEOUT_S).status == 200
