"""`kraftd topics reassign`: replicas and leaders move among the brokers there are; ended or undone as a scale is."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from kraftd.errors import ConfigurationError, RefusedError
from kraftd.host.lock import acquire
from kraftd.kafka.model import TopicPartition
from kraftd.kafka.round_trip import CANARY_TOPIC
from kraftd.operate.context import ClusterContext
from kraftd.operate.scale import refuse
from kraftd.operate.scale.doors import JournalFile, ReassigningDoor, ScaleDoors
from kraftd.operate.scale.journal import Goal, Journal
from kraftd.operate.scale.move import Moved, Mover, first_look, free_bytes
from kraftd.operate.scale.placement import Replicas, added
from kraftd.operate.scale.targets import Situation, spread_over
from kraftd.operate.start.sequence import Deadline
from kraftd.units import timestamp

COMMAND = "topics reassign"


@dataclass(frozen=True, slots=True)
class ReassignOptions:
    """What to move, and how.

    Attributes:
        topics: The topics; none for all.
        brokers: The node ids that may have their replicas; none for all.
        assignment: The replicas of each partition of the only topic, the preferred leader first; none to balance.
        abort: Undo the reassignment that is unfinished.
        bytes_per_s: How much each broker may send, and receive, of the copies.
        timeout_s: How long the whole command may take.
    """

    topics: tuple[str, ...] = ()
    brokers: tuple[int, ...] = ()
    assignment: tuple[Replicas, ...] = ()
    abort: bool = False
    bytes_per_s: int = 64 * 1024**2
    timeout_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class PlannedReassignment:
    """What a reassignment would do.

    Attributes:
        changes: The new replicas of each partition that changes, the preferred leader first.
        before: Its replicas now.
        copied_replicas: How many replicas are copied to another broker.
        copied_bytes: Their size.
        resumes: What is unfinished and goes on; empty where nothing is.
    """

    cluster: str
    changes: dict[TopicPartition, Replicas]
    before: dict[TopicPartition, Replicas]
    copied_replicas: int
    copied_bytes: int
    resumes: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.changes or self.resumes)


@dataclass(frozen=True, slots=True)
class ReassignResult:
    """Answer to ``kraftd topics reassign``.

    Attributes:
        moved: What was copied by this call.
        is_changed: There was something to do.
        is_undone: The reassignment was undone.
    """

    cluster: str
    moved: Moved
    is_changed: bool
    is_undone: bool
    notes: tuple[str, ...]
    took_s: float


class Reassign:
    """One reassignment in a running cluster, with the lock and the journal of a scale: there is one of either."""

    def __init__(self, cluster: ClusterContext, options: ReassignOptions, doors: ScaleDoors | None = None) -> None:
        self._cluster = cluster
        self._options = options
        self._doors = doors or ScaleDoors()
        self._journal = JournalFile(cluster.layout.scale_journal)
        self._deadline = Deadline.from_now(cluster.store, cluster.clock, options.timeout_s)

    def plan(self) -> PlannedReassignment:
        """Return what this reassignment would do, changing nothing.

        Raises:
            KraftdError: As ``run`` raises.
        """
        with self._kafka() as kafka:
            return self._planned(self._journal.read(), kafka)[0]

    def run(self) -> ReassignResult:
        """Move replicas, finish what an earlier call began, or undo it.

        Raises:
            ConfigurationError: A broker or an assignment does not fit.
            UnknownNameError: There is no such topic.
            NeedsRunningClusterError: The cluster does not run.
            RefusedError: A broker is down, or a scale or another reassignment is unfinished.
            TimedOutError: Another one is under way, or time was up.
        """
        # The time that a question took is not that of the reassignment.
        self._deadline = Deadline.from_now(self._cluster.store, self._cluster.clock, self._options.timeout_s)
        with (
            self._kafka() as kafka,
            acquire(self._cluster.layout.scale_lock, command=COMMAND, clock=self._cluster.clock, timeout_s=0.0),
        ):
            planned, journal = self._planned(self._journal.read(), kafka)
            if planned.is_empty or journal is None:
                return self._result(Moved(), (), is_changed=False, is_undone=False)
            journal = replace(journal, is_aborted=journal.is_aborted or self._options.abort)
            self._journal.write(journal)
            topics = journal.goal.topics if journal.goal is not None else ()
            what = ", ".join(topics) or "all topics"
            with self._cluster.operating(COMMAND, f"{what}, undone" if journal.is_aborted else what) as tracked:
                mover = Mover(
                    tracked, kafka, journal, self._journal.write, self._options.bytes_per_s, self._deadline, topics
                )
                mover.run(lambda situation: changes_for(situation, journal))
                self._journal.remove()
        result = self._result(mover.moved, tuple(dict.fromkeys(mover.notes)), is_undone=journal.is_aborted)
        did = "undid" if result.is_undone else "finished"
        self._cluster.record("reassigned", f"{did} {journal.what} in {result.took_s:.1f} s")
        return result

    def _planned(self, journal: Journal | None, kafka: ReassigningDoor) -> tuple[PlannedReassignment, Journal | None]:
        cluster, brokers = self._cluster.plan.cluster, [node.node_id for node in self._cluster.plan.brokers]
        if self._options.abort and journal is None:
            return PlannedReassignment(cluster, {}, {}, 0, 0), None
        goal = Goal(self._options.brokers or tuple(brokers), self._options.topics, self._options.assignment)
        if journal is not None:
            self._refuse_other(journal, goal)
            goal = journal.goal or goal
        situation, alive = first_look(kafka, journal, self._cluster.clock)
        refuse.refuse_foreign_moves(situation, journal)
        # A topic that was deleted since an unfinished reassignment began has nothing left to move.
        if journal is None:
            refuse_topics(situation, goal)
        if not self._options.abort and situation.of(goal.topics).topics:
            refuse.refuse_reassignment(situation.of(goal.topics), goal, brokers)
        holding = {broker for replicas in situation.of(goal.topics).current.values() for broker in replicas}
        refuse.refuse_dead({*goal.brokers, *holding}, alive)
        begun = journal or Journal(
            len(brokers), len(brokers), timestamp(self._cluster.clock.now_s()), situation.current, goal=goal
        )
        changes = changes_for(situation, replace(begun, is_aborted=begun.is_aborted or self._options.abort))
        before = {key: situation.placement[key] for key in changes}
        copies = added(before, changes)
        size_bytes = situation.size_bytes(copies)
        refuse.refuse_full_disk(size_bytes, free_bytes(kafka))
        resumes = journal.what if journal is not None else ""
        return PlannedReassignment(cluster, changes, before, len(copies), size_bytes, resumes), begun

    def _refuse_other(self, journal: Journal, goal: Goal) -> None:
        if journal.goal is None:
            refuse.refuse_unfinished(journal, "reassign")
        options = self._options
        is_unsaid = not (options.topics or options.brokers or options.assignment)
        if not options.abort and (journal.is_aborted or not (is_unsaid or goal == journal.goal)):
            refuse.refuse_unfinished(journal, "begin another reassignment")

    def _result(
        self, moved: Moved, notes: tuple[str, ...], *, is_changed: bool = True, is_undone: bool
    ) -> ReassignResult:
        took_s = round(self._cluster.clock.monotonic_s() - self._deadline.began_s, 3)
        return ReassignResult(self._cluster.plan.cluster, moved, is_changed, is_undone, notes, took_s)

    def _kafka(self) -> AbstractContextManager[ReassigningDoor]:
        return self._doors.reach(self._cluster, "reassign partitions of")


def refuse_topics(situation: Situation, goal: Goal) -> None:
    """Refuse topics that do not exist, or that the daemon places itself.

    Raises:
        UnknownNameError: With the nearest name.
        RefusedError: It is the canary's.
        ConfigurationError: An assignment is given for other than one topic.
    """
    refuse.refuse_unknown_topics(situation, goal.topics)
    if CANARY_TOPIC in goal.topics:
        raise RefusedError(
            f"cannot reassign the topic {CANARY_TOPIC}: it belongs to kraftd's canary", code="protected_topic"
        )
    if goal.assignment and len(goal.topics) != 1:
        raise ConfigurationError(
            "cannot use --assignment: it says where the partitions of one topic go", hint="Name one topic."
        )


def changes_for(situation: Situation, journal: Journal) -> dict[TopicPartition, Replicas]:
    """Return what is to change for the goal of a journal, or to undo it, from where the replicas are."""
    if journal.goal is None:
        return {}
    goal, chosen = journal.goal, situation.of(journal.goal.topics)
    if journal.is_aborted:
        wanted = {key: replicas for key, replicas in journal.placement.items() if key in chosen.placement}
    elif goal.assignment:
        wanted = {(goal.topics[0], index): replicas for index, replicas in enumerate(goal.assignment)}
    else:
        return spread_over(chosen, goal.brokers, None, (), journal.placement)
    now = chosen.placement
    return {key: replicas for key, replicas in wanted.items() if key in now and now[key] != replicas}
