"""The restart of programs of a running cluster, one after the other, between gates."""

import logging
from dataclasses import dataclass, field

from kraftd.errors import TimedOutError
from kraftd.host.processes import Process
from kraftd.kafka.model import ClusterMetadata, KafkaAccessError, Partial, Partition, Quorum
from kraftd.operate.apply.overrides import forget_overrides, forget_overrides_or_note
from kraftd.operate.context import ClusterContext
from kraftd.operate.doors import KafkaDoor
from kraftd.operate.rolling.gates import (
    ClosedGate,
    Gate,
    closed_gates,
    listed,
    partitions_interrupted,
    partitions_led_by_others,
    restart_order,
)
from kraftd.operate.rolling.journal import Journal, remove_journal
from kraftd.operate.start.doors import StartDoors
from kraftd.operate.start.sequence import Deadline, StartSequence, yield_to_stop
from kraftd.operate.stop.execute import StopExecution
from kraftd.plan.kinds import Node
from kraftd.plan.program import Kind

_POLL_S = 0.2
_ADMIN_TIMEOUT_S = 3.0
_TOOLS_LIMIT_S = 5.0
_SHORTEST_RESTART_S = 10.0
"""With less time, a healthy broker would be killed before it has closed its logs."""

_SAID_AFTER_S = 5.0
"""A gate opens within seconds, but where something is wrong."""

_ELECTION_EVERY_S = 1.0
_NOTICED_LIMIT_S = 5.0
_NOTICED_POLL_S = 0.02

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Restarted:
    """A program that was restarted.

    Attributes:
        took_s: Seconds from its end to its service, with all gates.
        killed: Why it was killed; None where it ended by itself.
    """

    name: str
    took_s: float
    killed: str | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What Kafka and the probes say now.

    Attributes:
        closed: The gates that do not hold.
        quorum: None where Kafka does not answer.
    """

    closed: tuple[ClosedGate, ...]
    quorum: Quorum | None = None
    partitions: tuple[Partition, ...] = ()

    @property
    def active_controller(self) -> int | None:
        """The node id of the quorum's leader."""
        return self.quorum.leader_id if self.quorum else None


@dataclass(slots=True)
class Roll:
    """One rolling restart of a cluster that runs; opens and closes Kafka's connections.

    Attributes:
        cluster: The context of the plan that runs.
        doors: How programs are started.
        deadline: Until when.
        notes: Notes for the user, one sentence each.
    """

    cluster: ClusterContext
    doors: StartDoors
    deadline: Deadline
    notes: list[str] = field(default_factory=list)

    def run(self, journal: Journal) -> tuple[Restarted, ...]:
        """Restart what is pending in a journal, and remove it.

        The cluster's lock is held only while a program is down, so that the daemon restarts what ends in between. The
        desired state is not changed: where this command is killed, the daemon starts what it had ended.

        Raises:
            StartFailedError: A program ended before it served.
            TimedOutError: Time was up; the text names the gate, and what is not there.
            YieldedError: A stop was requested meanwhile.
        """
        restarted = []
        with self.cluster.doors.open_kafka(self.cluster.plan.access, _ADMIN_TIMEOUT_S) as kafka:
            self._start_ended(journal)
            while pending := journal.pending(self.cluster.find_processes().processes):
                has_nodes = any(isinstance(self.cluster.plan.program(name), Node) for name in pending)
                look = self._await_gates(kafka, f"before the restart of {', '.join(pending)}") if has_nodes else None
                name = restart_order(self.cluster.plan, pending, look.active_controller if look else None)[0]
                if look is not None:
                    self._say_interrupted(name, look)
                if (done := self._restart(kafka, name, journal)) is not None:
                    restarted.append(done)
            if any(node.name in journal.replaced for node in self.cluster.plan.nodes):
                self._await_gates(kafka, "after the last restart")
                forget_overrides(self.cluster, kafka, journal.replaced)
            else:
                # Of what an earlier call restarted, or the daemon: this one need not fail for it.
                self.notes += forget_overrides_or_note(self.cluster, ())
        remove_journal(self.cluster.layout)
        return tuple(restarted)

    def look(self, kafka: KafkaDoor) -> Look:
        """Return which gates hold now, and elect preferred leaders where nothing else is missing."""
        plan = self.cluster.plan
        answers = {node.name: self.doors.ask(node) for node in plan.nodes}
        try:
            quorum, metadata = kafka.quorum(), kafka.metadata()
        except KafkaAccessError as error:
            serving = closed_gates(plan, answers, Quorum(None, None, None, (), ()), ClusterMetadata((), Partial()))
            return Look((ClosedGate(Gate.KAFKA, str(error)), *(each for each in serving if each.gate is Gate.SERVING)))
        partitions = metadata.partitions
        return Look(closed_gates(plan, answers, quorum, metadata), quorum, partitions)

    def _await_gates(self, kafka: KafkaDoor, when: str) -> Look:
        elect_at_s = 0.0
        said: set[Gate] = set()
        say_at_s = self.cluster.clock.monotonic_s() + _SAID_AFTER_S
        while (look := self.look(kafka)).closed:
            now_s = self.cluster.clock.monotonic_s()
            if {each.gate for each in look.closed} == {Gate.PREFERRED} and now_s >= elect_at_s:
                elect_at_s = now_s + _ELECTION_EVERY_S
                self._elect(kafka, look)
            for each in look.closed if now_s >= say_at_s else ():
                if each.gate not in said and each.gate is not Gate.PREFERRED:
                    said.add(each.gate)
                    self.cluster.reporter.step(f"Waiting {when}: {each.text}")
            yield_to_stop(self.cluster.store, self.deadline)
            if now_s > self.deadline.at_s:
                raise self._timed_out(look.closed, f"{when},")
            self.cluster.clock.sleep(_POLL_S)
        return look

    def _elect(self, kafka: KafkaDoor, look: Look) -> None:
        try:
            kafka.elect_leaders(partitions_led_by_others(look.partitions))
        except KafkaAccessError as error:
            logger.debug("No election: %s", error)

    def _say_interrupted(self, name: str, look: Look) -> None:
        program = self.cluster.plan.program(name)
        if isinstance(program, Node) and (alone := partitions_interrupted(look.partitions, (program.node_id,))):
            self.cluster.reporter.step(
                f"Without a leader while {name} restarts, as it has the only replica: {listed(alone)}"
            )

    def _restart(self, kafka: KafkaDoor, name: str, journal: Journal) -> Restarted | None:
        """Restart a program under the lock; None where another command replaced it, or closed a gate, meanwhile."""
        cluster, program = self.cluster, self.cluster.plan.program(name)
        began_s = cluster.clock.monotonic_s()
        with cluster.lock(journal.command, timeout_s=max(1.0, self.deadline.at_s - began_s)):
            yield_to_stop(cluster.store, self.deadline)
            processes = cluster.find_processes().processes
            is_node = isinstance(program, Node)
            if name not in journal.pending(processes) or (is_node and self.look(kafka).closed):
                return None
            left_s = self.deadline.at_s - cluster.clock.monotonic_s()
            if is_node and left_s < _SHORTEST_RESTART_S:
                why = f"{max(0.0, left_s):.1f} s are left, and that of a node may take {_SHORTEST_RESTART_S:g} s"
                raise self._timed_out((), f"before the restart of {name}: {why}")
            execution = StopExecution(cluster, processes)
            if is_node:
                # Half of the time is left to its start.
                execution.stop_nodes((name,), patience_s=min(left_s / 2, program.stop.patience_s))
            else:
                execution.stop_clients((name,))
            execution.check_ended()
            self._await_noticed(name, processes[name])
            sequence = StartSequence(cluster, self.doors, self.deadline)
            sequence.restore_files((name,))
            sequence.spawn((name,))
            if program.kind is Kind.TOOL:
                failed = sequence.wait_for_tools((name,), within_s=_TOOLS_LIMIT_S)
                self.notes += [f"{name} does not serve: {why} ('kraftd logs {name}')" for why in failed.values()]
            else:
                sequence.wait_ready((name,))
        if isinstance(program, Node):
            self._await_gates(kafka, f"after the restart of {name}")
        took_s = round(cluster.clock.monotonic_s() - began_s, 3)
        killed = next((each.killed for each in execution.results if each.name == name), None)
        cluster.record("restarted", f"by 'kraftd {journal.command}' in {took_s:.1f} s", program=name)
        return Restarted(name, took_s, killed)

    def _start_ended(self, journal: Journal) -> None:
        """Start what an earlier call had ended when it was killed, where the daemon has not done so yet."""
        if not self._ended(journal):
            return
        left_s = max(1.0, self.deadline.at_s - self.cluster.clock.monotonic_s())
        with self.cluster.lock(journal.command, timeout_s=left_s):
            ended = self._ended(journal)
            sequence = StartSequence(self.cluster, self.doors, self.deadline)
            sequence.restore_files(ended)
            sequence.spawn(ended)
            sequence.wait_ready(ended)

    def _ended(self, journal: Journal) -> tuple[str, ...]:
        processes = self.cluster.find_processes().processes
        desired = self.cluster.store.desired().programs
        return tuple(
            name
            for name in self.cluster.plan.names
            if name in journal.replaced and name not in processes and name in desired and desired[name].running
        )

    def _await_noticed(self, name: str, ended: Process) -> None:
        """Wait until supervisord has noticed an end: before that it takes a start for one of what runs already."""
        deadline_s = self.cluster.clock.monotonic_s() + _NOTICED_LIMIT_S
        while self.cluster.clock.monotonic_s() < deadline_s:
            if self.cluster.supervisor.processes()[name].pid != ended.pid:
                return
            self.cluster.clock.sleep(_NOTICED_POLL_S)

    def _timed_out(self, closed: tuple[ClosedGate, ...], when: str) -> TimedOutError:
        gates = [
            {"gate": each.gate.value, "text": each.text, "nodes": each.nodes, "partitions": each.partitions}
            for each in closed
        ]
        return TimedOutError(
            "\n".join(
                [f"cannot finish within {self.deadline.limit_s:g} s: {when}", *(f"  {each.text}" for each in closed)]
            ),
            hint="'kraftd status' and 'kraftd why' show more. The same command goes on where this one ended; "
            "--timeout allows more time.",
            details={"gates": gates},
        )
