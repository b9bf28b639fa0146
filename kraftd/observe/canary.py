"""The canary probe: every few seconds a record through some of the brokers and back, timed."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Protocol, TypeAlias

from kraftd.clock import Clock
from kraftd.health.lag.view import Canary, Histogram
from kraftd.kafka.log import THROTTLED
from kraftd.kafka.model import BrokerEndpoint, Failure, Partial, Partition, RoundTrip, TopicOutcome, TopicState
from kraftd.kafka.round_trip import CANARY_TOPIC, NOT_LEADING, canary_topic, missing_partitions
from kraftd.plan.plan import Topic

CANARY_EVERY_S = 10.0
_SHARE = 3
"""One broker in three gets a canary in a round, which bounds the requests in a cycle."""
_KEPT_ROUNDS = 3
_CREATION_LIMIT_S = 5.0
NO_PARTITION = "NO_PARTITION"
NOT_DUE = "NOT_DUE"
NOT_SENT = frozenset({NOT_LEADING, NO_PARTITION, NOT_DUE, THROTTLED.error})
"""The errors that say nothing about a broker: no canary was sent through it, or a quota held back its way back."""

_NO_PARTITION = Failure(NO_PARTITION, f"{CANARY_TOPIC} has no partition that prefers this broker", retriable=False)
_NOT_DUE = Failure(NOT_DUE, "no canary was sent through it lately; its turn is still to come", retriable=True)


_Outcome: TypeAlias = RoundTrip | Failure


@dataclass(frozen=True, slots=True)
class _Verdict:
    sent_at_s: float
    outcome: _Outcome


class CanaryDoor(Protocol):
    """The part of the Kafka door that writes."""

    def create_topics(self, declared: Sequence[Topic], limit_s: float) -> tuple[TopicOutcome, ...]:
        """Create what is missing."""

    def add_partitions(self, topic: TopicState, added: Sequence[Sequence[int]], through: int) -> Failure | None:
        """Add partitions to a topic, through a broker; return why it was refused."""

    def round_trips(self, partitions: Sequence[Partition], value: bytes) -> Partial[int, RoundTrip]:
        """Write a value through each broker and read it back."""


class CanaryProbe:
    """Sends canaries, and keeps their results since the daemon began.

    A third of the brokers, at least one, gets a canary at a time: those that lead their partition and wait longest.
    """

    def __init__(self, door: CanaryDoor, clock: Clock, broker_ids: Collection[int], replication_factor: int) -> None:
        self._door = door
        self._clock = clock
        self._broker_ids = broker_ids
        self._replication_factor = replication_factor
        self._at_a_time = max(1, len(broker_ids) // _SHARE)
        self._kept_s = _KEPT_ROUNDS * ceil(len(broker_ids) / self._at_a_time) * CANARY_EVERY_S
        self._rounds = 0
        self._turns: dict[int, int] = {}
        self._verdicts: dict[int, _Verdict] = {}
        self._refusal: Failure | None = None
        self._newest = Canary(clock.now_s())

    def run(self, topics: Iterable[TopicState], alive: Iterable[BrokerEndpoint]) -> Canary | None:
        """Send a canary through each broker whose turn it is; None while their topic does not exist.

        Other brokers keep their last verdict, for three rounds and while they lead their partition.
        The topic is created once every configured broker is alive: its placement is never changed afterwards. A broker
        that comes later gets a partition of its own, under the same condition.
        """
        alive_ids = {broker.node_id for broker in alive}
        are_all_alive = alive_ids.issuperset(self._broker_ids)
        topic = next((each for each in topics if each.name == CANARY_TOPIC), None)
        if topic is None:
            if are_all_alive:
                declared = canary_topic(self._broker_ids, self._replication_factor)
                self._door.create_topics([declared], _CREATION_LIMIT_S)
            return None
        self._rounds += 1
        now_s = self._clock.now_s()
        asked = self._asked(topic.partitions)
        found = self._door.round_trips(asked, f"{now_s!r} {self._rounds}".encode())
        self._remember(found, now_s)
        unsent = {node_id: each for node_id, each in found.failures.items() if each.error in NOT_SENT}
        unplaced = self._unplaced(topic, min(alive_ids) if are_all_alive else None)
        placed = {partition.replicas[0] for partition in topic.partitions}
        not_due = dict.fromkeys(placed - self._verdicts.keys(), _NOT_DUE)
        self._newest = _counted(self._newest, found, self._verdicts, not_due | unplaced | unsent, now_s)
        return self._newest

    def _unplaced(self, topic: TopicState, through: int | None) -> dict[int, Failure]:
        """Return why brokers have no partition; where there is a broker to ask through, ask for those partitions."""
        missing = missing_partitions(topic, self._broker_ids)
        is_worth_asking = self._refusal is None or self._refusal.retriable
        if missing and through is not None and is_worth_asking:
            self._refusal = self._door.add_partitions(topic, missing, through)
        return {replicas[0]: self._refused() for replicas in missing}

    def _refused(self) -> Failure:
        if self._refusal is None:
            return _NO_PARTITION
        return replace(_NO_PARTITION, text=f"{_NO_PARTITION.text}: {self._refusal.text}")

    def _asked(self, partitions: Iterable[Partition]) -> list[Partition]:
        """Return the partitions of the brokers whose turn it is, and those that another leads: they cost nothing."""
        led = {each.replicas[0]: each for each in partitions if each.leader == each.replicas[0]}
        due = sorted(led, key=lambda node_id: (self._turns.get(node_id, 0), node_id))[: self._at_a_time]
        self._turns |= dict.fromkeys(due, self._rounds)
        return [each for each in partitions if each.replicas[0] not in led] + [led[node_id] for node_id in due]

    def _remember(self, found: Partial[int, RoundTrip], now_s: float) -> None:
        """Keep the new verdicts and, of the others, those that are neither old nor of a broker that does not lead."""
        outcomes: dict[int, _Outcome] = {**found.values, **found.failures}
        new = {node_id: _Verdict(now_s, outcome) for node_id, outcome in outcomes.items()}
        self._verdicts = {
            node_id: verdict
            for node_id, verdict in (self._verdicts | new).items()
            if 0 <= now_s - verdict.sent_at_s <= self._kept_s and not _is_unsent(verdict.outcome)
        }


def _is_unsent(outcome: _Outcome) -> bool:
    return isinstance(outcome, Failure) and outcome.error in NOT_SENT


def _counted(
    before: Canary,
    found: Partial[int, RoundTrip],
    verdicts: Mapping[int, _Verdict],
    unsent: Mapping[int, Failure],
    now_s: float,
) -> Canary:
    """Return what is known after a round: the newest verdicts, and every round trip counted."""
    writes, reads, counts = dict(before.writes), dict(before.reads), dict(before.failures)
    for node_id, trip in found.values.items():
        writes[node_id] = writes.get(node_id, Histogram()).with_one(trip.write_s)
        reads[node_id] = reads.get(node_id, Histogram()).with_one(trip.read_s)
    for node_id, failure in found.failures.items():
        if not _is_unsent(failure):
            counts[node_id, failure.error] = counts.get((node_id, failure.error), 0) + 1
    outcomes = {node_id: verdict.outcome for node_id, verdict in sorted(verdicts.items())}
    trips = {node_id: each for node_id, each in outcomes.items() if isinstance(each, RoundTrip)}
    failed = {node_id: each for node_id, each in outcomes.items() if isinstance(each, Failure)}
    sent_at_s = {node_id: verdict.sent_at_s for node_id, verdict in verdicts.items()}
    return Canary(now_s, Partial(trips, {**failed, **unsent}), sent_at_s, writes, reads, counts)
