"""Whose turn it is, which verdicts are kept and for how long."""

import pytest

from kraftd.kafka.model import BrokerEndpoint, Failure, Partial, Partition, RoundTrip, TopicState
from kraftd.kafka.round_trip import CANARY_TOPIC, NOT_LEADING
from kraftd.observe.canary import CANARY_EVERY_S, NO_PARTITION, NOT_DUE, CanaryProbe
from tests.clocks import ManualClock
from tests.unit.health.views import topic

TRIP = RoundTrip(0.002, 0.001)
TIMED_OUT = Failure("TIMED_OUT", "no answer within 3 s", retriable=True)
ELSEWHERE = Failure(NOT_LEADING, "broker 1 leads its partition now", retriable=True)


class FakeDoor:
    """Answers as the brokers that are well do, without those in failing."""

    def __init__(self):
        self.flown = []
        self.failing = set()
        self.added = []
        self.refusal = None

    def add_partitions(self, topic, added, through):
        self.added.append((topic.name, added, through))
        return self.refusal

    def round_trips(self, partitions, value):
        led = [each.replicas[0] for each in partitions if each.leader == each.replicas[0]]
        elsewhere = {each.replicas[0]: ELSEWHERE for each in partitions if each.leader != each.replicas[0]}
        self.flown.append(led)
        return Partial(
            {node_id: TRIP for node_id in led if node_id not in self.failing},
            elsewhere | {node_id: TIMED_OUT for node_id in led if node_id in self.failing},
        )


class Sky:
    """Flights over brokers 1 to count, ten seconds apart."""

    def __init__(self, count):
        self.door, self.clock = FakeDoor(), ManualClock()
        ids = range(1, count + 1)
        self.probe = CanaryProbe(self.door, self.clock, ids, 1)
        self.alive = [BrokerEndpoint(node_id, "127.0.0.1", 9091 + node_id) for node_id in ids]
        self.leaders = {node_id: node_id for node_id in ids}

    def run(self, times=1):
        canary = None
        for _ in range(times):
            partitions = [
                Partition(CANARY_TOPIC, index, leader, (node_id,), (node_id,))
                for index, (node_id, leader) in enumerate(self.leaders.items())
            ]
            canary = self.probe.run(
                [topic("orders", 1), TopicState(CANARY_TOPIC, internal=False, partitions=tuple(partitions))], self.alive
            )
            self.clock.advance(CANARY_EVERY_S)
        return canary


@pytest.mark.parametrize(
    ("count", "flown"),
    [
        (1, [[1], [1], [1]]),
        (2, [[1], [2], [1]]),
        (3, [[1], [2], [3]]),
        (7, [[1, 2], [3, 4], [5, 6]]),
    ],
)
def test_a_third_of_the_brokers_has_its_turn_at_a_time(count, flown):
    sky = Sky(count)

    sky.run(3)

    assert sky.door.flown == flown


def test_each_broker_keeps_its_last_verdict_with_its_time():
    sky = Sky(3)
    began_s = sky.clock.now_s()
    sky.door.failing = {2}

    canary = sky.run(4)

    assert canary.brokers.values == {1: TRIP, 3: TRIP}
    assert canary.brokers.failures == {2: TIMED_OUT}
    assert canary.sent_at_s == {1: began_s + 30, 2: began_s + 10, 3: began_s + 20}
    assert canary.failures == {(2, "TIMED_OUT"): 1}


def test_before_its_turn_a_broker_has_no_verdict_and_a_reason():
    canary = Sky(3).run()

    assert set(canary.brokers.values) == {1}
    assert {node_id: each.error for node_id, each in canary.brokers.failures.items()} == {2: NOT_DUE, 3: NOT_DUE}
    assert canary.failures == {}


def test_a_verdict_that_is_older_than_three_rounds_is_none():
    sky = Sky(3)
    sky.run(3)
    sky.clock.advance(95.0)

    canary = sky.run()

    assert (set(canary.brokers.values), set(canary.sent_at_s)) == ({1}, {1})
    assert canary.brokers.failures[2].error == NOT_DUE


def test_a_verdict_of_a_time_to_come_is_none():
    sky = Sky(2)
    sky.run(2)
    sky.clock.advance(-100.0)

    assert set(sky.run().brokers.values) == {1}


def test_a_broker_that_does_not_lead_has_no_verdict_and_is_first_when_it_leads_again():
    sky = Sky(3)
    sky.run(3)
    sky.leaders[3] = 1

    without = sky.run()

    assert (without.brokers.failures, set(without.sent_at_s)) == ({3: ELSEWHERE}, {1, 2})
    sky.run(3)
    sky.leaders[3] = 3
    sky.door.flown.clear()
    assert sky.run().brokers.failures == {}
    assert sky.door.flown == [[3]]


def test_a_broker_without_a_partition_is_named():
    sky = Sky(3)
    del sky.leaders[3]

    assert sky.run().brokers.failures[3].error == NO_PARTITION


def test_a_broker_that_comes_later_gets_a_partition_that_it_leads_and_then_its_turn():
    sky = Sky(3)
    del sky.leaders[3]

    sky.run(2)
    sky.leaders[3] = 3
    sky.door.flown.clear()
    canary = sky.run()

    assert sky.door.added == [(CANARY_TOPIC, ((3,),), 1)] * 2
    assert (sky.door.flown, canary.brokers.failures) == ([[3]], {})


def test_no_partition_is_added_while_a_broker_is_not_alive():
    sky = Sky(3)
    del sky.leaders[3]
    sky.alive.pop()

    assert sky.run().brokers.failures[3].error == NO_PARTITION
    assert sky.door.added == []


@pytest.mark.parametrize(("retriable", "asked"), [(True, 3), (False, 1)])
def test_a_refusal_is_the_reason_and_only_one_that_may_pass_is_asked_again(retriable, asked):
    sky = Sky(3)
    del sky.leaders[3]
    sky.door.refusal = Failure("POLICY_VIOLATION", "not here", retriable)

    canary = sky.run(3)

    assert canary.brokers.failures[3].text.endswith("prefers this broker: not here")
    assert len(sky.door.added) == asked
