"""The movement of replicas, on a Kafka that copies a little at each look."""

import itertools
from types import SimpleNamespace

import pytest

from kraftd.errors import KraftdError, RefusedError, TimedOutError
from kraftd.kafka.model import ClusterMetadata, Failure, Partial, Partition, TopicState
from kraftd.operate.context import NullReporter
from kraftd.operate.scale.journal import Journal
from kraftd.operate.scale.move import Mover, first_look, look, progress
from kraftd.operate.scale.targets import spread_over
from kraftd.operate.start.sequence import Deadline
from tests.clocks import ManualClock
from tests.unit.operate.scale.scaling_cluster import SIZE, FakeKafka


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


@pytest.mark.parametrize(
    ("left", "time"),
    [(24_000_000, None), (23_999_000, None), (12_000_000, ", about 10 s"), (1, ", about 1 s"), (0, None)],
)
def test_the_time_that_is_left_is_told_once_it_can_be_estimated(left, time):
    text = progress(3, left, 24_000_000, 10.0)

    assert text.startswith("3 partitions still copying, ")
    assert text.endswith(time or " left")


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
