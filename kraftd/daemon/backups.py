"""The scheduled backups: `kraftd backup create` as a child of the daemon, one at a time, and its result on record."""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import IO, Protocol

from kraftd.clock import Clock
from kraftd.errors import FileAccessError
from kraftd.health.programs.backups import (
    BackupHistory,
    BackupOutcome,
    ScheduledBackup,
    backup_view,
    due_s,
    parse_history,
)
from kraftd.host.environment import local_zone
from kraftd.host.files import read_text, write_atomically
from kraftd.host.processes import Process, is_alive, known_process, send_signal
from kraftd.plan.kinds import ScheduledBackups
from kraftd.plan.plan import Plan
from kraftd.units import duration, human_size, plural

logger = logging.getLogger("kraftd.daemon")

_LOOK_S = 30.0
"""How often the wall clock is read: the clock that waits use stands still while a laptop sleeps."""
_UNDER_WAY_LOOK_S = 0.5
_WAITS_FOR_CLUSTER_S = 2.0
_PATIENCE_S = 1.0
"""How long a command that was interrupted may clean up: a stop gives the daemon 2 s."""
_LEFT_PATIENCE_S = 10.0
_START_UP_S = 1.0
"""A command so young may still load, when SIGINT ends it with a traceback; it has made nothing that must be removed."""
_POLL_S = 0.05
_NICENESS = 5


class Child(Protocol):
    """A command that was started."""

    process: Process

    def exit_status(self) -> int | None:
        """Return how it ended, below zero by a signal; None while it runs."""

    def output(self) -> str:
        """Return what it printed."""


@dataclass(frozen=True, slots=True)
class BackupDoors:
    """The functions through which scheduled backups reach outside; tests give others.

    Attributes:
        begin: Starts a command of kraftd with these arguments.
        send_signal: Signals this incarnation.
        is_alive: Whether it still runs.
        record_event: Records an event's kind and text.
    """

    begin: Callable[[Sequence[str]], Child]
    send_signal: Callable[[Process, signal.Signals], bool]
    is_alive: Callable[[Process], bool]
    record_event: Callable[[str, str], None]


class CommandChild:
    """A kraftd command in a session of its own: a signal to the daemon's terminal or group does not reach it."""

    def __init__(self, arguments: Sequence[str]) -> None:
        # A file, read at the end: the document of many topics is larger than a pipe, which nobody would empty.
        self._output: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "kraftd", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            cwd="/",
            start_new_session=True,
        )
        self.process = known_process(self._child.pid)
        try:
            os.setpriority(os.PRIO_PROCESS, self._child.pid, _NICENESS)
        except OSError as error:
            logger.debug("The backup has the priority of the daemon: %s", error)

    def exit_status(self) -> int | None:
        """Return how it ended, below zero by a signal; None while it runs."""
        return self._child.poll()

    def output(self) -> str:
        """Return what it printed."""
        self._output.seek(0)
        return self._output.read()


class BackupScheduler:
    """Makes the backups of a schedule; everything but ``view`` and ``end`` belongs to one thread."""

    def __init__(self, plan: Plan, backups: ScheduledBackups, doors: BackupDoors, clock: Clock, zone: tzinfo) -> None:
        self._plan = plan
        self._backups = backups
        self._doors = doors
        self._clock = clock
        self._zone = zone
        self._path = plan.layout.backups
        self._history = parse_history(read_text(self._path)) or BackupHistory(clock.now_s())
        self._child: Child | None = None
        self._child_begun_s = 0.0
        self._is_pruning = False
        self._ending = threading.Event()

    def view(self) -> ScheduledBackup:
        """Return the scheduled backups as they are now; from any thread."""
        return backup_view(self._backups, self._history, self._clock.now_s(), self._zone)

    def end(self) -> None:
        """Make ``run`` return, and end the command that it runs; from any thread."""
        self._ending.set()

    def run(self, is_settled: Callable[[], bool], serves: Callable[[], bool]) -> None:
        """Make backups until ``end``.

        Args:
            is_settled: Whether no change of the cluster is expected: the best moment for a backup.
            serves: Whether a broker serves.
        """
        self._end_left_child()
        self._save()
        while not self._ending.is_set():
            self._ending.wait(self.look(is_settled, serves))
        if self._child is not None:
            self._interrupt(self._child.process, self._child_begun_s, _PATIENCE_S)
            if self._history.is_under_way:
                self._note(self._history.ended(self._clock.now_s(), BackupOutcome.INTERRUPTED))

    def look(self, is_settled: Callable[[], bool], serves: Callable[[], bool]) -> float:
        """Begin what is due, note what has ended, and return for how many seconds there is nothing to do."""
        if self._child is not None:
            status = self._child.exit_status()
            if status is None:
                return _UNDER_WAY_LOOK_S
            self._finish(self._child, status)
            return 0.0
        now_s = self._clock.now_s()
        late_s = now_s - due_s(self._backups, self._history, now_s, self._zone)
        if late_s < 0:
            return min(-late_s, _LOOK_S)
        # A cluster that stays degraded is backed up anyway.
        if not (is_settled() or (late_s > _LOOK_S and serves())):
            return _WAITS_FOR_CLUSTER_S
        self._begin("create", *self._options())
        return 0.0

    def _options(self) -> list[str]:
        topics = [word for topic in self._backups.topics for word in ("--topic", topic)]
        return ["--scheduled", *(["--incremental"] if self._backups.incremental else []), *topics]

    def _begin(self, verb: str, *options: str) -> None:
        of_cluster = ("--cluster", self._plan.cluster, "--state-dir", str(self._plan.layout.state_dir))
        words = ("backup", verb, self._backups.target, *options, *of_cluster, "--json", "--quiet")
        self._child_begun_s = self._clock.now_s()
        self._is_pruning = verb == "prune"
        try:
            self._child = self._doors.begin(words)
        except OSError as error:
            if not self._is_pruning:
                # It counts as an attempt: the one before would be due again at once, and so without end.
                self._history = self._history.begun(self._child_begun_s, None, 0.0)
            self._fail(f"the command could not be started: {error}")
            return
        process = self._child.process
        if not self._is_pruning:
            self._note(self._history.begun(self._child_begun_s, process.pid, process.incarnation))

    def _finish(self, child: Child, status: int) -> None:
        self._child = None
        document = _document(child.output())
        if status != 0 or not document.get("ok"):
            error = document.get("error", {}).get("message") or _how_it_ended(status)
            self._fail(str(error))
        elif not self._is_pruning:
            self._succeed(document["backup"])

    def _succeed(self, backup: dict[str, str | int]) -> None:
        now_s = self._clock.now_s()
        self._note(self._history.succeeded(now_s, str(backup["id"]), int(backup["size_bytes"])))
        size, took = human_size(int(backup["size_bytes"])), duration(self._history.took_s or 0.0)
        what = f"backup {backup['id']} in {self._backups.target}: {plural(int(backup['records']), 'record')}"
        self._doors.record_event("backup_scheduled", f"{what}, {size} in {took}")
        if self._backups.keep:
            self._begin("prune", "--scheduled", "--keep", str(self._backups.keep), "--yes")

    def _fail(self, error: str) -> None:
        target = self._backups.target
        if self._is_pruning:
            # The new backup is there all the same: the next one is made when the schedule says so.
            kind, text = "backups_not_removed", f"older backups in {target} could not be removed: {error}"
            self._note(self._history.kept_too_many(text))
        else:
            kind, text = "backup_failed", f"no scheduled backup in {target}: {error}"
            self._note(self._history.ended(self._clock.now_s(), BackupOutcome.FAILED, error))
        self._doors.record_event(kind, text)

    def _end_left_child(self) -> None:
        """End the command of a daemon that was killed: nothing would record how it ends."""
        history = self._history
        if not history.is_under_way or self._child is not None:
            return
        if history.pid is not None and history.begun_s is not None:
            self._interrupt(Process(history.pid, history.incarnation, 0.0), history.begun_s, _LEFT_PATIENCE_S)
        self._history = history.ended(self._clock.now_s(), BackupOutcome.INTERRUPTED)

    def _interrupt(self, process: Process, begun_s: float, patience_s: float) -> None:
        """Let a command clean up, as after Ctrl-C, and kill it where it does not end; the next one cleans up then."""
        deadline_s = self._clock.monotonic_s() + patience_s
        is_starting = 0.0 <= self._clock.now_s() - begun_s < _START_UP_S
        self._doors.send_signal(process, signal.SIGTERM if is_starting else signal.SIGINT)
        while self._doors.is_alive(process):
            if self._clock.monotonic_s() > deadline_s:
                self._doors.send_signal(process, signal.SIGKILL)
                return
            self._clock.sleep(_POLL_S)

    def _note(self, history: BackupHistory) -> None:
        self._history = history
        self._save()

    def _save(self) -> None:
        try:
            write_atomically(self._path, self._history.to_json())
        except FileAccessError as error:
            logger.warning("Cannot save the backup history: %s", error)


def backup_scheduler(plan: Plan, record_event: Callable[[str, str], None], clock: Clock) -> BackupScheduler | None:
    """Return the scheduler of a plan with its real doors; None where nothing is scheduled."""
    if plan.daemon.backups is None:
        return None
    doors = BackupDoors(CommandChild, send_signal, is_alive, record_event)
    return BackupScheduler(plan, plan.daemon.backups, doors, clock, local_zone(os.environ))


def _document(output: str) -> dict[str, dict[str, str | int]]:
    try:
        found = json.loads(output)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _how_it_ended(status: int) -> str:
    if status >= 0:
        return f"it ended with exit status {status}; 'kraftd logs kraftd' has its message"
    try:
        return f"signal {signal.Signals(-status).name} ended it"
    except ValueError:
        return f"signal {-status} ended it"
