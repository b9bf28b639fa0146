"""The sequence of a start: its order, what it waits for, and what ends the wait early."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from kraftd.clock import Clock
from kraftd.errors import KraftdError, TimedOutError
from kraftd.health.programs.ladder import Answer, voter_answer
from kraftd.host.files import write_changed
from kraftd.host.jvm import AttachError
from kraftd.kafka.model import KafkaAccessError, KafkaUnreachableError, TopicOutcome
from kraftd.operate.context import ClusterContext
from kraftd.operate.doors import KafkaDoor
from kraftd.operate.render import files_of
from kraftd.operate.start.doors import StartDoors
from kraftd.operate.start.rungs import RungWatch
from kraftd.operate.store import Store
from kraftd.plan.plan import Plan
from kraftd.plan.program import DAEMON, StartStage
from kraftd.supervisord.rpc import SupervisedProcess, SupervisorRefusedError

TIE_BREAKER_AFTER_S = 4.0
"""The tie-breaker waits this long for the brokers: two of three voters elect, and its JVM would compete with theirs."""

_POLL_S = 0.03
_STATES_EVERY_S = 0.25
"""How often supervisord is asked which programs ended: at every poll it cost half the CPU of a controller's boot."""

_TOPIC_LIMIT_S = 30.0
_TOOLS_LIMIT_S = 5.0
_DAEMON_VIEW_LIMIT_S = 2.0
_ADMIN_TIMEOUT_S = 3.0
_ENDED = ("EXITED", "FATAL", "BACKOFF", "STOPPED")

logger = logging.getLogger(__name__)


class StartFailedError(KraftdError):
    """A program ended before it served."""

    code = "start_failed"


class TopicNotReadyError(KraftdError):
    """A declared topic could not be created, or has a partition without a leader."""

    code = "topic_not_ready"


class YieldedError(KraftdError):
    """A stop was requested during the start."""

    code = "yielded_to_stop"


@dataclass(frozen=True, slots=True)
class Deadline:
    """The time by which the whole command must be done, on the monotonic clock; and the limit, for the message.

    Attributes:
        generation: How many stops had been requested when the command began.
    """

    at_s: float
    limit_s: float
    generation: int

    @classmethod
    def from_now(cls, store: Store, clock: Clock, timeout_s: float) -> "Deadline":
        """Return the deadline of a command that begins now, and yields to every stop from now on."""
        return cls(clock.monotonic_s() + timeout_s, timeout_s, store.generation())

    @property
    def began_s(self) -> float:
        """When the command began, on the monotonic clock."""
        return self.at_s - self.limit_s


def yield_to_stop(store: Store, deadline: Deadline) -> None:
    """End a start, or what restarts programs, that was overtaken by a stop.

    Raises:
        YieldedError: A stop was requested since the command began.
    """
    if store.generation() > deadline.generation:
        # A rolling restart, an apply and a scale yield too.
        raise YieldedError("cannot finish: 'kraftd stop' was run meanwhile", hint="'kraftd start' starts it again.")


class StartSequence:
    """Starts programs of a cluster through supervisord, in order, and waits until they serve."""

    def __init__(self, cluster: ClusterContext, doors: StartDoors, deadline: Deadline) -> None:
        self._cluster = cluster
        self._plan = cluster.plan
        self._clock = cluster.clock
        self._reporter = cluster.reporter
        self._supervisor = cluster.supervisor
        self._doors = doors
        self._deadline = deadline
        self._notes: list[str] = []
        self._failed_tools: dict[str, str] = {}
        self._rungs = RungWatch(cluster.plan, doors, cluster.reporter, cluster.clock)
        self._states: dict[str, SupervisedProcess] = {}
        self._states_due_s = 0.0
        self._rendered: tuple[Plan, dict[Path, str]] | None = None

    def run(self, wanted: tuple[str, ...], missing: tuple[str, ...] | None = None) -> list[str]:
        """Start programs and wait until all that are wanted serve.

        Args:
            wanted: The programs that serve in the end.
            missing: The wanted programs without a process; by default all.

        Returns:
            Notes for the user, one sentence each.

        Raises:
            StartFailedError: A program ended before it served.
            TopicNotReadyError: A declared topic cannot be used.
            TimedOutError: Time is up.
            YieldedError: A stop was requested.
        """
        spawn = wanted if missing is None else missing
        tools = self._plan.starting(StartStage.OPTIONAL, wanted)
        brokers = self._plan.starting(StartStage.BROKERS, wanted)
        controllers = self._plan.starting(StartStage.CONTROLLERS, wanted)
        # supervisord starts the daemon by itself when it comes up; asking again does no harm.
        others = self._plan.starting(StartStage.SERVICES, dict.fromkeys((*wanted, DAEMON)))
        self._start_nodes(brokers, controllers, spawn)
        if brokers:
            with self._open_kafka() as kafka:
                self._create_topics(kafka)
                logger.debug("Every declared topic has its leaders")
                self._start_others(others, tools, spawn)
                self.wait_ready(controllers)
                self._await_voters(kafka, controllers)
                logger.debug("The controllers have caught up")
        else:
            self._start_others(others, tools, spawn)
            self.wait_ready(controllers)
        self.wait_ready(others)
        self._await_tools(tools)
        self.await_daemon_view()
        logger.debug("The daemon sees the cluster ready")
        return self._notes

    def spawn(self, programs: Iterable[str]) -> None:
        """Start programs and return at once.

        Raises:
            SupervisorRefusedError: One of them cannot be spawned.
        """
        for name in programs:
            self._reporter.program(name, "starting")
            self._rungs.began_s[name] = self._clock.monotonic_s()
            self._supervisor.start(self._plan.program(name).supervised_name)
            self._states_due_s = 0.0

    def wait_ready(self, programs: Iterable[str], between: Callable[[set[str]], None] | None = None) -> None:
        """Wait until programs serve.

        Args:
            programs: Programs that were spawned.
            between: Called at each poll with the programs that do not serve yet.

        Raises:
            StartFailedError: One of them ended.
            TimedOutError: The command's time is up.
            YieldedError: A stop was requested.
        """
        pending = {name: Answer(ready=False) for name in programs}
        while pending:
            for name in list(pending):
                pending[name] = self._doors.ask(self._plan.program(name))
                if pending[name].ready:
                    del pending[name]
                    self._reporter.program(name, "ready", self._took(name))
            if not pending:
                return
            if between is not None:
                between(set(pending))
            self._refuse_ended(pending)
            started_at_s = {name: state.started_at_s for name, state in self._states.items()}
            if self._is_late():
                raise self._late(pending, started_at_s)
            self._rungs.show(pending, started_at_s)
            self._pause()

    def wait_for_tools(self, programs: Iterable[str], *, within_s: float) -> dict[str, str]:
        """Wait for programs that nothing depends on, for a limited time.

        Returns:
            By name, why a program does not serve.

        Raises:
            YieldedError: A stop was requested.
        """
        pending = dict.fromkeys(programs, "")
        failed: dict[str, str] = {}
        deadline_s = self._clock.monotonic_s() + within_s
        while pending:
            is_late = self._clock.monotonic_s() > deadline_s
            ended = self._ended(pending)
            for name in list(pending):
                answer = self._doors.ask(self._plan.program(name))
                if answer.ready:
                    self._reporter.program(name, "ready", self._took(name))
                elif name in ended or is_late:
                    failed[name] = self._cause_text(name) if name in ended else answer.reason or "it does not answer"
                    self._reporter.program(name, "failed", failed[name])
                else:
                    continue
                del pending[name]
            yield_to_stop(self._cluster.store, self._deadline)
            if pending:
                self._pause()
        return failed

    def restore_files(self, programs: Iterable[str]) -> None:
        """Write the files of programs that do not run where they are not as the plan has them: damaged, or removed.

        Raises:
            FileAccessError: The operating system refuses.
        """
        directories = {self._plan.layout.config(name) for name in programs}
        if not directories:
            return
        try:
            files = self.rendered(self._plan)
        except KraftdError as error:
            # An app needs neither Java nor Kafka; what a node lacks, its own start tells.
            logger.debug("No file is compared: %s", error)
            return
        own = {path: text for path, text in files.items() if not directories.isdisjoint(path.parents)}
        for path in write_changed(own):
            self._reporter.step(f"Wrote {path} again: it was not as the plan has it")

    def rendered(self, plan: Plan) -> dict[Path, str]:
        """Return the files of a plan with the Java and the jars that are here; made once for equal plans.

        Raises:
            RuntimeMissingError: Java or Kafka is missing.
        """
        if self._rendered is None or self._rendered[0] != plan:
            launch = self._doors.locate(plan, self._cluster.command_context).launch
            self._rendered = plan, files_of(plan, launch, self._cluster.command_context)
        return self._rendered[1]

    def _open_kafka(self) -> AbstractContextManager[KafkaDoor]:
        return self._cluster.doors.open_kafka(self._plan.access, _ADMIN_TIMEOUT_S)

    def _start_nodes(self, brokers: tuple[str, ...], controllers: tuple[str, ...], spawn: tuple[str, ...]) -> None:
        """Start all brokers at once, and the controllers when the brokers serve, one ends, or time has passed."""
        self.spawn(name for name in brokers if name in spawn)
        held_back = [name for name in controllers if name in spawn]
        release_s = self._clock.monotonic_s() + TIE_BREAKER_AFTER_S

        def release_controllers(pending: set[str]) -> None:
            if held_back and (self._clock.monotonic_s() > release_s or self._ended(pending)):
                self.spawn(held_back)
                held_back.clear()

        self.wait_ready(brokers, between=release_controllers)
        self.spawn(held_back)

    def _start_others(self, names: tuple[str, ...], tools: tuple[str, ...], spawn: tuple[str, ...]) -> None:
        """Start the apps, the daemon and the tools; while they load, let JMX clients into the brokers."""
        self.spawn(name for name in names if name in spawn)
        for name in tools:
            try:
                self.spawn(each for each in spawn if each == name)
            except SupervisorRefusedError as error:
                self._failed_tools[name] = str(error)
        self._enable_jmx()

    def _enable_jmx(self) -> None:
        """Let JMX clients in; a broker serves Kafka without JMX, so that a refusal is only a note."""
        processes = self._cluster.find_processes().processes
        for broker in self._plan.brokers:
            if broker.name in processes and broker.jmx is not None:
                try:
                    self._doors.enable_jmx(processes[broker.name], broker.jmx, self._plan.layout.jmx, self._clock)
                except AttachError as error:
                    self._notes.append(f"{broker.name} has no JMX: {error}")

    def _create_topics(self, kafka: KafkaDoor) -> None:
        for outcome in self._created_topics(kafka):
            if outcome.failure is not None:
                raise TopicNotReadyError(
                    f"cannot use the topic {outcome.name}: {outcome.failure.text}",
                    hint="'kraftd status' shows which brokers serve; 'kraftd start' tries again.",
                    details={"topic": outcome.name, "error": outcome.failure.error},
                )
            if outcome.created:
                self._reporter.step(f"Created the topic {outcome.name}")
            self._notes += [
                f"topic {outcome.name}: {each.setting} is {each.actual}, not {each.declared}; kraftd does not change it"
                for each in outcome.differences
            ]

    def _created_topics(self, kafka: KafkaDoor) -> tuple[TopicOutcome, ...]:
        """Return the outcomes, asked again while no broker answers: on a busy machine one that serves may be slow."""
        while True:
            try:
                return kafka.create_topics(self._plan.topics, _TOPIC_LIMIT_S)
            except KafkaUnreachableError as error:
                self._check(f"the topics ({error})")
            self._pause()

    def _await_voters(self, kafka: KafkaDoor, controllers: tuple[str, ...]) -> None:
        nodes = [node for node in self._plan.controllers if node.name in controllers]
        while nodes:
            try:
                quorum = kafka.quorum()
            except KafkaAccessError as error:
                self._check(f"the quorum ({error})")
            else:
                answers = {node.name: voter_answer(node, quorum) for node in nodes}
                nodes = [node for node in nodes if not answers[node.name].ready]
                if nodes:
                    self._check(", ".join(f"{node.name} ({answers[node.name].reason})" for node in nodes))
            if nodes:
                self._pause()

    def _await_tools(self, tools: tuple[str, ...]) -> None:
        """Give the tools a moment; the cluster serves without them, so that a failure is only a note."""
        started = [name for name in tools if name not in self._failed_tools]
        self._failed_tools |= self.wait_for_tools(started, within_s=_TOOLS_LIMIT_S)
        self._notes += [
            f"{name} does not serve; the cluster runs without it: {why} ('kraftd logs {name}')"
            for name, why in self._failed_tools.items()
        ]

    def await_daemon_view(self) -> None:
        """Give the daemon a moment to see all programs ready, so that the next status does not show an older state."""
        deadline_s = self._clock.monotonic_s() + _DAEMON_VIEW_LIMIT_S
        while self._clock.monotonic_s() < deadline_s and not self._doors.daemon_sees_ready(self._plan):
            self._pause()

    def _check(self, missing: str) -> None:
        """End the wait where the command's time is up or a stop was requested.

        Args:
            missing: The programs that the wait is for, for the message.
        """
        if self._is_late():
            raise self._timed_out(missing)

    def _is_late(self) -> bool:
        """Return whether the command's time is up.

        Raises:
            YieldedError: A stop was requested.
        """
        yield_to_stop(self._cluster.store, self._deadline)
        return self._clock.monotonic_s() > self._deadline.at_s

    def _late(self, pending: Mapping[str, Answer], started_at_s: Mapping[str, float | None]) -> TimedOutError:
        """Return the error that names programs with their rungs and the lines of their logs that matter."""
        missing = [self._rungs.described(name, answer, started_at_s.get(name)) for name, answer in pending.items()]
        return self._timed_out(", ".join(missing), self._rungs.relevant_lines(pending, started_at_s))

    def _timed_out(self, missing: str, lines: Mapping[str, Sequence[str]] | None = None) -> TimedOutError:
        logged = [f"\n  {name} logged: {line}" for name, own in (lines or {}).items() for line in own]
        what = f"cannot finish the start within {self._deadline.limit_s:g} s: still waiting for {missing}"
        return TimedOutError(
            what + "".join(logged),
            hint="'kraftd status' and 'kraftd logs' show more. Programs keep running. --timeout allows more time.",
            details={"lines": dict(lines or {})},
        )

    def _pause(self) -> None:
        self._clock.sleep(_POLL_S)

    def _ended(self, programs: Iterable[str]) -> set[str]:
        """Return which of the programs have ended, as supervisord said at most 0.25 s ago."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._states_due_s:
            self._states = self._supervisor.processes()
            self._states_due_s = now_s + _STATES_EVERY_S
        return {name for name in programs if name in self._states and self._states[name].state in _ENDED}

    def _refuse_ended(self, pending: Iterable[str]) -> None:
        for name in sorted(self._ended(pending)):
            cause = self._doors.cause_of_end(self._plan, name, self._supervisor.processes()[name])
            log = self._plan.layout.main_log(self._plan.program(name))
            if not log.is_file():
                # It ended before it wrote one.
                log = self._plan.layout.console(name)
            self._reporter.program(name, "failed", cause.text)
            raise StartFailedError(
                f"cannot start {name}: {cause.text}",
                hint=f"{cause.remedy} The log: {log} ('kraftd logs {name}').",
                details={"program": name, "cause": cause.text, "log": str(log)},
            )

    def _cause_text(self, name: str) -> str:
        return self._doors.cause_of_end(self._plan, name, self._supervisor.processes()[name]).text

    def _took(self, name: str) -> str:
        began_s = self._rungs.began_s.get(name)
        return f"{self._clock.monotonic_s() - began_s:.1f} s" if began_s is not None else ""
