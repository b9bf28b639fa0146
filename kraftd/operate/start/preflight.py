"""The checks before a start writes or starts anything: memory, disk, open files, quorum, ports, directories."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict

from kraftd.clock import Clock
from kraftd.errors import ConfigurationError, KraftdError, NeedsRunningClusterError, RefusedError
from kraftd.health.programs.disks import DiskSpace
from kraftd.host.environment import MOST_OPEN_FILES, dropped_options
from kraftd.host.files import make_private_directory, os_errors_named, remove
from kraftd.host.machine import PortHolder
from kraftd.plan.plan import Plan, Port
from kraftd.plan.program import LOOPBACK, Purpose
from kraftd.supervisord.rpc import make_socket_directory
from kraftd.units import format_size, human_size

LEAST_OPEN_FILES = 256
"""Also the least with which supervisord starts (minfds in supervisord.conf.j2)."""

_FEW_OPEN_FILES = 4096
"""Linux' own default of the hard limit; what is lower was set low by somebody."""

_RAISE_LIMIT = "'ulimit -Hn' shows it, and limits.conf, systemd's LimitNOFILE or docker's --ulimit raise it"
_RELEASE_LIMIT_S = 3.0
_RELEASE_POLL_S = 0.05


class PortInUseError(KraftdError):
    """Another process listens on a port of the plan."""

    code = "port_in_use"


class LoopbackDownError(KraftdError):
    """Nothing on this machine can connect to the loopback address."""

    code = "loopback_down"


def check_memory(plan: Plan, machine_bytes: int) -> None:
    """Refuse heaps that this machine cannot hold.

    Raises:
        ConfigurationError: With the keys to change.
    """
    needed = sum(node.heap_bytes for node in plan.nodes)
    if needed <= machine_bytes:
        return
    heap = format_size(plan.brokers[0].heap_bytes)
    raise ConfigurationError(
        f"cannot give {len(plan.brokers)} brokers heaps of {heap}: the nodes' heaps take {human_size(needed)}, "
        f"and this machine, or its container, has {human_size(machine_bytes)} "
        f'(cluster.heap = "{heap}", cluster.brokers = {len(plan.brokers)})',
        hint="Lower cluster.heap, for example to 1g (--set cluster.heap=1g), or cluster.brokers.",
        code="not_enough_memory",
        details={"needed_bytes": needed, "machine_bytes": machine_bytes},
    )


def check_free_disk(spaces: Iterable[DiskSpace], min_free_bytes: int) -> None:
    """Refuse to start on a disk that is nearly full: a broker that cannot write ends, and its next start needs space.

    Raises:
        RefusedError: With the numbers.
    """
    spaces = tuple(spaces)
    for space in spaces if min_free_bytes else ():
        if space.is_short_of_files:
            raise RefusedError(
                f"cannot start on a disk that takes hardly any more files: {space.path} has {space.free_files} of "
                f"{space.total_files} inodes free, and {space.least_free_files} are needed",
                hint="Delete files there ('df -i' shows the inodes), choose another place with cluster.state_dir "
                "(--state-dir), or start anyway with --set disk.min_free=0.",
                code="disk_nearly_full",
                details={"disks": [asdict(space)]},
            )
    short = [space for space in spaces if space.free_bytes < space.least_free_bytes(min_free_bytes)]
    if short:
        lines = [
            f"  {space.path}: {human_size(space.free_bytes)} of {human_size(space.total_bytes)} are free, and "
            f"{human_size(space.least_free_bytes(min_free_bytes))} are needed"
            for space in short
        ]
        raise RefusedError(
            "cannot start on a disk that is nearly full:\n" + "\n".join(lines),
            hint="Free disk space, choose another place with cluster.state_dir (--state-dir), or start anyway "
            "with --set disk.min_free=0, for example to delete topics.",
            code="disk_nearly_full",
            details={"disks": [asdict(space) for space in short]},
        )


def check_open_files(limit: int) -> None:
    """Refuse a limit of open files below which not even an empty broker runs.

    Raises:
        ConfigurationError: With the limit.
    """
    if limit < LEAST_OPEN_FILES:
        raise ConfigurationError(
            f"cannot start with a limit of {limit} open files: a broker without any topic opens about 120, and kraftd "
            f"needs {LEAST_OPEN_FILES}",
            hint=f"{_RAISE_LIMIT}.",
            code="open_files_limit",
            details={"limit": limit, "needed": LEAST_OPEN_FILES},
        )


def has_few_open_files(limit: int) -> bool:
    """Return whether a limit of open files is so low that an ordinary load can exceed it."""
    return limit < _FEW_OPEN_FILES


def open_files_notes(limit: int, possible: int) -> tuple[str, ...]:
    """Return a note where brokers have few open files.

    Args:
        limit: The limit that brokers have, or get from the supervisord that runs.
        possible: The limit that they would get from a new one.
    """
    if not has_few_open_files(limit):
        return ()
    remedy = f"'kraftd restart' gives them {possible}" if possible > limit else _RAISE_LIMIT
    return (
        f"brokers have a limit of {limit} open files, and Kafka recommends {MOST_OPEN_FILES}: each log segment and "
        f"connection takes one, and a broker without any left ends; {remedy}",
    )


def environment_notes(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return a note where variables are set from which somebody may expect an effect on brokers."""
    names = dropped_options(environ)
    if not names:
        return ()
    verb = "is set, and does" if len(names) == 1 else "are set, and do"
    instead = "cluster.heap, java.options and broker.config configure them"
    return (f"{', '.join(names)} {verb} not reach the programs: {instead}",)


def check_quorum(plan: Plan, wanted: Collection[str], running: Collection[str]) -> None:
    """Refuse to start programs that need a quorum where there would be none: the wait could only time out.

    Raises:
        NeedsRunningClusterError: Naming the voters that are missing.
    """
    node_ids = {node.node_id: node.name for node in plan.nodes}
    voters = [node_ids[voter.node_id] for voter in plan.voters]
    up = [name for name in voters if name in wanted or name in running]
    waiting = [name for name in wanted if plan.program(name).start.needs_quorum]
    if not waiting or len(up) > len(voters) // 2:
        return
    down = ", ".join(name for name in voters if name not in up)
    raise NeedsRunningClusterError(
        f"cannot start {', '.join(waiting)} alone: only {len(up)} of {len(voters)} voters would run, "
        "and without a quorum nothing serves",
        hint=f"'kraftd start' starts all. Or name more of the voters with it: {down}.",
        code="no_quorum",
        details={"voters": voters, "up": up},
    )


def check_loopback(fault: str) -> None:
    """Refuse to start what listens on the loopback interface where nothing could connect to it.

    Args:
        fault: Why nothing can; empty where it can.

    Raises:
        LoopbackDownError: With what to do.
    """
    if fault:
        raise LoopbackDownError(
            f"cannot use {LOOPBACK}, where every program of the cluster listens: {fault}",
            hint="The loopback interface of this machine, container or network namespace is down: "
            "'ip link set lo up' sets it up.",
            details={"address": LOOPBACK},
        )


def check_ports(
    plan: Plan, programs: Collection[str], port_holder: Callable[[str, int], PortHolder | None], clock: Clock
) -> None:
    """Refuse to start programs whose ports are taken.

    A port that no process is seen to hold may be that of a JVM that has just been killed: the kernel ends its threads
    one by one, and closes its sockets after the last. Such a port is waited for. The metrics
    agents' ports are not checked, because a node serves without one.

    Args:
        plan: The cluster.
        programs: The programs that are about to start.
        port_holder: The process that listens on a host and port; None where it is free.
        clock: Time.

    Raises:
        PortInUseError: Naming each listener, port, and the process that holds it.
    """
    deadline_s = clock.monotonic_s() + _RELEASE_LIMIT_S
    taken = taken_ports(plan, programs, port_holder)
    while taken and all(holder.pid is None for _, holder in taken) and clock.monotonic_s() < deadline_s:
        clock.sleep(_RELEASE_POLL_S)
        taken = taken_ports(plan, programs, port_holder)
    if taken:
        raise ports_error(taken)


def ports_error(taken: Sequence[tuple[Port, PortHolder]]) -> PortInUseError:
    """Return the error that names each port and the process that holds it."""
    lines = [f"  {port.owner}: port {port.number} is held by {holder}" for port, holder in taken]
    return PortInUseError(
        "cannot use the ports of the plan:\n" + "\n".join(lines),
        hint="End that process, or shift all ports with cluster.port_offset (--set cluster.port_offset=200).",
        details={"ports": [{"listener": port.owner, "port": port.number, **asdict(holder)} for port, holder in taken]},
    )


def taken_ports(
    plan: Plan,
    programs: Collection[str],
    port_holder: Callable[[str, int], PortHolder | None],
    *,
    with_metrics: bool = False,
) -> list[tuple[Port, PortHolder]]:
    """Return the ports of programs that are taken, each with its holder.

    Args:
        plan: The cluster.
        programs: The programs, none of which runs.
        port_holder: The process that listens on a host and port; None where it is free.
        with_metrics: Whether those of the metrics agents count too.
    """
    return [
        (port, holder)
        for port in plan.ports
        if port.program.name in programs and (with_metrics or port.listener.purpose is not Purpose.METRICS)
        if (holder := port_holder(port.listener.host, port.number)) is not None
    ]


def make_directories(plan: Plan) -> None:
    """Make the state directory and those of every program, all private; the nodes' temporary ones are emptied.

    No node may run: a killed one leaves what it unpacked.

    Raises:
        FileAccessError: The state directory cannot be written.
    """
    layout = plan.layout
    for directory in (layout.state_dir, layout.supervisord_pid.parent, layout.events):
        make_private_directory(directory)
    with os_errors_named("make the directory of the control socket", layout.socket.parent):
        make_socket_directory(layout.socket.parent)
    make_program_directories(plan, plan.names)


def make_program_directories(plan: Plan, names: Iterable[str]) -> None:
    """Make the directories of programs that do not run; the nodes' temporary ones are emptied.

    Raises:
        FileAccessError: The state directory cannot be written.
    """
    layout = plan.layout
    for name in names:
        make_private_directory(layout.logs(name))
        make_private_directory(layout.config(name))
        if any(node.name == name for node in plan.nodes):
            remove(layout.temporary(name))
            make_private_directory(layout.temporary(name))
