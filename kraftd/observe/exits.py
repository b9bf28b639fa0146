"""How programs last ended, with the log records of that run."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from kraftd.clock import Clock
from kraftd.health.programs.causes import OPEN_FILES, OWN_FILES, PORT_TAKEN, Cause, diagnose, silenced, unspawned
from kraftd.health.programs.disks import DiskSpace
from kraftd.health.programs.ladder import ProcessFact
from kraftd.health.programs.state import LastExit
from kraftd.host.environment import open_files_limit
from kraftd.host.files import read_text
from kraftd.host.logs import log_files, tail
from kraftd.host.machine import port_holder
from kraftd.observe.disks import disk_spaces
from kraftd.plan.kinds import App, Node
from kraftd.plan.layout import Layout
from kraftd.plan.plan import Plan
from kraftd.plan.program import MONITORING, Program
from kraftd.render.server_properties import server_properties
from kraftd.supervisord.log import Exit, last_exits
from kraftd.units import parse_timestamp, timestamp

_STAMP = re.compile(r"^(?P<bracket>\[)?(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(,\d+)?)")
"""The timestamp of a record, in UTC: in brackets in Kafka's logs, without in those of the apps."""

_STAMP_FORMAT = "%Y-%m-%d %H:%M:%S"
_EXIT_FORMAT = "%Y-%m-%d %H:%M:%S,%f"
_LINES = 400
_SECOND = len("2026-01-01T00:00:00")
_SAMPLE_EVERY_S = 5.0


_LOG_LINES = 1000
_TERMINATED = 128 + 15
"""The exit status of a JVM, and of an app, that ended because of SIGTERM."""

_FULL_BYTES = 64 * 1024
"""A file system with less free space takes no log lines."""

_LONGEST_START_S = 120.0
"""A program that ran longer had finished its start, even if its logs have rotated past the record of that."""


def last_records(layout: Layout, program: Program, since_s: float | None) -> list[str]:
    """Return the last records of a program's logs that belong to its run since a time, in seconds since the epoch.

    An error of an earlier run must not explain the end of this one. Records with a time count from that time on, and
    are in its order across the files of a node; what has no time counts when its file was written since, and is last.

    Returns:
        Records, oldest first. A record of Kafka's logs has the lines that continue it, as those of a stack trace.
    """
    since = datetime.fromtimestamp(since_s or 0.0, UTC).strftime(_STAMP_FORMAT)
    *stamped, console = layout.log_files(program)
    found = [record for path in stamped for record in _records(path, since, since_s)]
    found.sort(key=lambda record: record.at)
    return [record.text for record in (*found, *_records(console, since, since_s))]


@dataclass(slots=True)
class _Record:
    at: str
    text: str
    is_kafkas: bool


def _records(path: Path, since: str, since_s: float | None) -> list[_Record]:
    """Return a log's last records since a time in UTC, from those of its files that were written to since."""
    least_s = (since_s or 0.0) - 1
    written_ns = max((each.written_ns for each in log_files(path)), default=0)
    records: list[_Record] = []
    for line in tail(path, _LINES, since_s=least_s) if written_ns >= least_s * 1e9 else ():
        stamp = _STAMP.match(line)
        if stamp is None and records and records[-1].is_kafkas:
            records[-1].text += f"\n{line}"
        else:
            records.append(_Record(stamp["at"] if stamp else "", line, is_kafkas=bool(stamp and stamp["bracket"])))
    return [record for record in records if not record.at or record.at >= since]


def exit_records(plan: Plan) -> dict[str, LastExit]:
    """Return the last exit of each program that ended since supervisord's log begins."""
    exits = last_exits(tail(plan.layout.supervisord_log, _LOG_LINES))
    return {name: LastExit(_utc(ended), ended.status, ended.signal) for name, ended in exits.items()}


class KernelKills:
    """Whether the kernel ended a program because memory ran out, from a counter that it keeps of such ends.

    The counter is the machine's: what it counted long before an exit was the end of something else. So it is sampled
    while nothing ends, and an exit is compared with the sample before the last one, which is older than the exit.

    Args:
        count: The counter; None where the kernel tells none.
        clock: Time.
    """

    def __init__(self, count: Callable[[], int | None], clock: Clock) -> None:
        self._count = count
        self._clock = clock
        self._before = self._newest = count()
        self._due_s = clock.monotonic_s() + _SAMPLE_EVERY_S
        self._rose: dict[str, bool | None] = {}

    def sample(self) -> None:
        """Look at the counter, at most every 5 s."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._due_s:
            self._due_s = now_s + _SAMPLE_EVERY_S
            self._before, self._newest = self._newest, self._count()

    def ended(self, at: str) -> bool | None:
        """Return whether the counter rose in the seconds before an exit, and after the one before; None if unknown.

        Args:
            at: When the exit was. Those of one second are looked at together.
        """
        second = at[:_SECOND]
        if second not in self._rose:
            now = self._count()
            rose = None if now is None or self._before is None else now > self._before
            self._before, self._newest, self._rose = now, now, {second: rose}
        return self._rose[second]


def cause_of(
    plan: Plan, program: str, fact: ProcessFact, ended: LastExit | None, kernel_kills: KernelKills | None = None
) -> Cause:
    """Return why a program's last run ended, with what this machine has to say to that.

    A signal from outside says nothing about the program: its logs explain only an exit of its own.
    """
    if fact.spawn_error:
        # It ended before that, if at all.
        return with_machine(plan, program, unspawned(fact.spawn_error))
    if ended is None:
        return Cause(f"it does not run ({fact.state})", "Read its log.")
    if ended.signal == "SIGKILL":
        return _of_kill(str(ended), kernel_kills.ended(ended.at) if kernel_kills else None)
    if ended.signal is not None:
        return Cause(str(ended), "A person or a program sent it that signal, or the JVM crashed: read its log.")
    if ended.status == _TERMINATED:
        return Cause(str(ended), "Another process sent it SIGTERM; 'kraftd stop' stops it for good.")
    records = last_records(plan.layout, plan.program(program), fact.started_at_s)
    lived_s = parse_timestamp(ended.at) - (fact.started_at_s or 0.0)
    return with_machine(plan, program, diagnose(str(ended), records, started=lived_s > _LONGEST_START_S))


def _of_kill(exit_text: str, by_kernel: bool | None) -> Cause:
    if by_kernel:
        return Cause(
            f"{exit_text}: the kernel ended it, because memory ran out",
            "Lower cluster.heap or cluster.brokers, or give this machine or container more memory.",
            code="kernel_memory",
        )
    if by_kernel is None:
        return Cause(exit_text, "A person or a program sent it that signal, or the kernel did because memory ran out.")
    return Cause(exit_text, "A person or a program sent it that signal; memory had not run out.", code="killed")


def with_machine(
    plan: Plan, program: str, cause: Cause, spaces: Callable[[Plan], tuple[DiskSpace, ...]] = disk_spaces
) -> Cause:
    """Return a cause with what this machine knows: a port's holder, a limit, a damaged file of its own, a full disk.

    Args:
        plan: The cluster.
        program: Its name.
        cause: What the program's own logs tell.
        spaces: Returns the file systems of the cluster.
    """
    if cause.code == PORT_TAKEN:
        own = (each for each in plan.program(program).listeners if each.purpose not in MONITORING)
        taken = ((each.port, holder) for each in own if (holder := port_holder(each.host, each.port)))
        held = "; ".join(f"port {port} is held by {holder}" for port, holder in taken)
        if held:
            return replace(cause, remedy=f"{held}: end it, or choose other ports with cluster.port_offset.")
    elif cause.code == OPEN_FILES and (limit := open_files_limit(_supervisor_pid(plan))) is not None:
        return replace(cause, remedy=f"The limit is {limit} open files. {cause.remedy}")
    elif cause.code in OWN_FILES and (file := _changed_file(plan, program)) is not None:
        remedy = f"{file} is not as the plan has it: 'kraftd start {program}' writes it again and starts {program}."
        return replace(cause, remedy=remedy)
    elif not cause.code and any(space.free_bytes < _FULL_BYTES for space in spaces(plan)):
        return silenced(cause)
    return cause


def _changed_file(plan: Plan, program: str) -> Path | None:
    """Return the rendered file with a program's settings where it is not what its plan renders."""
    # The daemon and most commands do without what renders, jinja2 among it.
    from kraftd.render.java_command import PROPERTIES  # noqa: PLC0415
    from kraftd.render.supervisord_conf import dotenv  # noqa: PLC0415

    match plan.program(program):
        case Node() as node:
            path, text = plan.layout.config(program) / PROPERTIES, server_properties(plan, node)
        case App() as app:
            path, text = plan.layout.config(program) / ".env", dotenv(app)
        case _:
            return None
    return path if read_text(path) != text else None


def _supervisor_pid(plan: Plan) -> int | None:
    text = (read_text(plan.layout.supervisord_pid) or "").strip()
    return int(text) if text.isdecimal() else None


def with_causes(
    records: Mapping[str, LastExit],
    plan: Plan,
    facts: Mapping[str, ProcessFact],
    kernel_kills: KernelKills | None = None,
) -> dict[str, LastExit]:
    """Return the exits, with causes for the programs that do not run now."""
    explained = dict(records)
    for name, record in records.items():
        fact = facts.get(name)
        if fact is None or fact.pid is not None or name not in plan.names:
            continue
        text = cause_of(plan, name, replace(fact, spawn_error=""), record, kernel_kills).text
        explained[name] = LastExit(record.at, record.status, record.signal, text.partition(": ")[2] or None)
    return explained


def _utc(ended: Exit) -> str:
    # supervisord stamps its log in its local time, which is UTC (``host/environment.py``).
    return timestamp(datetime.strptime(ended.at, _EXIT_FORMAT).replace(tzinfo=UTC).timestamp())
