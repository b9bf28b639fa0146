"""The daemon's loop: observe, decide, restart. Everything outside is reached through the doors that it is given."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kraftd.clock import Clock
from kraftd.daemon.attachments import Attachments
from kraftd.daemon.doors import DaemonDoors
from kraftd.daemon.restarter import Restarter, unreaped
from kraftd.daemon.watchdog import Watchdog
from kraftd.health.lag.view import KafkaView
from kraftd.health.programs.ladder import SERVES, Answer, voter_answer
from kraftd.health.programs.restarts import Policy, RestartHistory
from kraftd.health.programs.state import BrokerContact, ObservedPrograms, Snapshot, views
from kraftd.host.processes import Process
from kraftd.observe.processes import ProcessTable
from kraftd.plan.desired import DesiredState
from kraftd.plan.plan import Plan
from kraftd.plan.program import DAEMON, Purpose

_MOST_REAP_QUERIES = 10


@dataclass(frozen=True, slots=True)
class Tick:
    """What one tick found.

    Attributes:
        pids: The processes to watch for an exit until the next tick.
        restart_in_s: How long until the next restart is due; None where none waits.
    """

    snapshot: Snapshot
    pids: tuple[int, ...]
    restart_in_s: float | None = None


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
        self._watchdog = Watchdog(plan, doors, clock)
        restarting = replace(doors, cause_of_exit=self._watchdog.explained(doors.cause_of_exit))
        self._restarter = Restarter(plan, restarting, clock, restart_histories, policy or Policy())
        self._served: dict[str, Process] = {}
        self._attachments = Attachments(plan, doors.attach, clock)

    def tick(self, *, after_exit: bool = False) -> Tick:
        """Observe everything, restart what is due, and return what there is now.

        Args:
            after_exit: A watched process ended: supervisord is asked until it has noticed.
        """
        # An observation is as old as its first question.
        now_s, monotonic_s = self._clock.now_s(), self._clock.monotonic_s()
        self._doors.sample_kernel_kills()
        process_table = self._process_table(after_exit=after_exit)
        desired = self._doors.read_desired()
        self._restarter.note_exits(process_table)
        if self._restarter.restart_due(process_table, desired):
            process_table = self._doors.find_processes()
        asked = tuple(name for name in process_table.processes if name != DAEMON)
        answers = {**self._doors.ask(asked), DAEMON: SERVES}
        refusals = self._attachments.update(process_table.processes, answers)
        kafka = self._doors.kafka_view()
        judged = {**answers, **self._voters(answers, kafka)}
        self._note_serving(process_table, judged)
        self._restarter.note_health(process_table, judged, desired, now_s)
        facts = self._facts(process_table, judged, desired, refusals)
        snapshot = Snapshot(
            taken_at_s=now_s,
            monotonic_s=monotonic_s,
            supervised=process_table.supervised,
            programs=views(self._plan, facts, now_s),
            kafka=kafka,
            contacts=self._contacts(answers, kafka),
            usages=self._doors.usages(process_table.processes),
            alerts=self._doors.alerts(),
            unreachable=process_table.unreachable,
            disks=self._doors.disks(),
            backup=self._doors.backup(),
            operations=self._doors.operations(),
        )
        watched = tuple(process_table.processes[name].pid for name in asked)
        return Tick(snapshot, watched, self._restarter.restart_in_s())

    def _facts(
        self,
        process_table: ProcessTable,
        judged: Mapping[str, Answer],
        desired: DesiredState,
        refusals: Mapping[tuple[str, Purpose], str],
    ) -> ObservedPrograms:
        return ObservedPrograms(
            process_table.facts,
            judged,
            desired,
            self._restarter.histories,
            self._restarter.exits,
            frozenset(self._served),
            refusals,
            self._watchdog.update(process_table, judged, desired, self._served),
            self._doors.progress(process_table.facts, judged),
        )

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
        while queries_left and unreaped(process_table):
            # The call itself wakes supervisord, which then reaps the process and says how it ended.
            self._clock.sleep(0.02)
            process_table = self._doors.find_processes()
            queries_left -= 1
        return process_table

    def _note_serving(self, process_table: ProcessTable, answers: Mapping[str, Answer]) -> None:
        """Remember the incarnations that have served: one that stops answering is not starting."""
        self._served = {
            name: process
            for name, process in process_table.processes.items()
            if self._served.get(name) == process or (name in answers and answers[name].ready)
        }
