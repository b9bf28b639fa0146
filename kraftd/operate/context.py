"""The context of a use case: the caller's environment, progress, and one cluster with its plan, records and doors."""

import contextlib
import logging
import os
import pwd
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from kraftd.clock import Clock, SystemClock
from kraftd.errors import FileAccessError
from kraftd.health.programs.operations import ENDED, OperationOutcome, Progress, ended, parse_progress
from kraftd.host.events import EventLog
from kraftd.host.files import read_text, write_atomically
from kraftd.host.lock import acquire
from kraftd.host.processes import Process, is_alive, known_process
from kraftd.observe.processes import ProcessTable
from kraftd.operate.doors import Doors, SupervisorDoor, real_doors
from kraftd.operate.store import Store
from kraftd.plan.layout import Layout
from kraftd.plan.plan import Plan

_RECORDED_EVERY_S = 1.0
_SUPERVISOR_PATIENCE_S = 3.0
"""supervisord makes its control socket again within a second, and a frozen one answers once it continues."""

_SUPERVISOR_POLL_S = 0.1

logger = logging.getLogger(__name__)


class Reporter(Protocol):
    """Shows the progress of a command."""

    def step(self, text: str) -> None:
        """Show a step that begins, as "formatting broker-1"."""

    def program(self, name: str, state: str, detail: str = "") -> None:
        """Show a program's new state: waiting, starting, ready, stopping, stopped, failed."""

    def rung(self, name: str, rung: str, progress: str) -> None:
        """Show the rung of a program that takes longer to start, and its progress to the next, if that is known."""

    def download_begins(self, what: str, total_bytes: int) -> None:
        """Show that a download of ``total_bytes`` begins."""

    def transfer_begins(self, what: str, total_bytes: int) -> None:
        """Show that something other than a download, of ``total_bytes``, begins; it advances and ends as one."""

    def advance(self, count_bytes: int) -> None:
        """Show that ``count_bytes`` more bytes have arrived."""

    def download_ends(self) -> None:
        """Show that the download is complete."""

    def moved(self, text: str, done_bytes: int, total_bytes: int) -> None:
        """Show how far something is that Kafka moves by itself."""


class NullReporter:
    """Shows nothing."""

    def step(self, text: str) -> None:
        """Show nothing."""

    def program(self, name: str, state: str, detail: str = "") -> None:
        """Show nothing."""

    def rung(self, name: str, rung: str, progress: str) -> None:
        """Show nothing."""

    def download_begins(self, what: str, total_bytes: int) -> None:
        """Show nothing."""

    def transfer_begins(self, what: str, total_bytes: int) -> None:
        """Show nothing."""

    def advance(self, count_bytes: int) -> None:
        """Show nothing."""

    def download_ends(self) -> None:
        """Show nothing."""

    def moved(self, text: str, done_bytes: int, total_bytes: int) -> None:
        """Show nothing."""


class OperationReporter:
    """Shows the progress of an operation, and records it for who asks meanwhile, at most once a second.

    Args:
        shown: The reporter that shows it.
        clock: Time.
        progress: The operation that begins.
        write: Records how far it is.
        record_step: Records that a step begins.
    """

    def __init__(
        self,
        shown: Reporter,
        clock: Clock,
        progress: Progress,
        write: Callable[[Progress], None],
        record_step: Callable[[str], None],
    ) -> None:
        self._shown = shown
        self._clock = clock
        self._progress = progress
        self._write = write
        self._record_step = record_step
        self._written_at_s = clock.monotonic_s()
        write(progress)

    def step(self, text: str) -> None:
        """Show a step, and put it on record."""
        self._shown.step(text)
        self._record_step(text)
        self._change(replace(self._progress, step=text))

    def program(self, name: str, state: str, detail: str = "") -> None:
        """Show a program's new state."""
        self._shown.program(name, state, detail)
        self._change(replace(self._progress, step=f"{name} {state}"))

    def rung(self, name: str, rung: str, progress: str) -> None:
        """Show the rung of a program."""
        self._shown.rung(name, rung, progress)

    def download_begins(self, what: str, total_bytes: int) -> None:
        """Show that a download begins."""
        self._shown.download_begins(what, total_bytes)
        self._begin(f"Downloading {what}", total_bytes)

    def transfer_begins(self, what: str, total_bytes: int) -> None:
        """Show that something else begins."""
        self._shown.transfer_begins(what, total_bytes)
        self._begin(what, total_bytes)

    def advance(self, count_bytes: int) -> None:
        """Show that more bytes have arrived."""
        self._shown.advance(count_bytes)
        done_bytes = (self._progress.done_bytes or 0) + count_bytes
        self._progress = replace(self._progress, done_bytes=done_bytes)
        if self._clock.monotonic_s() - self._written_at_s >= _RECORDED_EVERY_S:
            self._change(self._progress)

    def download_ends(self) -> None:
        """Show the end of a download or another transfer."""
        self._shown.download_ends()
        self._change(self._progress)

    def moved(self, text: str, done_bytes: int, total_bytes: int) -> None:
        """Show how far something is that Kafka moves by itself."""
        self._shown.moved(text, done_bytes, total_bytes)
        began_s = self._progress.transfer_began_s if self._progress.total_bytes == total_bytes else self._clock.now_s()
        progress = replace(self._progress, done_bytes=done_bytes, total_bytes=total_bytes, transfer_began_s=began_s)
        self._change(replace(progress, step=text))

    def _begin(self, what: str, total_bytes: int) -> None:
        began_s = self._clock.now_s()
        progress = replace(self._progress, step=what, done_bytes=0, total_bytes=total_bytes)
        self._change(replace(progress, transfer_began_s=began_s))

    def _change(self, progress: Progress) -> None:
        self._progress = progress
        self._written_at_s = self._clock.monotonic_s()
        self._write(progress)


@dataclass(frozen=True, slots=True)
class CommandContext:
    """The environment of a command.

    Attributes:
        environ: The environment variables.
        home: The user's home directory as the system gives it; None where it gives none.
        cwd: Where the command was called; None where that directory was removed.
        python: The interpreter that the daemon and the apps run under.
        deadline_s: When the command must be done, on the monotonic clock; None where it was given no limit.
    """

    environ: Mapping[str, str]
    home: Path | None
    cwd: Path | None
    python: Path
    clock: Clock = field(default_factory=SystemClock)
    reporter: Reporter = field(default_factory=NullReporter)
    deadline_s: float | None = None

    def left_s(self, otherwise_s: float) -> float:
        """Return how long the command may still take, or another limit where it was given none."""
        if self.deadline_s is None:
            return otherwise_s
        return max(0.0, self.deadline_s - self.clock.monotonic_s())


def this_command_context(reporter: Reporter | None = None, timeout_s: float | None = None) -> CommandContext:
    """Return the context of this process, for a command that begins now."""
    clock = SystemClock()
    return CommandContext(
        environ=dict(os.environ),
        home=_home(os.environ),
        cwd=_cwd(),
        python=Path(sys.executable),
        clock=clock,
        reporter=reporter or NullReporter(),
        deadline_s=None if timeout_s is None else clock.monotonic_s() + timeout_s,
    )


def _home(environ: Mapping[str, str]) -> Path | None:
    if named := environ.get("HOME"):
        return Path(named)
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        # A container may run as a user that nobody has heard of.
        return None


def _cwd() -> Path | None:
    try:
        return Path.cwd()
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class ClusterContext:
    """One cluster, as one command works on it."""

    plan: Plan
    doors: Doors
    command_context: CommandContext

    @property
    def layout(self) -> Layout:
        """The paths of the cluster's files."""
        return self.plan.layout

    @property
    def store(self) -> Store:
        """The cluster's records."""
        return Store(self.plan.layout)

    @property
    def clock(self) -> Clock:
        """Time."""
        return self.command_context.clock

    @property
    def reporter(self) -> Reporter:
        """The reporter of the command's progress."""
        return self.command_context.reporter

    def following(self, plan: Plan) -> "ClusterContext":
        """Return the context of the same cluster with another plan."""
        return replace(self, plan=plan)

    @property
    def supervisor(self) -> SupervisorDoor:
        """The cluster's supervisord."""
        return self.doors.supervisor(self.plan.layout.socket)

    def find_processes(self) -> ProcessTable:
        """Return which programs run."""
        return self.doors.find_processes(self.plan)

    def lock(self, command: str, *, timeout_s: float) -> AbstractContextManager[None]:
        """Hold the cluster's lock for a command, reporting which command it waits for.

        Raises:
            TimedOutError: Another command kept it.
            FileAccessError: The lock file cannot be opened.
        """
        return acquire(
            self.layout.lock,
            command=command,
            clock=self.clock,
            timeout_s=timeout_s,
            on_wait=lambda holder: self.reporter.step(f"Waiting for {holder}"),
        )

    def record(self, kind: str, text: str, **facts: Any) -> None:
        """Record an event of a command; where the disk is full, that is reported, and the command goes on."""
        try:
            EventLog(self.layout.events, "commands", self.clock).record(kind, text, **facts)
        except FileAccessError as error:
            self.reporter.step(f"Cannot record this event ({text}): {error}")

    @contextlib.contextmanager
    def operating(self, operation: str, what: str) -> Iterator["ClusterContext"]:
        """Let everybody see an operation that takes long: ``kraftd operations``, the status page, events.

        Args:
            operation: Its name in ``OPERATIONS``.
            what: What it is about.

        Yields:
            The same cluster, with a reporter that records the progress too.
        """
        own = known_process(os.getpid())
        progress = Progress(operation, what, own.pid, own.incarnation, self.clock.now_s())
        file = self.layout.operations / f"{own.pid}.json"
        reporter = OperationReporter(
            self.reporter,
            self.clock,
            progress,
            lambda now: self._write_progress(file, now),
            lambda text: self.record("operation_step", f"{operation}: {text}", operation=operation),
        )
        self._remove_ended_progress()
        self.record("operation_begun", f"{operation}: {what}", operation=operation)
        outcome, error = OperationOutcome.INTERRUPTED, ""
        try:
            yield replace(self, command_context=replace(self.command_context, reporter=reporter))
            outcome = OperationOutcome.SUCCEEDED
        except Exception as raised:
            outcome, error = OperationOutcome.FAILED, str(raised)
            raise
        finally:
            text, facts = ended(progress, outcome, error)
            self.record(ENDED, text, **facts)
            # Last: who sees that it is gone reads what became of it.
            file.unlink(missing_ok=True)

    def _write_progress(self, file: Path, progress: Progress) -> None:
        try:
            write_atomically(file, progress.to_json())
        except FileAccessError as error:
            # The operation itself may still succeed, as one that frees a full disk.
            logger.debug("Cannot record the progress: %s", error)

    def _remove_ended_progress(self) -> None:
        """Remove what killed processes left."""
        for file in self.layout.operations.glob("*.json"):
            progress = parse_progress(read_text(file) or "")
            if progress is None or not is_alive(Process(progress.pid, progress.incarnation, 0.0)):
                file.unlink(missing_ok=True)


def cluster_context(plan: Plan, command_context: CommandContext) -> ClusterContext:
    """Return the context of a plan's cluster with its real doors."""
    return ClusterContext(plan, real_doors(), command_context)


def find_supervised(cluster: ClusterContext, patience_s: float = _SUPERVISOR_PATIENCE_S) -> ProcessTable:
    """Return which programs run; a frozen supervisord continues, and one that does not answer gets a moment to."""
    table = cluster.find_processes()
    if table.supervisor is None or table.unreachable is None:
        return table
    cluster.reporter.step(f"supervisord does not answer: {table.unreachable}")
    cluster.doors.send_signal(table.supervisor, signal.SIGCONT)
    deadline_s = cluster.clock.monotonic_s() + patience_s
    while table.unreachable and cluster.clock.monotonic_s() < deadline_s:
        cluster.clock.sleep(_SUPERVISOR_POLL_S)
        table = cluster.find_processes()
    return table
