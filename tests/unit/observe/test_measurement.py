import time

import pytest

from kraftd.health.lag.selection import selector
from kraftd.health.lag.status import CAPACITY, LagStatus
from kraftd.health.lag.view import KafkaView
from kraftd.kafka.model import Failure, GroupState, Partial, Partition, TopicState
from kraftd.kafka.offsets import EARLIEST, IsolationLevel
from kraftd.observe.measurement import Measurement
from kraftd.plan.kinds import Selection
from kraftd.serve.metrics.exposition import Exposition
from tests.clocks import ManualClock

TIMED_OUT = Failure("TIMED_OUT", "no answer within 3 s", retriable=True)


def topic(name, count):
    partitions = tuple(Partition(name, index, 1 + index % 2, (1, 2), (1, 2)) for index in range(count))
    return TopicState(name, internal=False, partitions=partitions)


def group(name):
    return GroupState(name, "Empty", "consumer", "classic", 1, ())


class Source:
    """Logs that grow by one record in each partition between two looks."""

    def __init__(self, commits):
        self.commits = commits
        self.end = 100
        self.failures = {}

    def committed(self, groups):
        return Partial({each.name: self.commits[each.name] for each in groups}, self.failures)

    def end_offsets(self, partitions, isolation_level=IsolationLevel.READ_UNCOMMITTED):
        return Partial({partition.key: self.end for partition in partitions})

    def mixed_offsets(self, questions):
        return Partial({partition.key: 0 if at_ms == EARLIEST else 50 for partition, at_ms in questions})


def test_a_group_of_which_commits_are_missing_has_no_sums():
    orders = topic("orders", 2)
    source = Source({"g": {("orders", 0): 95}})
    source.failures = {"g": TIMED_OUT}
    subject = Measurement(source, ManualClock(), selector(Selection()))

    lag = subject.measure({"g": group("g")}, [orders]).lags["g"]

    assert (lag.total.lag, lag.total.known_lag, lag.topics["orders"].lag) == (None, 5, None)
    assert [each.lag for each in lag.partitions] == [5]


def test_a_group_beyond_the_limit_has_a_lag_but_neither_wait_nor_pace():
    source = Source({"big": dict.fromkeys((("orders", 0), ("orders", 1)), 90), "small": {("orders", 0): 95}})
    subject = Measurement(source, ManualClock(), selector(Selection(max_group_partitions=1)))

    found = subject.measure({name: group(name) for name in ("big", "small")}, [topic("orders", 2)])

    assert found.undetailed == {"big"}
    assert (set(found.time_lags), set(found.statuses)) == ({"small"}, {"small"})
    assert {name: lag.total.lag for name, lag in found.lags.items()} == {"big": 20, "small": 5}


@pytest.mark.perf
def test_five_thousand_partitions_and_two_hundred_groups_take_two_seconds_of_cpu():
    topics = [topic(f"t-{index}", 50) for index in range(100)]
    keys = [partition.key for each in topics for partition in each.partitions]
    groups = {f"g-{index}": group(f"g-{index}") for index in range(200)}
    commits = {name: dict.fromkeys(keys[index * 25 : index * 25 + 100], 60) for index, name in enumerate(groups)}
    source, clock = Source(commits), ManualClock()
    subject, exposition = Measurement(source, clock, selector(Selection())), Exposition()
    for _ in range(3):
        subject.measure(groups, topics)
        source.end += 1
        clock.advance(10.0)

    began_s = time.process_time()
    found = subject.measure(groups, topics)
    exposition.show_kafka(
        KafkaView(
            topics=tuple(topics), groups=groups, lags=found.lags, offsets=found.offsets, time_lags=found.time_lags
        )
    )
    took_s = time.process_time() - began_s

    assert len(found.offsets.ends.values) == 5000
    assert sum(len(each) for each in found.time_lags.values()) == sum(len(each) for each in commits.values())
    assert {lag.total.known_lag for lag in found.lags.values() if len(lag.partitions) == 100} == {4300}
    assert took_s < 2.0


def test_groups_that_stand_still_keep_their_lag_and_get_a_verdict():
    orders = topic("orders", 2)
    source, clock = Source({"idle": {("orders", 0): 95}, "read": {("orders", 0): 100}}), ManualClock()
    subject = Measurement(source, clock, selector(Selection()))
    groups = {"idle": group("idle"), "read": group("read")}
    for _ in range(2 * CAPACITY):
        subject.measure(groups, [orders])
        clock.advance(10.0)

    found = subject.measure(groups, [orders])

    assert {name: each.status for name, each in found.statuses.items()} == {
        "idle": LagStatus.STOP,
        "read": LagStatus.OK,
    }
    assert {name: lag.total.lag for name, lag in found.lags.items()} == {"idle": 5, "read": 0}


def test_a_group_that_stood_still_is_judged_by_its_last_looks_when_it_moves_again():
    orders = topic("orders", 1)
    source, clock = Source({"g": {("orders", 0): 95}}), ManualClock()
    subject = Measurement(source, clock, selector(Selection()))
    for _ in range(2 * CAPACITY):
        subject.measure({"g": group("g")}, [orders])
        clock.advance(10.0)

    statuses = []
    for _ in range(CAPACITY):
        source.commits = {"g": {("orders", 0): 96}}
        statuses.append(subject.measure({"g": group("g")}, [orders]).statuses["g"].status)
        clock.advance(10.0)

    # Silent for longer than it was active before, within the window.
    assert statuses.index(LagStatus.STOP) == 8
    assert statuses[0] is LagStatus.OK
