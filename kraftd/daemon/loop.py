"""The daemon's loop: observe, decide, restart. Everything outside is reached through the doors that it is given."""

from collections.abc import Mapping
from dataclasses import dataclass

from kraftd.clock import Clock
from kraftd.daemon.attachments import Attachments
from kraftd.daemon.doors import DaemonDoors
from kraftd.health.lag.view import KafkaView
from kraftd.health.programs.facts import SERVES, Answer, ProcessFact, voter_answer
from kraftd.health.programs.restarts import GiveUp, Policy, Restart, RestartHistory, decide
from kraftd.health.programs.state import BrokerContact, LastExit, ObservedPrograms, Snapshot, views
from kraftd.host.processes import Process
from kraftd.observe.processes import ProcessTable
from kraftd.plan.desired import DesiredState
from kraftd.plan.plan import Plan
from kraftd.plan.program import DAEMON

_MOST_REAP_QUERIES = 10


@dataclass(frozen=True, slots=True)
class Tick:
    """What one tick found.

    Attributes:
        pids: The processes to watch for an exit until the next tick.
    """

    snapshot: Snapshot
    pids: tuple[int, ...]


class Loop:
    """Observes a cluster and restarts what ended and should run."""

    def __init__(
        self,
        plan: Plan,
        doors: DaemonDoors,
        clock: Clock,
        restart_histories: Mapping[str, RestartHistory],
        policy: Policy | None = None,
    ) -> None:
        self._plan = plan
        self._doors = doors
        self._clock = clock
        self._restart_histories = dict(restart_histories)
        self._policy = policy or Policy()
        self._exits: dict[str, LastExit] = {}
        self._running: frozenset[str] = frozenset()
        self._served: dict[str, Process] = {}
        self._attachments = Attachments(plan, doors.attach, clock)

    def tick(self, *, after_exit: bool = False) -> Tick:
        """Observe everything, restart what is due, and return what there is now.

        Args:
            after_exit: A watched process ended: supervisord is asked until it has noticed.
        """
        # An observation is as old as its first question.
        now_s, monotonic_s = self._clock.now_s(), self._clock.monotonic_s()
        process_table = self._process_table(after_exit=after_exit)
        desired = self._doors.read_desired()
        self._note_exits(process_table)
        self._forget_given_up(process_table)
        if self._restart_due(process_table, desired):
            process_table = self._doors.find_processes()
        asked = tuple(name for name in process_table.processes if name != DAEMON)
        answers = {**self._doors.ask(asked), DAEMON: SERVES}
        refusals = self._attachments.update(process_table.processes, answers)
        kafka = self._doors.kafka_view()
        judged = {**answers, **self._voters(answers, kafka)}
        self._note_serving(process_table, judged)
        facts = ObservedPrograms(
            process_table.facts,
            judged,
            desired,
            self._restart_histories,
            self._exits,
            frozenset(self._served),
            refusals,
        )
        snapshot = Snapshot(
            taken_at_s=now_s,
            monotonic_s=monotonic_s,
            supervised=process_table.supervised,
            programs=views(self._plan, facts, now_s),
            kafka=kafka,
            contacts=self._contacts(answers, kafka),
            usages=self._doors.usages(process_table.processes),
            alerts=self._doors.alerts(),
        )
        return Tick(snapshot, tuple(process.pid for name, process in process_table.processes.items() if name != DAEMON))

    def _contacts(self, answers: Mapping[str, Answer], kafka: KafkaView) -> dict[int, BrokerContact]:
        alive = None if kafka.brokers is None else {broker.node_id for broker in kafka.brokers}
        return {
            broker.node_id: BrokerContact(
                latency_s=answers[broker.name].latency_s if broker.name in answers else None,
                unfenced=None if alive is None else broker.node_id in alive,
            )
            for broker in self._plan.brokers
        }

    def _voters(self, answers: Mapping[str, Answer], kafka: KafkaView) -> dict[str, Answer]:
        """Return what the quorum says of controllers whose port listens; nothing while it cannot be asked."""
        if kafka.quorum is None:
            return {}
        listening = (node for node in self._plan.controllers if node.name in answers and answers[node.name].ready)
        return {node.name: voter_answer(node, kafka.quorum) for node in listening}

    def _process_table(self, *, after_exit: bool) -> ProcessTable:
        process_table = self._doors.find_processes()
        queries_left = _MOST_REAP_QUERIES if after_exit else 0
        while queries_left and _has_unreaped(process_table):
            # The call itself wakes supervisord, which then reaps the process and says how it ended.
            self._clock.sleep(0.02)
            process_table = self._doors.find_processes()
            queries_left -= 1
        return process_table

    def _note_exits(self, process_table: ProcessTable) -> None:
        running = frozenset(process_table.processes)
        if self._running - running or not self._exits:
            self._exits = self._doors.last_exits(process_table.facts)
        for name in sorted(self._running - running):
            ended = self._exits.get(name)
            self._doors.record_event("exited", name, f"ended with {ended}" if ended else "ended")
        self._running = running

    def _note_serving(self, process_table: ProcessTable, answers: Mapping[str, Answer]) -> None:
        """Remember the incarnations that have served: one that stops answering is not starting."""
        self._served = {
            name: process
            for name, process in process_table.processes.items()
            if self._served.get(name) == process or (name in answers and answers[name].ready)
        }

    def _forget_given_up(self, process_table: ProcessTable) -> None:
        for name, memory in self._restart_histories.items():
            if memory.given_up is not None and name in process_table.processes:
                self._restart_histories[name] = RestartHistory(restarts=memory.restarts)

    def _restart_due(self, process_table: ProcessTable, desired: DesiredState) -> bool:
        """Restart what is due; return whether the programs may have changed since they were observed."""
        due_before = self._due(process_table, desired)
        if not due_before:
            return False
        with self._doors.try_lock() as is_held:
            if not is_held:
                return False
            # A command may have started or stopped programs between the observation and the lock.
            process_table = self._doors.find_processes()
            due = [name for name in self._due(process_table, self._doors.read_desired()) if name in due_before]
            for name in due:
                self._decide(name, process_table.facts[name])
        if due:
            self._doors.save_restarts(self._restart_histories)
        return True

    def _due(self, process_table: ProcessTable, desired: DesiredState) -> tuple[str, ...]:
        """Return the programs that should run, do not, and are not given up; none where supervisord is gone."""
        if process_table.supervisor is None:
            return ()
        return tuple(
            name
            for name in self._plan.names
            if name != DAEMON
            and name not in process_table.processes
            and name in process_table.facts
            and desired.wants(name)
            and self._memory(name).given_up is None
        )

    def _decide(self, name: str, fact: ProcessFact) -> None:
        cause = self._doors.cause_of_exit(name, fact, self._exits.get(name))
        memory, action = decide(
            self._policy,
            self._memory(name),
            program=name,
            process_state=fact.state,
            cause=cause,
            now_s=self._clock.now_s(),
        )
        self._restart_histories[name] = memory
        match action:
            case Restart(program, why):
                self._doors.record_event("restarted", program, why)
                self._doors.start(program)
            case GiveUp(program, why):
                self._doors.record_event("given_up", program, why)
            case None:
                pass

    def _memory(self, name: str) -> RestartHistory:
        return self._restart_histories.get(name, RestartHistory())


def _has_unreaped(process_table: ProcessTable) -> bool:
    """Return whether a process is gone of which supervisord has not noticed that yet."""
    return any(fact.state == "RUNNING" and fact.pid is None for fact in process_table.facts.values())
