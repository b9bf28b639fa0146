"""The rungs of programs while a start waits for them: shown once it takes longer, and named when its time is up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kraftd.clock import Clock
from kraftd.health.programs.causes import relevant_lines
from kraftd.health.programs.ladder import (
    NO_PROGRESS,
    Answer,
    LogRecovery,
    Rung,
    described,
    ladder_of,
    recovery_shown,
    rung_of,
)
from kraftd.operate.context import Reporter
from kraftd.operate.start.doors import StartDoors
from kraftd.plan.plan import Plan
from kraftd.plan.program import Kind

SHOWN_AFTER_S = 3.0
"""A program that serves sooner is shown as starting only: to read its log would take from the start that it is for."""

_EVERY_S = 0.5


@dataclass(slots=True)
class RungWatch:
    """The rungs of the programs of one start; within a run, a program's rung is never lower than it was.

    Attributes:
        began_s: By program, when it was spawned, or is first waited for; on the monotonic clock.
    """

    plan: Plan
    doors: StartDoors
    reporter: Reporter
    clock: Clock
    began_s: dict[str, float] = field(default_factory=dict)
    _highest: dict[str, Rung] = field(default_factory=dict)
    _due_s: float = 0.0

    def show(self, pending: Mapping[str, Answer], started_at_s: Mapping[str, float | None]) -> None:
        """Report the rungs of programs that have taken longer; at most twice a second.

        Args:
            pending: The programs that do not serve yet, with what they answered.
            started_at_s: When their processes began, in seconds since the Unix epoch.
        """
        now_s = self.clock.monotonic_s()
        if now_s < self._due_s:
            return
        slow = [name for name in pending if now_s - self.began_s.setdefault(name, now_s) >= SHOWN_AFTER_S]
        if slow:
            self._due_s = now_s + _EVERY_S
        for name in slow:
            rung, recovery = self._rung(name, pending[name], started_at_s.get(name))
            self.reporter.rung(name, rung, str(recovery or ""))

    def described(self, name: str, answer: Answer, started_at_s: float | None) -> str:
        """Return a program that does not serve: its name, its rung, and what it answered."""
        rung = described(*self._rung(name, answer, started_at_s))
        return f"{name} ({rung}{f': {answer.reason}' if answer.reason else ''})"

    def relevant_lines(self, names: Iterable[str], started_at_s: Mapping[str, float | None]) -> dict[str, list[str]]:
        """Return, by program, the lines of its log that matter; programs without such lines are missing."""
        found = {
            name: relevant_lines(self.doors.log_records(self.plan, self.plan.program(name), started_at_s.get(name)))
            for name in names
        }
        return {name: lines for name, lines in found.items() if lines}

    def _rung(self, name: str, answer: Answer, started_at_s: float | None) -> tuple[Rung, LogRecovery | None]:
        program = self.plan.program(name)
        is_broker = program.kind is Kind.BROKER
        progress = self.doors.start_progress(self.plan, program, started_at_s) if is_broker else NO_PROGRESS
        ladder = ladder_of(program)
        rung = max(rung_of(program, answer, progress), self._highest.get(name, Rung.SPAWNED), key=ladder.index)
        self._highest[name] = rung
        return rung, recovery_shown(rung, progress)
