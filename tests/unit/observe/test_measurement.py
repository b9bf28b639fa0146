import time
from dataclasses import replace

import pytest

from kraftd.health.lag.selection import selector
from kraftd.health.lag.status import CAPACITY, LagStatus
from kraftd.health.lag.time_lag import NO_WAIT
from kraftd.health.lag.view import KafkaView
from kraftd.kafka.log import EARLIEST, IsolationLevel
from kraftd.kafka.model import (
    AbortedTransaction,
    Batch,
    Failure,
    FetchedBatches,
    GroupState,
    Member,
    OpenTransaction,
    Partial,
    Partition,
    TopicState,
)
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
        self.looks = 0
        self.asked_for_transactions = []

    def committed(self, groups):
        return Partial({each.name: self.commits[each.name] for each in groups}, self.failures)

    def end_offsets(self, partitions, isolation_level=IsolationLevel.READ_UNCOMMITTED):
        return Partial({partition.key: self.end for partition in partitions})

    def mixed_offsets(self, questions):
        return Partial({partition.key: 0 if at_ms == EARLIEST else 50 for partition, at_ms in questions})

    def batches_from(self, questions):
        self.looks += 1
        return Partial({partition.key: self.batches(offset) for partition, offset in questions})

    def batches(self, offset):
        """Return one batch of plain records up to the end."""
        batch = Batch(offset, self.end - 1, self.end - offset, -1, False, False, 100)
        return FetchedBatches((batch,) if offset < self.end else (), (), self.end)

    def open_transactions(self, partitions, brokers):
        self.asked_for_transactions += [partition.key for partition in partitions]
        return Partial({partition.key: OpenTransaction(7, 90, 1000.0) for partition in partitions})


def test_a_group_of_which_commits_are_missing_has_no_sums():
    orders = topic("orders", 2)
    source = Source({"g": {("orders", 0): 95}})
    source.failures = {"g": TIMED_OUT}
    subject = Measurement(source, ManualClock(), selector(Selection()))

    lag = subject.measure({"g": group("g")}, [orders]).lags["g"]

    assert (lag.total.lag, lag.total.known_lag, lag.topics["orders"].lag) == (None, 105, None)
    assert [each.lag for each in lag.partitions] == [5, 100]


def test_a_group_beyond_the_limit_has_a_lag_but_neither_wait_nor_pace():
    source = Source({"big": dict.fromkeys((("orders", 0), ("orders", 1)), 90), "small": {("orders", 0): 95}})
    subject = Measurement(source, ManualClock(), selector(Selection(max_group_partitions=1)))

    found = subject.measure({name: group(name) for name in ("big", "small")}, [topic("orders", 2)])

    assert found.undetailed == {"big"}
    assert (set(found.time_lags), set(found.statuses)) == ({"small"}, {"small"})
    assert {name: lag.total.lag for name, lag in found.lags.items()} == {"big": 20, "small": 105}


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
    assert {lag.total.offset_lag for lag in found.lags.values() if lag.total.partitions == 100} == {4300}
    assert took_s < 2.0


def test_groups_that_stand_still_keep_their_lag_and_get_a_verdict():
    orders = topic("orders", 1)
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


KEY = ("orders", 0)
PRODUCER = 7


class Transactions(Source):
    """A log whose last offsets, from 90 on, are of one transaction, with a marker at its end."""

    open_from = None

    def end_offsets(self, partitions, isolation_level=IsolationLevel.READ_UNCOMMITTED):
        end = self.end if not isolation_level or self.open_from is None else self.open_from
        return Partial({partition.key: end for partition in partitions})

    def batches(self, offset):
        data, marker = Batch(90, 98, 9, PRODUCER, True, False, 500), Batch(99, 99, 1, PRODUCER, True, True, 78)
        stable = self.end if self.open_from is None else self.open_from
        aborted = (AbortedTransaction(PRODUCER, 90),)
        return FetchedBatches(
            tuple(each for each in (data, marker) if offset <= each.last_offset < stable), aborted, stable
        )


def measured(source, cycles, state=None):
    """Return the last of some measurements, each 10 s after the one before."""
    clock = ManualClock()
    subject = Measurement(source, clock, selector(Selection()))
    for _ in range(cycles):
        found = subject.measure({"g": state or group("g")}, [topic("orders", 1)])
        clock.advance(10.0)
    return found


def reader():
    return replace(group("g"), state="Stable", members=(Member("m", "c", "h", (KEY,)),))


def test_a_marker_and_the_records_of_an_aborted_transaction_are_no_lag_and_no_stall():
    found = measured(Transactions({"g": {KEY: 90}}), 2 * CAPACITY, reader())

    assert (found.lags["g"].total.lag, found.lags["g"].total.offset_lag) == (0, 10)
    assert found.statuses["g"].status is LagStatus.OK
    assert found.time_lags["g"][KEY] == NO_WAIT


def test_what_an_open_transaction_holds_back_is_no_stall_and_it_is_named():
    source = Transactions({"g": {KEY: 90}})
    source.open_from = 90

    found = measured(source, 2 * CAPACITY, reader())

    assert (found.lags["g"].total.lag, found.lags["g"].total.offset_lag) == (0, 10)
    assert found.statuses["g"].status is LagStatus.OK
    assert found.open_transactions[KEY].producer_id == PRODUCER
    assert source.asked_for_transactions == [KEY]


def test_a_transaction_that_was_held_back_and_is_committed_is_no_stall_at_once():
    source, clock = Transactions({"g": {KEY: 90}}), ManualClock()
    source.open_from = 90
    subject = Measurement(source, clock, selector(Selection()))
    for _ in range(CAPACITY):
        subject.measure({"g": reader()}, [topic("orders", 1)])
        clock.advance(10.0)
    source.open_from, source.end = None, 101
    source.batches = lambda offset: FetchedBatches((Batch(90, 99, 10, PRODUCER, True, False, 500),), (), 101)

    found = subject.measure({"g": reader()}, [topic("orders", 1)])

    assert found.lags["g"].total.lag == 11
    assert found.statuses["g"].status is LagStatus.OK
    assert found.open_transactions == {}


def test_records_that_nobody_commits_are_a_stall_and_their_batches_are_read_once():
    source = Source({"g": {KEY: 95}})

    found = measured(source, CAPACITY, reader())

    assert (found.lags["g"].total.lag, found.statuses["g"].status) == (5, LagStatus.STALL)
    assert source.looks == 1


def test_a_group_whose_commits_move_costs_no_look():
    source, clock = Source({"g": {KEY: 60}}), ManualClock()
    subject = Measurement(source, clock, selector(Selection()))
    for _ in range(CAPACITY):
        subject.measure({"g": reader()}, [topic("orders", 1)])
        source.commits = {"g": {KEY: source.commits["g"][KEY] + 1}}
        clock.advance(10.0)

    assert source.looks == 0


def test_a_group_that_left_records_of_a_partition_without_a_commit_does_not_keep_up():
    source, clock = Source({"g": {KEY: 100}}), ManualClock()
    subject = Measurement(source, clock, selector(Selection()))
    for _ in range(CAPACITY):
        found = subject.measure({"g": group("g")}, [topic("orders", 2)])
        clock.advance(10.0)

    assert (found.lags["g"].total.lag, found.statuses["g"].status) == (100, LagStatus.EMPTY)
