"""The context of a use case: the caller's environment, progress, and one cluster with its plan, records and doors."""

import os
import pwd
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from kraftd.clock import Clock, SystemClock
from kraftd.errors import FileAccessError
from kraftd.host.events import EventLog
from kraftd.host.lock import acquire
from kraftd.observe.processes import ProcessTable
from kraftd.operate.doors import Doors, SupervisorDoor, real_doors
from kraftd.operate.store import Store
from kraftd.plan.layout import Layout
from kraftd.plan.plan import Plan


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
            self.reporter.step(f"This is not on record ({text}): {error}")


def cluster_context(plan: Plan, command_context: CommandContext) -> ClusterContext:
    """Return the context of a plan's cluster with its real doors."""
    return ClusterContext(plan, real_doors(), command_context)
