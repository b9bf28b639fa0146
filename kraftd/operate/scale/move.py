"""The movement of replicas, throttled and watched, until all are where they belong and their preferred leaders lead."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from kraftd.clock import Clock
from kraftd.errors import KraftdError, RefusedError, TimedOutError
from kraftd.kafka.model import KafkaAccessError, TopicPartition
from kraftd.operate.context import ClusterContext
from kraftd.operate.scale.doors import ReassigningDoor
from kraftd.operate.scale.journal import Journal
from kraftd.operate.scale.placement import Replicas, added
from kraftd.operate.scale.refuse import refuse_dead
from kraftd.operate.scale.targets import Situation, left_bytes, replica_bytes, throttles
from kraftd.operate.scale.throttle import set_rate, take_away, throttle, with_saved
from kraftd.operate.start.sequence import Deadline, yield_to_stop
from kraftd.units import duration, human_size, plural

_POLL_S = 0.3
_SAID_EVERY_S = 2.0
_BEHIND_S = 0.7
"""Before Kafka 4.1 a broker learns that a reassignment has ended up to 0.5 s after the controller."""

_STUCK_AFTER_S = 15.0
"""Kafka's throttle is an average over up to 11 s: a slow copy comes in bursts, with rests of that length."""
_SILENT_LIMIT_S = 30.0
_LEADERS_LIMIT_S = 10.0
_KNOWN_LIMIT_S = 10.0
_MOST_ROUNDS = 10
_GONE = "UNKNOWN_TOPIC_OR_PARTITION"

Target = Callable[[Situation], dict[TopicPartition, Replicas]]
"""What is to change, from where the replicas are; nothing once all are where they belong."""


def look(kafka: ReassigningDoor) -> tuple[Situation, frozenset[int]]:
    """Return where the replicas are, and which brokers are alive.

    Raises:
        KafkaAccessError: No broker answers.
        RefusedError: A topic, or the reassignments that are under way, cannot be read.
    """
    # Before the metadata: what ends in between has its new replicas there.
    reassignments = kafka.reassignments()
    metadata = kafka.metadata()
    if unread := ", ".join(metadata.topics.failures):
        raise RefusedError(
            f"cannot tell where the replicas are: the state of {unread} could not be read",
            hint="Wait a moment, then run it again.",
        )
    topics = metadata.topics.values
    known = {each.key for topic in topics.values() for each in topic.partitions}
    under_way = {key: each for key, each in reassignments.items() if key in known}
    sizes = replica_bytes(kafka.log_dirs(metadata.brokers).values)
    return Situation(topics, under_way, sizes), frozenset(broker.node_id for broker in metadata.brokers)


def first_look(kafka: ReassigningDoor, journal: Journal | None, clock: Clock) -> tuple[Situation, frozenset[int]]:
    """Return what ``look`` does, for a command that begins, also right after an earlier one has moved partitions.

    A broker may still show the old and the new replicas together of a partition that was moved a moment ago. So this
    waits 0.7 s where an earlier command has left a journal: moves that had ended are seen as ended then, and those
    that were under way at first count as under way, with the replicas that they were to have.

    Raises:
        KafkaAccessError: No broker answers.
        RefusedError: A topic, or the reassignments that are under way, cannot be read.
    """
    if journal is None:
        return look(kafka)
    at_first = kafka.reassignments()
    clock.sleep(_BEHIND_S)
    situation, alive = look(kafka)
    found = situation.current
    ended = {key: each for key, each in at_first.items() if key in found}
    return replace(situation, reassignments=ended | dict(situation.reassignments)), alive


@dataclass(slots=True)
class Moved:
    """What was moved so far.

    Attributes:
        replicas: How many were copied to a broker that did not have them.
        size_bytes: The size of these copies.
    """

    replicas: int = 0
    size_bytes: int = 0


class Mover:
    """Moves the replicas of one cluster.

    The journal is written before a throttle is set, and again when it is taken away.
    """

    def __init__(
        self,
        cluster: ClusterContext,
        kafka: ReassigningDoor,
        journal: Journal,
        write: Callable[[Journal], None],
        bytes_per_s: int,
        deadline: Deadline,
        topics: Collection[str] = (),
    ) -> None:
        """Move nothing yet.

        Args:
            cluster: The cluster.
            kafka: The way to its brokers.
            journal: What is under way.
            write: Writes the journal.
            bytes_per_s: How much each broker may send, and receive, of the copies.
            deadline: When it gives up.
            topics: Whose preferred leaders are elected at the end; none for all.
        """
        self._cluster = cluster
        self._clock = cluster.clock
        self._kafka = kafka
        self._write = write
        self._bytes_per_s = bytes_per_s
        self._deadline = deadline
        self._topics = topics
        self.journal = journal
        self.moved = Moved()
        self.notes: list[str] = []

    def await_brokers(self, node_ids: Collection[int], are_running: Callable[[], bool]) -> None:
        """Wait until the others know brokers that have just come: these serve a moment before that.

        One that an earlier command started, and that was killed since, may be far from serving.

        Args:
            node_ids: All brokers, those that have come included.
            are_running: Whether their processes live.

        Raises:
            RefusedError: One of them is down.
            TimedOutError: Time was up.
            YieldedError: The cluster was stopped meanwhile.
        """
        known_by_s = self._clock.monotonic_s() + _KNOWN_LIMIT_S
        while not set(node_ids) <= (alive := {broker.node_id for broker in self._kafka.metadata(()).brokers}):
            if self._clock.monotonic_s() > known_by_s and not are_running():
                refuse_dead(node_ids, alive)
            absent = ", ".join(map(str, sorted(set(node_ids) - alive)))
            self._check_time(f"broker {absent} does not serve yet", "It starts; the same command waits for it")
            self._clock.sleep(_POLL_S)

    def run(self, target: Target) -> None:
        """Move replicas until nothing is left to change; what an earlier command moves is waited for.

        Raises:
            KraftdError: A partition or a throttle is refused, or a throttle cannot be taken away again.
            TimedOutError: Time was up; the moves go on, without a throttle.
            YieldedError: The cluster was stopped meanwhile.
        """
        with self._throttle_taken_away():
            self._set_rate_again()
            for _ in range(_MOST_ROUNDS):
                situation, _ = look(self._kafka)
                changes = target(situation)
                if not changes and not situation.reassignments:
                    break
                if changes:
                    self._begin(situation, changes)
                self._await_end()
            else:
                raise KraftdError(
                    "cannot finish: partitions keep changing: something else moves them too",
                    hint="End that, then run it again.",
                    code="moved_by_others",
                )
            self._elect()
        if self.journal.topic_throttles or self.journal.broker_throttles:
            # The journal stays: it alone tells what is to be put back.
            raise KraftdError(
                f"cannot finish: {'; '.join(self.notes)}",
                hint="Every replica is where it belongs. 'kraftd status' shows which brokers run; once all do, the "
                "same command takes the throttle away.",
                code="still_throttled",
            )

    def _set_rate_again(self) -> None:
        """Set the rate of an earlier command that was killed; a broker that is down copies nothing."""
        try:
            set_rate(self._kafka, map(int, self.journal.broker_throttles), self._bytes_per_s)
        except KraftdError as error:
            self._cluster.reporter.step(str(error))

    def _begin(self, situation: Situation, changes: dict[TopicPartition, Replicas]) -> None:
        current = situation.current
        before = {key: current[key] for key in changes}
        copies = added(before, changes)
        if copies:
            topics = throttles(before, changes)
            brokers = {broker for _, broker in copies} | {each for key, _ in copies for each in current[key]}
            self.journal = with_saved(self.journal, self._kafka, topics, sorted(brokers))
            self._write(self.journal)
            throttle(self._kafka, topics, sorted(brokers), self._bytes_per_s, self._clock)
            what = f"{plural(len(copies), 'replica')}, {human_size(situation.size_bytes(copies))}"
            rate = human_size(self._bytes_per_s)
            self._cluster.reporter.step(f"Copying {what}, at most {rate}/s from and to each broker")
        failures = self._kafka.reassign(changes)
        lasting = {
            key: failure for key, failure in failures.items() if failure.error != _GONE and not failure.retriable
        }
        for (topic, partition), failure in sorted(lasting.items()):
            raise KraftdError(
                f"cannot reassign partition {partition} of {topic}: {failure.text}",
                hint="The same command goes on from where the replicas are; with --abort it undoes what it did.",
                code="not_reassigned",
                details={"topic": topic, "partition": partition, "error": failure.error},
            )
        done = [copy for copy in copies if copy[0] not in failures]
        self.moved.replicas += len(done)
        self.moved.size_bytes += situation.size_bytes(done)

    def _await_end(self) -> None:
        """Wait until no reassignment is under way, showing what is left; a throttle that is too low is raised."""
        began_s = said_s = less_at_s = self._clock.monotonic_s()
        first: int | None = None
        least = None
        while True:
            situation, alive = self._look_with_retry()
            if not situation.reassignments:
                self._clock.sleep(_BEHIND_S)
                return
            now_s, left = self._clock.monotonic_s(), left_bytes(situation)
            first = left if first is None else first
            if least is None or left < least:
                least, less_at_s = left, now_s
            elif left and now_s - less_at_s > _STUCK_AFTER_S:
                self._raise_throttle(sorted(situation.moving_brokers - alive))
                less_at_s = now_s
            if now_s - said_s >= _SAID_EVERY_S:
                said_s = now_s
                text = progress(len(situation.reassignments), left, first, now_s - began_s)
                self._cluster.reporter.moved(text, max(0, first - left), first)
            self._check(situation)
            self._clock.sleep(_POLL_S)

    def _raise_throttle(self, dead: Collection[int]) -> None:
        """Double a throttle below what is written meanwhile: the copies would never be complete."""
        if dead:
            names = ", ".join(f"broker-{node_id}" for node_id in dead)
            self._cluster.reporter.step(f"Waiting for {names}, without which the copies make no progress")
            return
        brokers = [int(name) for name in self.journal.broker_throttles]
        try:
            set_rate(self._kafka, brokers, self._bytes_per_s * 2)
        except KraftdError as error:
            # One that hangs, or has just ended, counts as alive for some seconds.
            self._cluster.reporter.step(f"The copies make no progress: {error}")
            return
        self._bytes_per_s *= 2
        self._cluster.reporter.step(
            f"The copies make no progress: the throttle is {human_size(self._bytes_per_s)}/s now"
        )

    def _look_with_retry(self) -> tuple[Situation, frozenset[int]]:
        """Look, again where no broker answers for a moment."""
        since_s = self._clock.monotonic_s()
        while True:
            try:
                return look(self._kafka)
            except KafkaAccessError:
                yield_to_stop(self._cluster.store, self._deadline)
                if self._clock.monotonic_s() - since_s > _SILENT_LIMIT_S:
                    raise
                self._clock.sleep(_POLL_S)

    def _check(self, situation: Situation) -> None:
        left = plural(len(situation.reassignments), "partition")
        self._check_time(
            f"{left} still copying", "The moves go on, without a throttle; the same command waits for them"
        )

    def _check_time(self, left: str, what_goes_on: str) -> None:
        yield_to_stop(self._cluster.store, self._deadline)
        if self._clock.monotonic_s() > self._deadline.at_s:
            raise TimedOutError(
                f"cannot finish within {self._deadline.limit_s:g} s: {left}",
                hint=f"{what_goes_on} and does the rest, and --abort undoes it. --timeout allows more time.",
            )

    def _elect(self) -> None:
        """Make the preferred replicas leaders, where they are not."""
        deadline_s = self._clock.monotonic_s() + _LEADERS_LIMIT_S
        while unled := self._unled():
            self._kafka.elect_leaders(unled)
            if self._clock.monotonic_s() > deadline_s:
                self.notes.append(
                    f"{plural(len(unled), 'partition')} not led by the preferred replica; Kafka elects it within 30 s "
                    "of its being in sync"
                )
                return
            self._clock.sleep(_POLL_S)

    def _unled(self) -> list[TopicPartition]:
        situation, _ = self._look_with_retry()
        return (situation.of(self._topics) if self._topics else situation).not_led_by_preferred

    @contextmanager
    def _throttle_taken_away(self) -> Iterator[None]:
        try:
            yield
        finally:
            if self.journal.topic_throttles or self.journal.broker_throttles:
                self._take_away()

    def _take_away(self) -> None:
        try:
            self.journal, still = take_away(self.journal, self._kafka, self._clock)
        except KafkaAccessError as error:
            still = [f"the throttle could not be taken away; the next call of this command does it: {error}"]
        for note in still:
            self._cluster.reporter.step(note)
        self.notes += still
        self._write(self.journal)


def progress(partitions: int, left: int, total: int, seconds: float) -> str:
    """Return how far the copies are, with the time that the rest takes once a hundredth of the bytes is there."""
    text = f"{plural(partitions, 'partition')} still copying, {human_size(left)} left"
    copied = total - left
    if not left or copied * 100 < total:
        return text
    return f"{text}, about {duration(max(1, left * seconds / copied))}"


def free_bytes(kafka: ReassigningDoor) -> int:
    """Return the least space that a broker has left."""
    found = kafka.log_dirs(kafka.metadata(()).brokers).values.values()
    free = [each.usable_bytes for theirs in found for each in theirs if each.usable_bytes is not None]
    return min(free, default=2**63)
