"""The daemon's loop: observe, decide, restart what ended and should run.

Everything outside is reached through the doors that it is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kraftd.clock import Clock
from kraftd.daemon.attachments import Attachments
from kraftd.daemon.doors import DaemonDoors
from kraftd.daemon.watchdog import Watchdog, longest_silence_s
from kraftd.health.lag.view import KafkaView
from kraftd.health.programs.ladder import SERVES, Answer, ProcessFact, voter_answer
from kraftd.health.programs.restarts import (
    GiveUp,
    Policy,
    Restart,
    RestartHistory,
    Wait,
    after_refusal,
    decide,
    is_decided,
    while_running,
)
from kraftd.health.programs.state import BrokerContact, LastExit, ObservedPrograms, Snapshot, views
from kraftd.host.processes import Process
from kraftd.observe.processes import ProcessTable
from kraftd.plan.desired import DesiredState
from kraftd.plan.plan import Plan
from kraftd.plan.program import DAEMON, Purpose
from kraftd.supervisord.rpc import SUPERVISORD

_MOST_REAP_QUERIES = 10
_WITH_PROCESS = ("STARTING", "RUNNING", "STOPPING")
"""The states in which supervisord has a process, or has not noticed its end."""


class Restarter:
    """Notes how programs end, and restarts them when the policy says so.

    Attributes:
        histories: The restarts of each program.
        exits: How each program last ended.
    """

    def __init__(
        self, plan: Plan, doors: DaemonDoors, clock: Clock, histories: Mapping[str, RestartHistory], policy: Policy
    ) -> None:
        self._plan = plan
        self._doors = doors
        self._clock = clock
        self._policy = policy
        self.histories = dict(histories)
        self.exits: dict[str, LastExit] = {}
        self._ended_runs: tuple[tuple[str, str, float | None], ...] | None = None
        self._running: dict[str, Process] = {}
        self._has_supervisor = False
        self._refusals: dict[str, tuple[str | None, str]] = {}

    def note_exits(self, process_table: ProcessTable) -> None:
        """Read how programs ended where one has ended since, and record that.

        A run may begin and end between two ticks, so that a process that is gone is not the only sign.
        """
        self._note_supervisor(is_there=process_table.supervisor is not None)
        ended_runs = tuple(
            (name, fact.state, fact.started_at_s) for name, fact in process_table.facts.items() if fact.pid is None
        )
        pending = unreaped(process_table) | self._unreported_exits(process_table)
        gone = {
            name
            for name, process in self._running.items()
            if process_table.processes.get(name) != process and name not in pending
        }
        ended: dict[str, LastExit] = {}
        if gone or ended_runs != self._ended_runs:
            # An exit stays known after its line has left what is read of the log: that of a program which is down.
            before, self.exits = self.exits, {**self.exits, **self._doors.last_exits(process_table.facts)}
            # The daemon before this one has recorded what ended before this one began, except for its own end.
            known = {name: each.at for name, each in before.items()}
            if self._ended_runs is None:
                known = {name: each.at for name, each in self.exits.items() if name != DAEMON}
            ended = {name: each for name, each in self.exits.items() if known.get(name) != each.at}
        for name in sorted(gone | set(ended)):
            self._doors.record_event("exited", name, f"ended with {ended[name]}" if name in ended else "ended")
        self._ended_runs = ended_runs
        # supervisord's log was read after the table: a process that still runs in the table may have ended in the log.
        kept = process_table.processes | {name: self._running[name] for name in pending & set(self._running)}
        self._running = {name: process for name, process in kept.items() if name in gone or name not in ended}

    def _note_supervisor(self, *, is_there: bool) -> None:
        """Tell that supervisord ended: no other program does, and the next one begins with another daemon."""
        if self._has_supervisor and not is_there:
            text = "ended; its programs run on, and nothing restarts them: 'kraftd start' brings supervision back"
            self._doors.record_event("exited", SUPERVISORD, text)
        self._has_supervisor = is_there

    def _unreported_exits(self, process_table: ProcessTable) -> set[str]:
        """Return the programs of which supervisord, which does not answer now, has yet to say how they ended."""
        is_there = process_table.supervisor is not None
        return {name for name in self._running if is_there and name not in process_table.facts}

    def note_health(
        self, process_table: ProcessTable, answers: Mapping[str, Answer], desired: DesiredState, now_s: float
    ) -> None:
        """Forget the restarts of what is healthy again, or was stopped or started by a command."""
        changed = {}
        for name, memory in self.histories.items():
            if not desired.wants(name):
                changed[name] = RestartHistory(restarts=memory.restarts)
            elif (process := process_table.processes.get(name)) is not None:
                serves = name in answers and answers[name].ready
                healthy_s = now_s - process.started_at_s if serves else 0.0
                changed[name] = while_running(self._policy, memory, self._exit_at(name), healthy_s)
        if any(self.histories[name] != memory for name, memory in changed.items()):
            self.histories.update(changed)
            self._doors.save_restarts(self.histories)

    def restart_in_s(self) -> float | None:
        """Return how long until the next restart; None where none waits, or its time has come already."""
        now_s = self._clock.now_s()
        pauses_s = [each.next_at_s - now_s for each in self.histories.values() if each.next_at_s is not None]
        return min((pause_s for pause_s in pauses_s if pause_s > 0), default=None)

    def restart_due(self, process_table: ProcessTable, desired: DesiredState) -> bool:
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
            self._doors.save_restarts(self.histories)
        return True

    def _due(self, process_table: ProcessTable, desired: DesiredState) -> tuple[str, ...]:
        """Return the programs that should run and do not, and whose pause is over; none where supervisord is gone."""
        if process_table.supervisor is None:
            return ()
        now_s = self._clock.now_s()
        return tuple(
            name
            for name in self._plan.names
            if name != DAEMON
            and name not in process_table.processes
            and name in process_table.facts
            and desired.wants(name)
            and not is_decided(self._policy, self._memory(name), self._exit_at(name), now_s)
        )

    def _decide(self, name: str, fact: ProcessFact) -> None:
        refused_at, refusal = self._refusals.get(name, (None, ""))
        if refusal and refused_at == self._exit_at(name):
            # supervisord looks for the executable before it spawns, and keeps no record of such a refusal.
            fact = replace(fact, spawn_error=refusal)
        memory, action = decide(
            self._policy,
            self._memory(name),
            program=name,
            process_state=fact.state,
            cause=self._doors.cause_of_exit(name, fact, self.exits.get(name)),
            exit_at=self._exit_at(name),
            now_s=self._clock.now_s(),
        )
        self.histories[name] = memory
        match action:
            case Restart(program, why):
                # Its end may have the same second as the end before.
                self._ended_runs = ()
                if not self._start(program, why):
                    self.histories[name] = after_refusal(memory)
                    # Now there is a pause, and the refusal is its reason.
                    self._decide(name, fact)
            case GiveUp(program, why):
                self._doors.record_event("given_up", program, why)
            case Wait() | None:
                pass

    def _start(self, program: str, why: str) -> bool:
        refusal = self._doors.start(program)
        if refusal:
            self._refusals[program] = (self._exit_at(program), refusal)
            self._doors.record_event("restart_failed", program, refusal)
            return False
        self._refusals.pop(program, None)
        self._doors.record_event("restarted", program, why)
        return True

    def _exit_at(self, name: str) -> str | None:
        ended = self.exits.get(name)
        return ended.at if ended else None

    def _memory(self, name: str) -> RestartHistory:
        return self.histories.get(name, RestartHistory())


def unreaped(process_table: ProcessTable) -> set[str]:
    """Return the programs whose process is gone, which supervisord has not noticed yet."""
    return {name for name, fact in process_table.facts.items() if fact.state in _WITH_PROCESS and fact.pid is None}


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
    ) -> None:
        self._plan = plan
        self._doors = doors
        self._clock = clock
        self._watchdog = Watchdog(plan, doors, clock)
        restarting = replace(doors, cause_of_exit=self._watchdog.explained(doors.cause_of_exit))
        self._restarter = Restarter(plan, restarting, clock, restart_histories, Policy())
        self._served: dict[str, Process] = {}
        self._looked_at_s: float | None = None
        self._attachments = Attachments(plan, doors.attach, clock)

    def tick(self, *, after_exit: bool = False) -> Tick:
        """Observe everything, restart what is due, and return what there is now.

        Args:
            after_exit: A watched process ended: supervisord is asked until it has noticed.
        """
        # An observation is as old as its first question.
        now_s, monotonic_s = self._clock.now_s(), self._clock.monotonic_s()
        self._note_silence(monotonic_s)
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

    def _note_silence(self, now_s: float) -> None:
        """Tell that the daemon itself was frozen; that clock stands still while the machine sleeps."""
        silent_s = 0.0 if self._looked_at_s is None else now_s - self._looked_at_s
        self._looked_at_s = now_s
        if silent_s > longest_silence_s(self._plan.daemon):
            self._doors.record_event(
                "recovered", DAEMON, f"observes again, after {silent_s:.0f} s without an observation"
            )

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
        """Return whether controllers that listen follow the quorum's leader; nothing where the quorum is not known."""
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
