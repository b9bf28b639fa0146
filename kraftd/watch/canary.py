"""The canary: every few seconds a record through each broker and back, and how long that took."""

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from kraftd.broker.model import BrokerEndpoint, Failure, Partial, Partition, RoundTrip, TopicOutcome, TopicState
from kraftd.broker.round_trip import NOT_LEADING, PROBE_TOPIC, probe_topic
from kraftd.clock import Clock
from kraftd.spec.plan import Topic
from kraftd.watch.kafka_view import Canary, Histogram

CANARY_EVERY_S = 10.0
_CREATION_LIMIT_S = 5.0
NO_PARTITION = "NO_PARTITION"
NOT_SENT = frozenset({NOT_LEADING, NO_PARTITION})
"""The errors that say nothing about a broker: no canary was sent through it."""

_NO_PARTITION = Failure(NO_PARTITION, f"{PROBE_TOPIC} has no partition that prefers this broker", retriable=False)


class CanaryDoor(Protocol):
    """The part of the Kafka door that writes."""

    def create_topics(self, declared: Sequence[Topic], limit_s: float) -> tuple[TopicOutcome, ...]:
        """Create what is missing."""

    def round_trips(self, partitions: Sequence[Partition], value: bytes) -> Partial[int, RoundTrip]:
        """Write a value through each broker and read it back."""


class CanaryFlights:
    """Sends canaries, and remembers how they fared since the daemon began."""

    def __init__(self, door: CanaryDoor, clock: Clock, broker_ids: Collection[int], replication_factor: int) -> None:
        self._door = door
        self._clock = clock
        self._broker_ids = broker_ids
        self._replication_factor = replication_factor
        self._flights = 0
        self._newest = Canary(clock.now_s())

    def fly(self, topics: Iterable[TopicState], alive: Iterable[BrokerEndpoint]) -> Canary | None:
        """Send one canary through each broker; None while their topic is not there.

        The topic is created once every configured broker is alive: its placement is never changed afterwards.
        """
        topic = next((each for each in topics if each.name == PROBE_TOPIC), None)
        if topic is None:
            if set(self._broker_ids) <= {broker.node_id for broker in alive}:
                declared = probe_topic(self._broker_ids, self._replication_factor)
                self._door.create_topics([declared], _CREATION_LIMIT_S)
            return None
        self._flights += 1
        now_s = self._clock.now_s()
        found = self._door.round_trips(topic.partitions, f"{now_s!r} {self._flights}".encode())
        unplaced = set(self._broker_ids) - found.values.keys() - found.failures.keys()
        failures = {**found.failures, **dict.fromkeys(unplaced, _NO_PARTITION)}
        self._newest = _counted(self._newest, Partial(found.values, failures), now_s)
        return self._newest


def _counted(before: Canary, trips: Partial[int, RoundTrip], now_s: float) -> Canary:
    writes, reads, failures = dict(before.writes), dict(before.reads), dict(before.failures)
    for node_id, trip in trips.values.items():
        writes[node_id] = writes.get(node_id, Histogram()).with_one(trip.write_s)
        reads[node_id] = reads.get(node_id, Histogram()).with_one(trip.read_s)
    for node_id, failure in trips.failures.items():
        if failure.error in NOT_SENT:
            continue
        failures[node_id, failure.error] = failures.get((node_id, failure.error), 0) + 1
    return Canary(now_s, trips, writes, reads, failures)
