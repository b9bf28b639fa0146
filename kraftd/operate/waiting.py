"""Waiting until programs serve, as `kraftd start` does it: what is asked, what ends the wait, who is to blame."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from kraftd.errors import KraftdError, TimedOutError
from kraftd.host.files import tail
from kraftd.operate.store import Store
from kraftd.operate.workspace import Workspace
from kraftd.spec.plan import Plan
from kraftd.supervisord.door import SupervisedProcess, Supervisor
from kraftd.supervisord.exits import last_exits
from kraftd.watch.causes import Cause, diagnose
from kraftd.watch.evidence import last_records, main_log
from kraftd.watch.readiness import Answer, ask

_POLL_S = 0.03
_STATES_EVERY_S = 0.25
"""supervisord is asked this often who ended: at every poll it cost as much CPU as half a controller's boot."""

_ASK_TIMEOUT_S = 2.0
_ENDED = ("EXITED", "FATAL", "BACKOFF", "STOPPED")
_EXIT_LOG_LINES = 200


class StartFailedError(KraftdError):
    """A program ended before it served."""

    code = "start_failed"


class YieldedError(KraftdError):
    """A stop was asked for while the start was under way."""

    code = "yielded_to_stop"


@dataclass(frozen=True, slots=True)
class Deadline:
    """When the whole command must be done, on the monotonic clock; and the limit, for the message.

    Attributes:
        generation: How often a stop had been asked for when the command began.
    """

    at_s: float
    limit_s: float
    generation: int


def yield_to_stop(store: Store, deadline: Deadline) -> None:
    """End a start that a stop has overtaken.

    Raises:
        YieldedError: A stop was asked for since the command began.
    """
    if store.generation() > deadline.generation:
        raise YieldedError(
            "cannot finish the start: 'kraftd stop' was asked for meanwhile", hint="Start again when you want to."
        )


class StartWait:
    """Starts programs through supervisord and waits for them, on behalf of one command."""

    def __init__(self, plan: Plan, supervisor: Supervisor, workspace: Workspace, deadline: Deadline) -> None:
        self._plan = plan
        self.supervisor = supervisor
        self._workspace = workspace
        self._deadline = deadline
        self._store = Store(plan.layout)
        self._begun_s: dict[str, float] = {}
        self._states: dict[str, SupervisedProcess] = {}
        self._states_due_s = 0.0

    def spawn(self, programs: Iterable[str]) -> None:
        """Start programs and return at once.

        Raises:
            SupervisorRefusedError: One of them cannot be spawned.
        """
        for name in programs:
            self._workspace.reporter.program(name, "starting")
            self._begun_s[name] = self._workspace.clock.monotonic_s()
            self.supervisor.start(self._plan.supervised_name(name))
            self._states_due_s = 0.0

    def until_ready(self, programs: Iterable[str], between: Callable[[set[str]], None] | None = None) -> None:
        """Wait until programs serve.

        Args:
            programs: What was spawned.
            between: Called at each turn with the programs that do not serve yet.

        Raises:
            StartFailedError: One of them ended.
            TimedOutError: The command's time is up.
            YieldedError: A stop was asked for.
        """
        pending = {name: Answer(ready=False) for name in programs}
        while pending:
            for name in list(pending):
                pending[name] = ask(self._plan, name, timeout_s=_ASK_TIMEOUT_S)
                if pending[name].ready:
                    del pending[name]
                    self._workspace.reporter.program(name, "ready", self._took(name))
            if not pending:
                return
            if between is not None:
                between(set(pending))
            self._refuse_ended(pending)
            self.check(", ".join(f"{name} ({answer.reason})" for name, answer in pending.items()))
            self._workspace.clock.sleep(_POLL_S)

    def settle(self, programs: Iterable[str], *, within_s: float) -> dict[str, str]:
        """Wait for programs that nothing depends on, at most so many seconds.

        Returns:
            Why those that do not serve do not, by name.

        Raises:
            YieldedError: A stop was asked for.
        """
        pending = dict.fromkeys(programs, "")
        unready: dict[str, str] = {}
        deadline_s = self._workspace.clock.monotonic_s() + within_s
        while pending:
            is_late = self._workspace.clock.monotonic_s() > deadline_s
            ended = self.ended(pending)
            for name in list(pending):
                answer = ask(self._plan, name, timeout_s=_ASK_TIMEOUT_S)
                if answer.ready:
                    self._workspace.reporter.program(name, "ready", self._took(name))
                elif name in ended or is_late:
                    unready[name] = self._cause(name).text if name in ended else answer.reason or "it does not answer"
                    self._workspace.reporter.program(name, "failed", unready[name])
                else:
                    continue
                del pending[name]
            yield_to_stop(self._store, self._deadline)
            if pending:
                self.pause()
        return unready

    def check(self, missing: str) -> None:
        """End the wait where it must end.

        Args:
            missing: What is waited for, for the message.

        Raises:
            TimedOutError: The command's time is up.
            YieldedError: A stop was asked for.
        """
        yield_to_stop(self._store, self._deadline)
        if self._workspace.clock.monotonic_s() > self._deadline.at_s:
            raise TimedOutError(
                f"cannot finish the start within {self._deadline.limit_s:g} s: still waiting for {missing}",
                hint="'kraftd status' and 'kraftd logs' tell more; what runs goes on. --timeout gives more time.",
            )

    def pause(self) -> None:
        """Wait for a moment before asking again."""
        self._workspace.clock.sleep(_POLL_S)

    def ended(self, programs: Iterable[str]) -> set[str]:
        """Return which of the programs have ended, as supervisord said at most 0.25 s ago."""
        now_s = self._workspace.clock.monotonic_s()
        if now_s >= self._states_due_s:
            self._states = self.supervisor.processes()
            self._states_due_s = now_s + _STATES_EVERY_S
        return {name for name in programs if name in self._states and self._states[name].state in _ENDED}

    def _refuse_ended(self, pending: Iterable[str]) -> None:
        for name in sorted(self.ended(pending)):
            cause = self._cause(name)
            log = self._log(name)
            self._workspace.reporter.program(name, "failed", cause.text)
            raise StartFailedError(
                f"cannot start {name}: {cause.text}",
                hint=f"{cause.remedy} The log: {log} ('kraftd logs {name}').",
                details={"program": name, "cause": cause.text, "log": str(log)},
            )

    def _cause(self, name: str) -> Cause:
        process = self.supervisor.processes()[name]
        if process.spawn_error:
            return Cause(f"supervisord cannot spawn it: {process.spawn_error}", "Fix that, then start again.")
        ended = last_exits(tail(self._plan.layout.supervisord_log, _EXIT_LOG_LINES)).get(name)
        records = last_records(self._plan.layout, name, self._plan.kinds[name], process.started_at_s)
        return diagnose(str(ended or "it ended"), records)

    def _log(self, name: str) -> Path:
        """Return a program's log, its console where it ended before it wrote one."""
        log = main_log(self._plan.layout, name, self._plan.kinds[name])
        return log if log.is_file() else self._plan.layout.console(name)

    def _took(self, name: str) -> str:
        begun_s = self._begun_s.get(name)
        return f"{self._workspace.clock.monotonic_s() - begun_s:.1f} s" if begun_s is not None else ""
