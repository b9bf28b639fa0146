"""`kraftd start --foreground`: a start that stays, for containers and service managers, which it tells the verdict.

It ends when a signal or `kraftd stop` asks for it, or when the cluster cannot go on, and leaves nothing running. Where
its start fails, it stops what it has started, unless something of the cluster ran before: then all is left as it is.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from kraftd.clock import Clock
from kraftd.errors import LOCKED, KraftdError, NeedsRunningClusterError, RefusedError, TimedOutError
from kraftd.escapes import escaped
from kraftd.health.programs.state import ServiceState, Status
from kraftd.health.report.documents import HealthDocument, StatusDocument
from kraftd.host.events import Event, EventFollower
from kraftd.host.lock import acquire, holder_now, try_acquire
from kraftd.host.notify import ServiceManager
from kraftd.host.processes import Process, reap_children
from kraftd.host.signals import StopSignals
from kraftd.operate.configuring import recorded_or_configured_plan
from kraftd.operate.context import ClusterContext, CommandContext, cluster_context
from kraftd.operate.ownership import refuse_foreign
from kraftd.operate.selection import ChosenCluster
from kraftd.operate.start.sequence import YieldedError
from kraftd.operate.start.start import StartOptions, StartResult, start
from kraftd.operate.status import health
from kraftd.operate.stop.stop import StopOptions, StopResult, stop
from kraftd.plan.plan import Plan
from kraftd.plan.program import Kind
from kraftd.units import shortened

_ASK_EVERY_S = 2.0
_ASK_TIMEOUT_S = 1.0
_FRESH_WITHIN_S = 10.0
"""While a broker is frozen, an observation takes the daemon seconds."""

_MOST_CHARACTERS = 200


@dataclass(slots=True)
class Relay:
    """The daemon's newest document, asked for now and then, and the part of it that goes to the service manager.

    Attributes:
        health: The daemon's document, within a time in seconds.
        newest: The newest one; None where the daemon did not answer.
    """

    manager: ServiceManager
    health: Callable[[Plan, float], HealthDocument]
    clock: Clock
    newest: StatusDocument | None = field(default=None, init=False)
    _due_at_s: float = field(default=0.0, init=False)
    _said: str = field(default="", init=False)

    def ask(self, plan: Plan, *, is_changing: bool) -> None:
        """Ask the daemon if it is time, and relay its verdict, and that it observes.

        Args:
            plan: The cluster.
            is_changing: Whether a command is at work on the cluster, during which the daemon may be away.
        """
        now_s = self.clock.monotonic_s()
        if now_s < self._due_at_s:
            return
        # sd_watchdog_enabled(3): in half of the time.
        self._due_at_s = now_s + min(_ASK_EVERY_S, (self.manager.watchdog_s or 2 * _ASK_EVERY_S) / 2)
        try:
            document = self.health(plan, _ASK_TIMEOUT_S)
        except NeedsRunningClusterError:
            self.newest = None
            self._say("A command restarts the cluster" if is_changing else "The daemon does not answer")
        else:
            self.newest = document
            self._say(status_line(document))
        if self.manager.watchdog_s and (is_changing or is_fresh(self.newest)):
            self.manager.notify(WATCHDOG="1")

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self.manager.notify(STATUS=text)


def is_fresh(document: StatusDocument | None) -> bool:
    """Return whether the daemon observes: a document is there, and of a new observation."""
    return isinstance(document, HealthDocument) and document.age_s < _FRESH_WITHIN_S


def status_line(document: StatusDocument) -> str:
    """Return the verdict with its reasons on one line."""
    why = "; ".join(document.reasons)
    if document.status is Status.OK and not why:
        why = f"Kafka {document.kafka_version} on {document.bootstrap_servers}"
    return shortened(escaped(f"{document.status}: {why}" if why else str(document.status)), _MOST_CHARACTERS)


def given_up(document: StatusDocument | None) -> str:
    """Return why no broker can come back without a person; empty while one serves, or is restarted."""
    brokers = [node for node in document.nodes if node.kind == Kind.BROKER] if document else []
    if not brokers or any(node.service_state is not ServiceState.GIVEN_UP for node in brokers):
        return ""
    return ", ".join(f"{node.name} ({escaped(node.reason or 'given up')})" for node in brokers)


COMMAND = "start --foreground"
_POLL_S = 0.2
_STOP_TIMEOUT_S = 330.0
"""How long a broker may take to close its logs."""
_HURRIED_STOP_S = 1.0


class ClusterEndedError(KraftdError):
    """The cluster ended, or cannot come up again, although nobody asked for it."""

    code = "cluster_ended"


class HurriedStopError(KraftdError):
    """A second signal ended the stop early."""

    exit_code: ClassVar[int] = 130
    code = "interrupted"


class View(Protocol):
    """Shows what the command does while it stays."""

    def started(self, result: StartResult) -> None:
        """Show the cluster that is ready."""

    def event(self, event: Event) -> None:
        """Show an event of the cluster."""

    def stopped(self, result: StopResult) -> None:
        """Show the cluster that was stopped."""


@dataclass(frozen=True, slots=True)
class ForegroundDoors:
    """The functions through which the command reaches outside; tests give others.

    Attributes:
        start: Brings the cluster up.
        health: The daemon's document, within a time in seconds.
        cluster: The context of a plan.
        reap: Reaps the children that ended; their exit statuses by pid.
    """

    start: Callable[[ChosenCluster, StartOptions, CommandContext], StartResult] = start
    health: Callable[[Plan, float], HealthDocument] = health
    cluster: Callable[[Plan, CommandContext], ClusterContext] = cluster_context
    reap: Callable[[], Mapping[int, int]] = reap_children


@dataclass(slots=True)
class Foreground:
    """One cluster in the foreground."""

    chosen: ChosenCluster
    options: StartOptions
    command_context: CommandContext
    signals: StopSignals
    manager: ServiceManager
    view: View
    doors: ForegroundDoors = field(default_factory=ForegroundDoors)
    _plan: Plan = field(init=False)
    _supervisor: Process | None = field(default=None, init=False)
    _supervisor_status: int | None = field(default=None, init=False)
    _generation: int = field(default=0, init=False)
    _is_changing: bool = field(default=False, init=False)

    def run(self) -> None:
        """Start the cluster, stay while it runs, and stop it; returns after a stop that somebody asked for.

        Raises:
            ClusterEndedError: The cluster ended otherwise; what was left of it was stopped.
            HurriedStopError: A second signal ended the stop early.
            RefusedError: Another command keeps the cluster in the foreground.
            KraftdError: As ``start`` and ``stop`` raise.
        """
        refuse_foreign(self.chosen.layout)
        with self._only_one():
            cluster = self._cluster()
            table = cluster.find_processes()
            ran_before = bool(table.processes) or table.supervisor is not None
            self._generation = cluster.store.generation()
            began_s = self.command_context.clock.now_s()
            try:
                with self.signals.interrupting():
                    result = self._start()
            except KeyboardInterrupt:
                if holder := holder_now(cluster.layout.lock):
                    # It only waited for that command, or has let it in: what that one does is not its own to stop.
                    cluster.reporter.step(f"Ended; {holder} goes on")
                else:
                    self._stop()
                return
            except YieldedError:
                self._stop()
                return
            except KraftdError as error:
                # What ran before this command, and what another one starts, is not its own to stop.
                if not ran_before and error.code != LOCKED:
                    self._stop()
                raise
            self._stay(result, began_s)

    @contextlib.contextmanager
    def _only_one(self) -> Iterator[None]:
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(
                    acquire(
                        self.chosen.layout.foreground_lock,
                        command=COMMAND,
                        clock=self.command_context.clock,
                        timeout_s=0.0,
                    )
                )
            except TimedOutError as error:
                path, name = self.chosen.layout.foreground_lock, self.chosen.configuration.settings.cluster.name
                raise RefusedError(
                    f"cannot keep the cluster {name} in the foreground: {holder_now(path) or 'another command'} does",
                    hint="'kraftd events -f' follows the cluster, 'kraftd stop' ends both.",
                    code="foreground_taken",
                ) from error
            yield

    def _cluster(self, plan: Plan | None = None) -> ClusterContext:
        plan = plan or recorded_or_configured_plan(self.chosen, self.command_context)
        return self.doors.cluster(plan, self.command_context)

    def _start(self) -> StartResult:
        if self.signals.received:
            raise KeyboardInterrupt
        self.manager.notify(STATUS="Starting")
        return self.doors.start(self.chosen, self.options, self.command_context)

    def _stay(self, result: StartResult, began_s: float) -> None:
        """Stay while the cluster runs, and stop it, however this ends."""
        self._plan, is_stopped = result.plan, False
        cluster = self._cluster(result.plan)
        try:
            self._supervisor = cluster.find_processes().supervisor
            self.manager.notify(READY="1", STATUS="Ready", MAINPID=str(os.getpid()))
            # A signal ends this also where nobody reads the output any more, so that a print does not return.
            with contextlib.suppress(KeyboardInterrupt), self.signals.interrupting():
                self.view.started(result)
                with contextlib.closing(EventFollower(cluster.layout.events)) as events:
                    for event in events.kept(began_s):
                        self.view.event(event)
                    is_stopped = self._watch(cluster, events)
        except BaseException:
            self._stop()
            raise
        if not is_stopped:
            self._stop()

    def _watch(self, cluster: ClusterContext, events: EventFollower) -> bool:
        """Return when a signal asks for the end, or a command has stopped the cluster; whether it is stopped.

        Raises:
            ClusterEndedError: It cannot go on.
        """
        relay = Relay(self.manager, self.doors.health, cluster.clock)
        while not self.signals.received and self._is_kept_up(cluster):
            for event in events.new():
                self.view.event(event)
            relay.ask(self._plan, is_changing=self._is_changing)
            if reasons := given_up(relay.newest):
                raise ClusterEndedError(
                    f"cannot keep the cluster {cluster.plan.cluster} up: no broker is left that a restart could help: "
                    f"{reasons}",
                    hint="Fix that, then start it again.",
                    code="given_up",
                )
            cluster.clock.sleep(_POLL_S)
        for event in events.new():
            self.view.event(event)
        return not self.signals.received

    def _is_kept_up(self, cluster: ClusterContext) -> bool:
        """Return whether the cluster goes on; False once a command has stopped it.

        Raises:
            ClusterEndedError: supervisord ended, and nobody asked for that.
        """
        for pid, status in self.doors.reap().items():
            if self._supervisor is not None and pid == self._supervisor.pid:
                self._supervisor_status = status
        if self._supervisor is not None and cluster.doors.is_alive(self._supervisor):
            self._is_changing = False
            return True
        if not cluster.layout.plan.exists() and not cluster.find_processes().processes:
            # Destroyed after its stop.
            return False
        with try_acquire(cluster.layout.lock, command=COMMAND) as is_free:
            self._is_changing = not is_free
            return self._is_changing or self._has_new_supervisor(cluster)

    def _has_new_supervisor(self, cluster: ClusterContext) -> bool:
        """Return whether a command has started supervisord again, such as a restart; False after a stop.

        Raises:
            ClusterEndedError: supervisord ended, and nobody asked for that.
        """
        table = cluster.find_processes()
        self._supervisor = table.supervisor
        generation = cluster.store.generation()
        if table.supervisor is not None:
            self._generation, self._plan = generation, self._cluster().plan
            return True
        if generation > self._generation and not table.processes:
            return False
        raise ClusterEndedError(
            f"cannot keep the cluster {cluster.plan.cluster} up: supervisord ended{self._how()}",
            hint=f"'kraftd events' and {cluster.layout.supervisord_log} may say why; then start it again.",
        )

    def _how(self) -> str:
        status = self._supervisor_status
        if status is None:
            return ""
        return f" with exit status {status}" if status >= 0 else f" with signal {-status}"

    def _stop(self) -> None:
        """Stop whatever runs, in order; a signal meanwhile ends it early."""
        self.manager.notify(STOPPING="1", STATUS="Stopping")
        cluster = self._cluster()
        try:
            with self.signals.interrupting():
                result = stop(cluster, StopOptions(timeout_s=_STOP_TIMEOUT_S, command=COMMAND))
        except KeyboardInterrupt as error:
            cluster.reporter.step("A second signal: killing what does not end")
            stop(cluster, StopOptions(timeout_s=_HURRIED_STOP_S, command=COMMAND))
            raise HurriedStopError(
                f"cannot wait for every log to close: a second signal ended the stop of {cluster.plan.cluster} early",
                hint="Brokers that were killed check their logs at the next start, and lose no acknowledged record.",
            ) from error
        finally:
            self.doors.reap()
        if result.programs:
            with contextlib.suppress(KeyboardInterrupt), self.signals.interrupting():
                self.view.stopped(result)
