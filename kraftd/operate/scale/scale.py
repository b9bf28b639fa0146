"""`kraftd scale`: more or fewer brokers, balanced, while the cluster serves; finished or undone by the next call."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from kraftd.errors import KraftdError, NeedsRunningClusterError
from kraftd.host.lock import acquire
from kraftd.operate.apply.join import check_joining, following_configuration, start_beside
from kraftd.operate.configuring import Configured, plan_for, refuse_changed, refuse_replanned
from kraftd.operate.context import ClusterContext, CommandContext
from kraftd.operate.restart import require_running
from kraftd.operate.scale import refuse
from kraftd.operate.scale.doors import JournalFile, ReassigningDoor, ScaleDoors
from kraftd.operate.scale.journal import Journal
from kraftd.operate.scale.leave import delete_data, refuse_replicas, stop_and_unregister, take_out
from kraftd.operate.scale.move import Moved, Mover, Target, first_look, free_bytes, look
from kraftd.operate.scale.placement import Replicas, added
from kraftd.operate.scale.targets import Situation, moved_back, spread_over, topics_of
from kraftd.operate.selection import ChosenCluster
from kraftd.operate.start.sequence import Deadline, yield_to_stop
from kraftd.operate.start.start import Start, StartOptions
from kraftd.operate.store import Store
from kraftd.plan.kinds import MIN_IN_SYNC_REPLICAS, min_in_sync_replicas
from kraftd.plan.plan import Plan
from kraftd.units import plural, timestamp

COMMAND = "scale"

Choose = Callable[[int | None], ChosenCluster]
"""Returns the cluster of the command line, with another number of brokers than the configured one; None for that."""


@dataclass(frozen=True, slots=True)
class ScaleOptions:
    """How to scale.

    Attributes:
        brokers: How many brokers there are to be; None for as many as there are.
        replication_factor: The number of replicas that topics are to have; None to leave it.
        topics: The topics that get it; none for all, internal ones included.
        abort: Undo the scale that is unfinished.
        delete_data: Delete the data of brokers that leave.
        bytes_per_s: How much each broker may send, and receive, of the copies.
        timeout_s: How long the whole command may take.
    """

    brokers: int | None = None
    replication_factor: int | None = None
    topics: tuple[str, ...] = ()
    abort: bool = False
    delete_data: bool = False
    bytes_per_s: int = 64 * 1024**2
    timeout_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class PlannedScale:
    """What a scale would do.

    Attributes:
        joining: The brokers that come.
        leaving: The brokers that go.
        changes: The new replicas of each partition that changes, the preferred leader first.
        before: Its replicas now.
        copied_replicas: How many replicas are copied to another broker.
        copied_bytes: Their size.
        min_in_sync_replicas: By topic, the value that it gets.
        resumes: What is unfinished and goes on; empty where nothing is.
    """

    cluster: str
    brokers_before: int
    brokers_after: int
    joining: tuple[str, ...]
    leaving: tuple[str, ...]
    changes: dict[tuple[str, int], Replicas]
    before: dict[tuple[str, int], Replicas]
    copied_replicas: int
    copied_bytes: int
    min_in_sync_replicas: dict[str, int]
    resumes: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.joining or self.leaving or self.changes or self.min_in_sync_replicas or self.resumes)


@dataclass(frozen=True, slots=True)
class ScaleResult:
    """Answer to ``kraftd scale``.

    Attributes:
        joined: The brokers that came.
        left: The brokers that went; their data is kept unless it was deleted.
        moved: What was copied by this call.
        is_changed: There was something to do.
        is_undone: The scale was undone.
        configured_brokers: The number of brokers that the configuration states, which the next start reads; None where
            it states none, so that the next start keeps those that there are.
        origin: The configuration.
    """

    cluster: str
    brokers: int
    joined: tuple[str, ...]
    left: tuple[str, ...]
    moved: Moved
    is_changed: bool
    is_undone: bool
    notes: tuple[str, ...]
    configured_brokers: int | None
    origin: str
    took_s: float


class Scale:
    """One scale of a running cluster."""

    def __init__(
        self,
        choose: Choose,
        options: ScaleOptions,
        command_context: CommandContext,
        doors: ScaleDoors | None = None,
    ) -> None:
        """Read the records of the cluster.

        Raises:
            NeedsRunningClusterError: It was never started.
        """
        self._choose = choose
        self._options = options
        self._command_context = command_context
        self._doors = doors or ScaleDoors()
        self._chosen = self._choose(None)
        self._store = Store(self._chosen.layout)
        running = self._store.plan_if_started()
        if running is None:
            name = self._chosen.configuration.settings.cluster.name
            raise NeedsRunningClusterError(
                f"cannot scale the cluster {name}: it was never started", hint="'kraftd start' starts it."
            )
        self._running: Plan = running
        self._cluster = ClusterContext(running, self._doors.cluster, self._command_context)
        self._journal = JournalFile(self._cluster.layout.scale_journal)
        self._deadline = Deadline.from_now(self._store, self._cluster.clock, self._options.timeout_s)

    def plan(self) -> PlannedScale:
        """Return what this scale would do, changing nothing.

        Raises:
            KraftdError: As ``run`` raises.
        """
        journal = self._journal.read()
        refuse.refuse_other_scale(journal, self._options.brokers, is_abort=self._options.abort)
        with self._kafka() as kafka:
            return self._planned(journal, kafka)

    def run(self) -> ScaleResult:
        """Scale, finish what an earlier call began, or undo it.

        Raises:
            ConfigurationError: The configuration does not fit that number of brokers.
            NeedsRunningClusterError: The cluster does not run.
            RefusedError: It would cost a voter, or a broker is down, or another scale is unfinished.
            TimedOutError: Another scale is under way, or time was up.
        """
        # The time that a question took is not that of the scale.
        self._deadline = Deadline.from_now(self._store, self._cluster.clock, self._options.timeout_s)
        with acquire(self._cluster.layout.scale_lock, command=COMMAND, clock=self._cluster.clock, timeout_s=0.0):
            # A question takes as long as its answer, and another scale may have come and gone.
            refuse_replanned(COMMAND, self._running, self._store.plan())
            journal = self._journal.read()
            refuse.refuse_other_scale(journal, self._options.brokers, is_abort=self._options.abort)
            with self._kafka() as kafka:
                planned = self._planned(journal, kafka)
                if planned.is_empty:
                    return self._result(planned, Moved(), ())
                journal = self._begun(journal, planned, kafka)
                what = f"{journal.brokers_before} to {plural(journal.brokers_after, 'broker')}"
                with self._cluster.operating(COMMAND, f"{what}, undone" if journal.is_aborted else what) as tracked:
                    self._cluster, self._command_context = tracked, tracked.command_context
                    return self._run(planned, journal, kafka)

    # What is to be done.

    def _planned(self, journal: Journal | None, kafka: ReassigningDoor) -> PlannedScale:
        options = self._options
        if options.abort and journal is None:
            return self._nothing()
        before = journal.brokers_before if journal else len(self._running.brokers)
        after = journal.brokers_after if journal else before if options.brokers is None else options.brokers
        factor = journal.replication_factor if journal else options.replication_factor
        topics = journal.topics if journal else options.topics
        goal = before if options.abort else after
        configured = self._configured(goal)
        if configured.manifest is not None:
            refuse.refuse_voters(goal, configured.manifest)
        if not options.abort:
            refuse.refuse_factor(factor, goal)
        self._refuse_changed(self._running)
        if journal is None and goal > before:
            # Before the journal, which would leave a scale that cannot be finished for nearly everything to wait for.
            check_joining(following_configuration(self._start(goal), self._running))
        situation, alive = first_look(kafka, journal, self._cluster.clock)
        refuse.refuse_dead(self._needed(journal), alive)
        refuse.refuse_foreign_moves(situation, journal)
        if journal is None:
            # One that was deleted since an unfinished scale began has nothing left to move.
            refuse.refuse_unknown_topics(situation, topics)
        if not options.abort:
            refuse.refuse_too_few(situation, goal, factor, topics)
        is_same = journal is None and goal == before and factor is None
        begun = journal or self._begun_at(situation, goal)
        changes = {} if is_same else self._target(begun, is_undone=options.abort or begun.is_aborted)(situation)
        return self._described(journal, (before, goal), situation, changes, factor, topics, kafka)

    def _described(
        self,
        journal: Journal | None,
        numbers: tuple[int, int],
        situation: Situation,
        changes: dict[tuple[str, int], Replicas],
        factor: int | None,
        topics: tuple[str, ...],
        kafka: ReassigningDoor,
    ) -> PlannedScale:
        before, goal = numbers
        current = situation.placement
        before_changes = {key: current[key] for key in changes}
        copies = added(before_changes, changes)
        size_bytes = situation.size_bytes(copies)
        refuse.refuse_full_disk(size_bytes, free_bytes(kafka))
        known = {node.node_id for node in self._running.brokers}
        most = max(before, goal, journal.most_brokers if journal else 0, len(known))
        min_isr = (
            {} if factor is None or self._options.abort else self._min_isr_changes(kafka, situation, topics, factor)
        )
        return PlannedScale(
            self._running.cluster,
            before,
            goal,
            _names_of(each for each in range(1, goal + 1) if each not in known),
            _names_of(range(goal + 1, most + 1)),
            changes,
            before_changes,
            len(copies),
            size_bytes,
            min_isr,
            journal.what if journal is not None else "",
        )

    def _needed(self, journal: Journal | None) -> list[int]:
        """Return the brokers that must be alive; those that come or go may not run, where a scale is unfinished."""
        if journal is None:
            return [node.node_id for node in self._running.brokers]
        fewest = min(journal.brokers_before, journal.brokers_after)
        return list(range(1, (fewest if journal.is_removing else journal.brokers_before) + 1))

    def _nothing(self) -> PlannedScale:
        brokers = len(self._running.brokers)
        return PlannedScale(self._running.cluster, brokers, brokers, (), (), {}, {}, 0, 0, {})

    @staticmethod
    def _target(journal: Journal, *, is_undone: bool) -> Target:
        """Return what a scale moves, from where the replicas are."""
        if is_undone:
            brokers = range(1, journal.brokers_before + 1)
            return lambda situation: moved_back(situation, journal.placement, brokers)
        brokers, factor = range(1, journal.brokers_after + 1), journal.replication_factor
        return lambda situation: spread_over(situation, brokers, factor, journal.topics, journal.placement)

    @staticmethod
    def _min_isr_changes(
        kafka: ReassigningDoor, situation: Situation, topics: tuple[str, ...], factor: int
    ) -> dict[str, int]:
        chosen = topics_of(situation, topics)
        wanted = min_in_sync_replicas(factor)
        own = kafka.own_settings(chosen)
        return {name: wanted for name in chosen if own.get(name, {}).get(MIN_IN_SYNC_REPLICAS) != str(wanted)}

    # What is done.

    def _run(self, planned: PlannedScale, journal: Journal, kafka: ReassigningDoor) -> ScaleResult:
        mover = Mover(self._cluster, kafka, journal, self._journal.write, self._options.bytes_per_s, self._deadline)
        if journal.is_aborted:
            self._undo(mover, kafka)
        else:
            self._do(mover, kafka)
        return self._finish(planned, mover)

    def _begun_at(self, situation: Situation, goal: int) -> Journal:
        """Return the journal of a scale that begins now."""
        return Journal(
            len(self._running.brokers),
            goal,
            timestamp(self._cluster.clock.now_s()),
            situation.current,
            self._options.replication_factor,
            self._options.topics,
        )

    def _begun(self, journal: Journal | None, planned: PlannedScale, kafka: ReassigningDoor) -> Journal:
        """Return the journal, written before anything changes."""
        if journal is None:
            situation, _ = look(kafka)
            own = kafka.own_settings(planned.min_in_sync_replicas)
            min_isr = {name: own.get(name, {}).get(MIN_IN_SYNC_REPLICAS) for name in planned.min_in_sync_replicas}
            journal = replace(self._begun_at(situation, planned.brokers_after), min_in_sync_replicas=min_isr)
        journal = replace(journal, is_aborted=journal.is_aborted or self._options.abort)
        self._journal.write(journal)
        return journal

    def _do(self, mover: Mover, kafka: ReassigningDoor) -> None:
        journal = mover.journal
        before, after = journal.brokers_before, journal.brokers_after
        if after > before:
            self._add(after)
            mover.await_brokers(range(1, after + 1), lambda: self._are_running(after))
        # Lowered before the replicas are fewer, raised after they are more.
        lower, higher = journal.min_in_sync_replicas_changes()
        _set_min_isr(kafka, lower)
        mover.run(self._target(journal, is_undone=False))
        _set_min_isr(kafka, higher)
        if after < before:
            self._remove(mover, kafka, after)

    def _undo(self, mover: Mover, kafka: ReassigningDoor) -> None:
        journal = mover.journal
        lowered, raised = journal.min_in_sync_replicas_changes()
        before = journal.min_in_sync_replicas
        _set_min_isr(kafka, {name: before[name] for name in raised})
        mover.run(self._target(journal, is_undone=True))
        _set_min_isr(kafka, {name: before[name] for name in lowered})
        if journal.brokers_after > journal.brokers_before:
            self._remove(mover, kafka, journal.brokers_before)

    def _add(self, brokers: int) -> None:
        """Start the brokers that come beside those that run, unless an earlier call did."""
        manifest = self._store.manifest()
        formatted = {node.name for node in manifest.nodes} if manifest is not None else set()
        if set(_names_of(range(1, brokers + 1))) <= formatted & set(self._running.names) and self._are_running(brokers):
            return
        with self._cluster.lock(COMMAND, timeout_s=self._options.timeout_s):
            recorded = self._recorded_as_configured()
            start_beside(following_configuration(self._start(brokers), recorded.plan))

    def _recorded_as_configured(self) -> ClusterContext:
        """Return the cluster by the plan of record; the caller holds the lock, for which it may have waited long.

        Raises:
            YieldedError: The cluster was stopped meanwhile.
            NeedsRunningClusterError: It does not run any more.
            RefusedError: The configuration has changed meanwhile, and was not applied.
        """
        yield_to_stop(self._store, self._deadline)
        recorded = self._cluster.following(self._store.plan() or self._running)
        require_running(recorded)
        self._refuse_changed(recorded.plan)
        return recorded

    def _are_running(self, brokers: int) -> bool:
        return self._cluster.find_processes().processes.keys() >= set(_names_of(range(1, brokers + 1)))

    def _remove(self, mover: Mover, kafka: ReassigningDoor, brokers: int) -> None:
        with self._cluster.lock(COMMAND, timeout_s=self._options.timeout_s):
            recorded = self._recorded_as_configured()
            # Before the stop: a configuration that cannot be read any more must not end this half-way.
            start = self._start(brokers)
            leaving = tuple(node for node in recorded.plan.brokers if node.node_id > brokers)
            refuse_replicas(kafka, leaving)
            mover.journal = replace(mover.journal, is_removing=True)
            self._journal.write(mover.journal)
            stop_and_unregister(recorded, kafka, leaving, COMMAND)
            take_out(start)
            if self._options.delete_data:
                delete_data(recorded, _names_of(range(brokers + 1, mover.journal.most_brokers + 1)))

    def _finish(self, planned: PlannedScale, mover: Mover) -> ScaleResult:
        self._journal.remove()
        notes = tuple(dict.fromkeys(mover.notes))
        result = self._result(planned, mover.moved, notes, is_undone=mover.journal.is_aborted)
        what = "undid a scale, back to" if result.is_undone else "scaled to"
        self._cluster.record("scaled", f"{what} {result.brokers} brokers in {result.took_s:.1f} s")
        return result

    def _result(
        self, planned: PlannedScale, moved: Moved, notes: tuple[str, ...], *, is_undone: bool = False
    ) -> ScaleResult:
        configuration = self._chosen.configuration
        stated = configuration.settings.cluster.brokers if "cluster.brokers" in configuration.origins else None
        return ScaleResult(
            planned.cluster,
            planned.brokers_after,
            planned.joining,
            planned.leaving,
            moved,
            not planned.is_empty,
            is_undone,
            notes,
            stated,
            self._chosen.origin,
            round(self._cluster.clock.monotonic_s() - self._deadline.began_s, 3),
        )

    # The ways outside.

    def _kafka(self) -> AbstractContextManager[ReassigningDoor]:
        return self._doors.reach(self._cluster, "scale")

    def _configured(self, brokers: int) -> Configured:
        return plan_for(self._choose(brokers), self._command_context)

    def _start(self, brokers: int) -> Start:
        configured = self._configured(brokers)
        options = StartOptions(timeout_s=self._options.timeout_s, command=COMMAND)
        cluster = self._cluster.following(configured.plan)
        return Start(configured, cluster, options, self._deadline, self._doors.start)

    def _refuse_changed(self, running: Plan) -> None:
        configured = self._configured(len(running.brokers))
        refuse_changed(COMMAND, running, configured.plan, configured.chosen.origin, "the number of brokers")


def _set_min_isr(kafka: ReassigningDoor, values: Mapping[str, str | None]) -> None:
    """Set the topics' own min.insync.replicas; a topic that was deleted meanwhile needs none.

    Raises:
        KraftdError: A topic refuses.
    """
    for name, failure in sorted(
        kafka.alter_topics({name: {MIN_IN_SYNC_REPLICAS: value} for name, value in values.items()}).items()
    ):
        if failure.error != "UNKNOWN_TOPIC_OR_PARTITION":
            raise KraftdError(
                f"cannot set {MIN_IN_SYNC_REPLICAS} of the topic {name}: {failure.text}",
                hint="Run the same command again; with --abort it is undone.",
                code="min_isr_refused",
                details={"topic": name, "error": failure.error},
            )


def _names_of(brokers: Iterable[int]) -> tuple[str, ...]:
    return tuple(f"broker-{node_id}" for node_id in brokers)
