"""What hangs: the watchdog's decision, carried out through the daemon's doors, and the heartbeat of the daemon itself.

The heartbeat is a file that the daemon touches after each look, by which supervisord knows that it does not hang. A
daemon that looks but no longer serves HTTP hangs as well: it beats only while both go on.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

from kraftd.clock import Clock
from kraftd.daemon.doors import DaemonDoors
from kraftd.errors import FileAccessError
from kraftd.health.programs.causes import Cause
from kraftd.health.programs.ladder import Answer, ProcessFact, Silence
from kraftd.health.programs.state import LastExit
from kraftd.health.programs.watchdog import (
    Hang,
    Run,
    Step,
    describe,
    dumps_threads,
    is_served_elsewhere,
    next_step,
    node_in_the_way,
    observed,
    taken,
    wakes_supervisord,
)
from kraftd.host.files import read_text, write_atomically
from kraftd.host.processes import Process
from kraftd.observe.processes import ProcessTable
from kraftd.plan.desired import DesiredState
from kraftd.plan.kinds import Daemon, Node
from kraftd.plan.plan import Plan
from kraftd.plan.program import DAEMON, Program
from kraftd.supervisord.heartbeat import HUNG
from kraftd.supervisord.rpc import SUPERVISORD

_ASK_COST_EVERY_S = 5.0
_SIGNALS = {Step.TERMINATE: signal.SIGTERM, Step.KILL: signal.SIGKILL}
_LEAST_TICKS = 3


class Watchdog:
    """Notes how long programs are silent, and ends those that are hung."""

    def __init__(self, plan: Plan, doors: DaemonDoors, clock: Clock) -> None:
        self._plan = plan
        self._doors = doors
        self._clock = clock
        self._hangs: dict[str, Hang] = {}
        self._runs: dict[str, Process] = {}
        self._ended: dict[str, tuple[Process, str]] = {}
        self._cost_asked_at_s: dict[str, float] = {}
        self._supervisord: Hang | None = None

    def update(
        self,
        process_table: ProcessTable,
        answers: Mapping[str, Answer],
        desired: DesiredState,
        served: Mapping[str, Process],
    ) -> dict[str, str]:
        """Note which programs answered, do what is due, and return what was done about those that are hung.

        Args:
            process_table: The programs that run.
            answers: Whether they serve.
            desired: Which programs should run; what should not, or is paused, is left alone.
            served: The incarnations that have answered before.
        """
        limits = self._plan.daemon.watchdog
        self._forget_ended(process_table)
        self._watch_supervisord(process_table)
        if not limits.enabled or not process_table.supervised:
            self._hangs.clear()
            return {}
        now_s = self._clock.monotonic_s()
        self._note(process_table, answers, desired, now_s)
        if due := self._due(process_table, served, now_s):
            self._act(due, process_table, answers)
        return {
            name: describe(hang, self._plan.program(name), now_s)
            for name, hang in self._hangs.items()
            if hang.step is not None
        }

    def explained(
        self, cause_of_exit: Callable[[str, ProcessFact, LastExit | None], Cause]
    ) -> Callable[[str, ProcessFact, LastExit | None], Cause]:
        """Return a function that gives the causes of exits, those that the watchdog brought about included."""

        def explain(name: str, fact: ProcessFact, ended: LastExit | None) -> Cause:
            if name in self._ended:
                text = f"{ended or 'it ended'}: the watchdog ended it, {self._ended[name][1]}"
                return Cause(text, "Its log has a dump of its threads.", code="hung")
            return cause_of_exit(name, fact, ended)

        return explain

    def _due(self, process_table: ProcessTable, served: Mapping[str, Process], now_s: float) -> dict[str, Step]:
        due = {}
        for name, hang in self._hangs.items():
            program, process = self._plan.program(name), process_table.processes[name]
            run = Run(
                max(0.0, self._clock.now_s() - process.started_at_s),
                served.get(name) == process,
                self._doors.log_age_s(name),
            )
            if step := next_step(self._plan.daemon.watchdog, program, hang, run, now_s):
                due[name] = step
        return due

    def _watch_supervisord(self, process_table: ProcessTable) -> None:
        """Continue a supervisord that gives no answer: nothing else would before the next command."""
        now_s, process = self._clock.monotonic_s(), process_table.supervisor
        silence = Silence.NO_ANSWER if process_table.unreachable is not None else None
        hang = self._supervisord = observed(self._supervisord, silence, now_s)
        if process is None or hang is None or not wakes_supervisord(self._plan.daemon.watchdog, hang, now_s):
            return
        self._doors.send_signal(process, signal.SIGCONT)
        if hang.step is None:
            text = f"it has given no answer for {now_s - hang.since_s:.0f} s; the watchdog continued it"
            self._doors.record_event("hung", SUPERVISORD, text)
        self._supervisord = taken(hang, Step.WAKE, now_s)

    def _note(
        self, process_table: ProcessTable, answers: Mapping[str, Answer], desired: DesiredState, now_s: float
    ) -> None:
        hangs = {}
        for name, process in process_table.processes.items():
            before = self._hangs.get(name) if self._runs.get(name) == process else None
            silence = answers[name].silence if name in answers and name != DAEMON and desired.wants(name) else None
            hang = observed(before, silence, now_s)
            if hang is not None:
                hangs[name] = hang
            elif before is not None and before.step is not None and desired.wants(name):
                self._doors.record_event("recovered", name, f"answers again after {now_s - before.since_s:.0f} s")
        self._hangs, self._runs = hangs, dict(process_table.processes)

    def _act(self, due: Mapping[str, Step], process_table: ProcessTable, answers: Mapping[str, Answer]) -> None:
        with self._doors.try_lock() as is_held:
            if not is_held:
                return
            # A command may have paused or stopped programs before the lock was held.
            desired = self._doors.read_desired()
            nodes = [node for node in self._plan.nodes if desired.wants(node.name)]
            ready = {name for name, answer in answers.items() if answer.ready}
            # Nobody watches what is not wanted, such as a paused broker, which may serve.
            serving = ready | {name for name in process_table.processes if not desired.wants(name)}
            for name, step in due.items():
                program = self._plan.program(name)
                if not desired.wants(name):
                    continue
                if step is Step.TERMINATE:
                    obstacle = node_in_the_way(program, nodes, ready, self._hangs) or self._cost(program, serving)
                    if obstacle is not None:
                        self._leave(name, obstacle)
                        continue
                self._take(program, step, process_table.processes[name])

    def _take(self, program: Program, step: Step, process: Process) -> None:
        name, now_s = program.name, self._clock.monotonic_s()
        if step is Step.WAKE:
            if dumps_threads(program):
                self._doors.send_signal(process, signal.SIGQUIT)
        else:
            self._doors.send_signal(process, _SIGNALS[step])
        # A frozen process takes no other signal before it continues.
        self._doors.send_signal(process, signal.SIGCONT)
        hang = taken(self._hangs[name], step, now_s)
        self._hangs[name] = hang
        if step is not Step.WAKE:
            self._ended[name] = process, f"because it gave no answer for {now_s - hang.since_s:.0f} s"
        self._doors.record_event("hung", name, describe(hang, program, now_s))

    def _leave(self, name: str, obstacle: str) -> None:
        hang = self._hangs[name]
        if hang.obstacle != obstacle:
            hang = self._hangs[name] = replace(hang, obstacle=obstacle)
            text = describe(hang, self._plan.program(name), self._clock.monotonic_s())
            self._doors.record_event("hung", name, text)

    def _cost(self, program: Program, serving: Collection[str]) -> str | None:
        """Return what speaks against the end of a program; None where nothing does."""
        if not isinstance(program, Node) or not is_served_elsewhere(program, self._plan.brokers, serving, self._hangs):
            return None
        now_s, name = self._clock.monotonic_s(), program.name
        asked_at_s = self._cost_asked_at_s.get(name)
        known = self._hangs[name].obstacle
        if known is not None and asked_at_s is not None and now_s - asked_at_s < _ASK_COST_EVERY_S:
            return known
        self._cost_asked_at_s[name] = now_s
        return self._doors.stop_obstacle(program)

    def _forget_ended(self, process_table: ProcessTable) -> None:
        self._ended = {
            name: (process, why)
            for name, (process, why) in self._ended.items()
            if process_table.processes.get(name) in (None, process)
        }


def longest_silence_s(daemon: Daemon) -> float:
    """Return how long the daemon may go without a look before it counts as hung."""
    return max(daemon.watchdog.daemon_silent_s, _LEAST_TICKS * daemon.interval_s)


class Heartbeat:
    """The heartbeat of one run of the daemon."""

    def __init__(self, path: Path, daemon: Daemon) -> None:
        self._path = path
        self._limit_s = longest_silence_s(daemon)
        self._is_enabled = daemon.watchdog.enabled
        self._does_http_go_on = False

    def begin(self) -> bool:
        """Have supervisord watch this run, where that is enabled; return whether it ended the run before.

        Raises:
            FileAccessError: The file cannot be read.
        """
        was_hung = HUNG in (read_text(self._path) or "")
        if self._is_enabled:
            # A full disk leaves the daemon unwatched, which must not end it.
            with contextlib.suppress(FileAccessError):
                write_atomically(self._path, f"{self._limit_s}\n")
        else:
            self.end()
        return was_hung

    def note_http(self) -> None:
        """Note that the HTTP side goes on; ``beat`` does nothing unless this was called since the beat before."""
        self._does_http_go_on = True

    def beat(self) -> None:
        """Show supervisord that the daemon has looked at the cluster, if its HTTP side goes on too."""
        if not self._does_http_go_on:
            return
        self._does_http_go_on = False
        # Where the state directory was removed, nobody looks at the file either.
        with contextlib.suppress(OSError):
            os.utime(self._path)

    def end(self) -> None:
        """Have supervisord no longer watch this run."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
