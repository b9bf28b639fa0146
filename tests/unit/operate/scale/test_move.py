"""The movement of replicas, on a Kafka that copies a little at each look."""

import itertools
from types import SimpleNamespace

import pytest

from kraftd.errors import KraftdError, RefusedError, TimedOutError
from kraftd.kafka.administration.settings import BrokerSetting
from kraftd.kafka.model import (
    BrokerEndpoint,
    ClusterMetadata,
    Failure,
    LogDir,
    Partial,
    Partition,
    TopicState,
)
from kraftd.kafka.topics import Reassignment
from kraftd.operate.context import NullReporter
from kraftd.operate.scale.journal import Journal
from kraftd.operate.scale.move import Mover, first_look, look
from kraftd.operate.scale.targets import spread_over
from kraftd.operate.start.sequence import Deadline
from tests.clocks import ManualClock

SIZE = 1000
NO_LIMIT = str(2**63 - 1)


class FakeKafka:
    """Brokers 1 to 3 with one topic; each look copies some bytes of what is under way."""

    def __init__(self, partitions, copied_per_look=400):
        self.replicas = dict(enumerate(partitions))
        self.leaders = {number: replicas[0] for number, replicas in self.replicas.items()}
        self.under_way = {}
        self.copied_per_look = copied_per_look
        self.topic = {}
        self.brokers = {1: {}, 2: {}, 3: {}}
        self.refuses = None
        self.dead = set()
        self.hung = set()
        self.highest_rate = 0
        self.unknown = {}
        self.looks_behind = 0
        self.seen = {node_id: ({}, 0) for node_id in self.brokers}

    def reassignments(self):
        for number, (target, left) in list(self.under_way.items()):
            self.under_way[number] = (target, left - self.copied_per_look)
            if left <= self.copied_per_look:
                self.replicas[number] = target
                del self.under_way[number]
        return {
            ("orders", number): Reassignment(
                (*target, *(each for each in self.replicas[number] if each not in target)),
                tuple(each for each in target if each not in self.replicas[number]),
                tuple(each for each in self.replicas[number] if each not in target),
            )
            for number, (target, _) in self.under_way.items()
        }

    def metadata(self, names=None):
        partitions = [Partition("orders", n, self.leaders[n], r, r) for n, r in self.replicas.items()]
        self.unknown = {node_id: looks - 1 for node_id, looks in self.unknown.items() if looks > 0}
        gone = self.dead | self.unknown.keys()
        brokers = tuple(BrokerEndpoint(each, "localhost", each) for each in self.brokers if each not in gone)
        return ClusterMetadata(brokers, Partial({"orders": TopicState("orders", False, tuple(partitions))}))

    def log_dirs(self, brokers):
        sizes = {node_id: {} for node_id in self.brokers}
        for number, replicas in self.replicas.items():
            for node_id in replicas:
                sizes[node_id]["orders", number] = SIZE
        for number, (target, left) in self.under_way.items():
            for node_id in set(target) - set(self.replicas[number]):
                sizes[node_id]["orders", number] = SIZE - left
        asked = [broker.node_id for broker in brokers]
        return Partial({node_id: (LogDir("/d", sizes[node_id], None, None, None),) for node_id in asked})

    def reassign(self, targets):
        if self.refuses is not None:
            return dict.fromkeys(targets, self.refuses)
        for (_, number), replicas in targets.items():
            self.under_way[number] = (replicas, SIZE)
        return {}

    def elect_leaders(self, partitions):
        for _, number in partitions:
            self.leaders[number] = self.replicas[number][0]

    def own_settings(self, names):
        return {name: dict(self.topic) for name in names}

    def alter_topics(self, changes):
        for values in changes.values():
            self.change(self.topic, values)
        return {}

    def broker_settings(self, node_id, keys):
        before, looks = self.seen[node_id]
        self.seen[node_id] = (before, looks - 1)
        known = before if looks > 0 else self.brokers[node_id]
        return {key: BrokerSetting(known.get(key, NO_LIMIT), True) for key in keys}

    def alter_broker(self, node_id, values, *, of_all_brokers=False):
        if node_id in self.dead | self.hung:
            return Failure("TIMED_OUT", "no answer within 10 s", retriable=True)
        self.seen[node_id] = (dict(self.brokers[node_id]), self.looks_behind)
        self.change(self.brokers[node_id], values)
        rates = [int(value) for key, value in self.brokers[node_id].items() if key.endswith(".rate")]
        self.highest_rate = max([self.highest_rate, *rates])
        return None

    @staticmethod
    def change(known, values):
        for key, value in values.items():
            known.pop(key, None)
            if value is not None:
                known[key] = value

    @property
    def throttles(self):
        return [self.topic, *self.brokers.values()]

    @property
    def has_told_its_throttles(self):
        return all(looks <= 0 for _, looks in self.seen.values())


def mover(kafka, limit_s=600.0, journal=None, rate=100):
    clock = ManualClock()
    cluster = SimpleNamespace(
        clock=clock,
        reporter=NullReporter(),
        store=SimpleNamespace(generation=lambda: 0),
    )
    before = {("orders", number): replicas for number, replicas in kafka.replicas.items()}
    written = []
    made = Mover(
        cluster,
        kafka,
        journal or Journal(2, 3, "now", before),
        written.append,
        rate,
        Deadline(clock.monotonic_s() + limit_s, limit_s, 0),
    )
    return made, written, lambda situation: spread_over(situation, [1, 2, 3], None, (), before)


class LateKafka(FakeKafka):
    """Its brokers show the old and the new replicas of what was moved for half a second longer."""

    def __init__(self, clock, copied_per_look):
        super().__init__([(1, 2)], copied_per_look)
        self.clock = clock
        self.ended_at_s = None
        self.reassign({("orders", 0): (1, 3)})

    def reassignments(self):
        found = super().reassignments()
        if not found and self.ended_at_s is None:
            self.ended_at_s = self.clock.monotonic_s()
        return found

    def metadata(self, names=None):
        if self.ended_at_s is None or self.clock.monotonic_s() >= self.ended_at_s + 0.5:
            return super().metadata(names)
        both = Partition("orders", 0, 1, (1, 3, 2), (1, 3, 2))
        return ClusterMetadata((), Partial({"orders": TopicState("orders", False, (both,))}))


@pytest.mark.parametrize("copied_per_look", [SIZE, SIZE - 1], ids=["ended before", "ends meanwhile"])
def test_what_was_moved_a_moment_ago_is_where_it_belongs_also_for_the_next_call(copied_per_look):
    clock = ManualClock()

    situation, _ = first_look(LateKafka(clock, copied_per_look), Journal(2, 3, "now", {}), clock)

    assert situation.placement == {("orders", 0): (1, 3)}


def test_a_broker_that_has_just_come_is_waited_for_until_the_others_know_it():
    kafka = FakeKafka([(1, 2)])
    kafka.unknown = {3: 4}
    made, _, _ = mover(kafka)

    made.await_brokers(range(1, 4), lambda: True)

    assert 3 in {broker.node_id for broker in kafka.metadata().brokers}


def test_a_broker_that_still_starts_is_waited_for_until_time_is_up():
    kafka = FakeKafka([(1, 2)])
    kafka.unknown = {3: 10_000}
    made, _, _ = mover(kafka, limit_s=60.0)

    with pytest.raises(TimedOutError, match="broker 3 does not serve yet"):
        made.await_brokers(range(1, 4), lambda: True)


def test_a_broker_that_nobody_comes_to_know_is_down():
    kafka = FakeKafka([(1, 2)])
    kafka.unknown = {3: 10_000}
    made, _, _ = mover(kafka)

    with pytest.raises(RefusedError) as caught:
        made.await_brokers(range(1, 4), lambda: False)

    assert (caught.value.code, caught.value.details["brokers"]) == ("broker_down", [3])


def test_it_ends_when_the_brokers_know_that_nothing_is_throttled_any_more():
    kafka = FakeKafka([(1, 2), (2, 1), (1, 2)])
    kafka.looks_behind = 3
    made, _, target = mover(kafka)

    made.run(target)

    assert kafka.has_told_its_throttles
    assert (kafka.throttles, made.notes) == ([{}, {}, {}, {}], [])


def test_a_broker_that_keeps_its_throttle_is_named():
    kafka = FakeKafka([(1, 2), (2, 1), (1, 2)])
    kafka.looks_behind = 10_000
    made, _, target = mover(kafka)

    made.run(target)

    assert made.notes == [f"broker {node_id} has not lifted its throttle yet" for node_id in (1, 2, 3)]


def test_replicas_and_leaders_are_even_in_the_end_and_no_throttle_is_left():
    kafka = FakeKafka([(1, 2), (2, 1), (1, 2)])
    made, written, target = mover(kafka)

    made.run(target)

    assert sorted(sum(kafka.replicas.values(), ())) == [1, 1, 2, 2, 3, 3]
    assert sorted(kafka.leaders.values()) == [1, 2, 3]
    assert kafka.throttles == [{}, {}, {}, {}]
    assert (made.moved.replicas, made.moved.size_bytes) == (2, 2 * SIZE)
    assert [bool(each.topic_throttles) for each in written] == [True, False]


def test_what_the_throttle_replaced_is_put_back():
    kafka = FakeKafka([(1, 2), (2, 1), (1, 2)])
    kafka.topic["leader.replication.throttled.replicas"] = "*"
    kafka.brokers[1]["leader.replication.throttled.rate"] = "7"
    made, _, target = mover(kafka)

    made.run(target)

    assert kafka.topic == {"leader.replication.throttled.replicas": "*"}
    assert kafka.brokers[1] == {"leader.replication.throttled.rate": "7"}


def test_moves_of_a_killed_command_are_waited_for_and_its_throttle_is_taken_away():
    kafka = FakeKafka([(1, 2), (2, 1), (1, 2)])
    killed, written, target = mover(kafka)
    kafka.reassign, reassign = (lambda targets: (_ for _ in ()).throw(SystemExit)), kafka.reassign
    with pytest.raises(SystemExit):
        killed.run(target)
    kafka.reassign = reassign
    kafka.reassign(target(look(kafka)[0]))
    # As the killed one left them.
    kafka.topic["follower.replication.throttled.replicas"] = "0:3"
    kafka.brokers[3]["follower.replication.throttled.rate"] = "100"

    made, _, _ = mover(kafka, journal=written[0])
    made.run(target)

    assert kafka.throttles == [{}, {}, {}, {}]
    assert sorted(kafka.leaders.values()) == [1, 2, 3]


def test_a_throttle_under_which_nothing_gets_less_is_raised():
    kafka = FakeKafka([(1, 2), (2, 1), (1, 2)], copied_per_look=0)
    made, _, target = mover(kafka, limit_s=60.0, rate=100)

    with pytest.raises(TimedOutError):
        made.run(target)

    assert kafka.highest_rate >= 800
    assert kafka.throttles == [{}, {}, {}, {}]


def test_a_slow_copy_that_comes_in_bursts_keeps_its_throttle():
    kafka = FakeKafka([(1, 2), (2, 1), (1, 2)], copied_per_look=0)
    made, _, target = mover(kafka, rate=100)
    reassignments, looks = kafka.reassignments, itertools.count(1)

    def in_bursts():
        kafka.copied_per_look = 400 if next(looks) % 40 == 0 else 0  # of 0.3 s each
        return reassignments()

    kafka.reassignments = in_bursts
    made.run(target)

    assert kafka.highest_rate == 100
    assert sorted(kafka.leaders.values()) == [1, 2, 3]


class Steps(NullReporter):
    def __init__(self):
        self.steps = []

    def step(self, text):
        self.steps.append(text)


def test_a_broker_that_dies_meanwhile_is_named_and_raises_no_throttle():
    kafka = FakeKafka([(1, 2), (2, 1), (1, 2)], copied_per_look=0)
    made, _, target = mover(kafka, rate=100, limit_s=60.0)
    made._cluster.reporter = shown = Steps()
    kafka.reassign, reassign = (lambda targets: (kafka.dead.add(3), reassign(targets))[1]), kafka.reassign

    with pytest.raises(TimedOutError):
        made.run(target)

    assert kafka.highest_rate == 100
    assert any("broker-3" in each for each in shown.steps)


def test_a_broker_that_hangs_and_counts_as_alive_ends_nothing():
    kafka = FakeKafka([(1, 2), (2, 1), (1, 2)], copied_per_look=0)
    made, _, target = mover(kafka, rate=100, limit_s=60.0)
    made._cluster.reporter = shown = Steps()
    kafka.reassign, reassign = (lambda targets: (kafka.hung.add(3), reassign(targets))[1]), kafka.reassign

    with pytest.raises(TimedOutError):
        made.run(target)

    assert any("no answer" in each for each in shown.steps)


def test_a_throttle_that_cannot_be_taken_away_stays_in_the_journal_for_the_next_call():
    kafka = FakeKafka([(1, 2), (2, 1), (1, 2)])
    made, written, target = mover(kafka)
    kafka.elect_leaders, elect = (lambda partitions: (kafka.dead.add(3), elect(partitions))[1]), kafka.elect_leaders

    with pytest.raises(KraftdError) as caught:
        made.run(target)

    assert (caught.value.code, list(written[-1].broker_throttles)) == ("still_throttled", ["3"])
    kafka.dead.clear()
    again, _, _ = mover(kafka, journal=written[-1])
    again.run(target)
    assert kafka.throttles == [{}, {}, {}, {}]


def test_replicas_go_back_also_where_the_broker_that_came_is_down():
    kafka = FakeKafka([(1, 2), (2, 1), (1, 2)])
    rates = {"leader.replication.throttled.rate": None, "follower.replication.throttled.rate": None}
    journal = Journal(2, 3, "now", {}, broker_throttles={"1": rates, "3": rates})
    kafka.replicas[0] = (1, 2, 3)
    kafka.dead.add(3)
    made, written, _ = mover(kafka, journal=journal)

    with pytest.raises(KraftdError) as caught:
        made.run(lambda situation: {("orders", 0): (1, 2)} if situation.placement["orders", 0] != (1, 2) else {})

    assert (caught.value.code, list(written[-1].broker_throttles)) == ("still_throttled", ["3"])
    assert (kafka.replicas[0], kafka.leaders[0]) == ((1, 2), 1)


def test_a_refused_partition_is_named_and_no_throttle_is_left():
    kafka = FakeKafka([(1, 2), (2, 1), (1, 2)])
    kafka.refuses = Failure("INVALID_REPLICA_ASSIGNMENT", "no", retriable=False)
    made, _, target = mover(kafka)

    with pytest.raises(KraftdError) as caught:
        made.run(target)

    assert caught.value.code == "not_reassigned"
    assert kafka.throttles == [{}, {}, {}, {}]


def test_what_is_balanced_is_not_touched():
    kafka = FakeKafka([(1, 2), (2, 3), (3, 1)])
    made, written, target = mover(kafka)

    made.run(target)

    assert (made.moved.replicas, written, kafka.throttles) == (0, [], [{}, {}, {}, {}])
