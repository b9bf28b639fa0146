from dataclasses import replace

import pytest

from kraftd.health.lag.lag import group_lag
from kraftd.health.lag.view import Canary, KafkaView, Offsets
from kraftd.health.programs.state import BrokerContact, ProcessUsage, Snapshot
from kraftd.health.report.history import KEPT_S, STEP_S, History, extended
from kraftd.kafka.model import Partial, RoundTrip

KEY = ("orders", 0)
OTHER = ("orders", 1)
UNCOMMITTED = group_lag({}, {KEY: 5}, {}, existing=[KEY], assigned=[KEY])


def look(at_s, *, ends=None, read_at_s=None, lag=None, lag_at_s=None, canary=None, contacts=None, usages=None):
    kafka = KafkaView(
        offsets=None if ends is None else Offsets(at_s if read_at_s is None else read_at_s, Partial(ends)),
        lags=lag,
        lags_taken_at_s=at_s if lag_at_s is None else lag_at_s,
        canary=canary,
    )
    return Snapshot(at_s, at_s, True, (), kafka, contacts or {}, usages or {})


def remembered(*looks, lag_interval_s=10.0):
    history = History()
    for each in looks:
        history = extended(history, each, lag_interval_s)
    return history


def newest(*looks):
    return remembered(*looks).moments[-1]


def test_a_moment_is_kept_every_step_and_no_oftener():
    history = remembered(*(look(1000.0 + second) for second in range(21)))

    assert [moment.time_s for moment in history.moments] == [1000.0, 1005.0, 1010.0, 1015.0, 1020.0]


def test_memory_is_bounded():
    history = remembered(*(look(1000.0 + STEP_S * number) for number in range(1000)))

    assert len(history.moments) == KEPT_S / STEP_S


def test_throughput_is_the_growth_between_two_readings():
    moment = newest(look(1000.0, ends={KEY: 10, OTHER: 0}), look(1010.0, ends={KEY: 40, OTHER: 20}))

    assert moment.produced_per_s == 5.0


def test_the_first_reading_says_nothing_of_throughput():
    assert newest(look(1000.0, ends={KEY: 10})).produced_per_s is None


def test_a_reading_that_is_seen_twice_keeps_its_rate():
    history = remembered(
        look(1000.0, ends={KEY: 10}), look(1010.0, ends={KEY: 40}), look(1015.0, ends={KEY: 40}, read_at_s=1010.0)
    )

    assert [moment.produced_per_s for moment in history.moments] == [None, 3.0, 3.0]
    assert history.rates.topics == {"orders": 3.0}


def test_a_topic_that_was_created_again_did_not_shrink():
    assert newest(look(1000.0, ends={KEY: 100, OTHER: 5}), look(1010.0, ends={KEY: 3, OTHER: 15})).produced_per_s == 1.0


def test_a_partition_that_is_new_counts_from_its_next_reading():
    assert newest(look(1000.0, ends={KEY: 10}), look(1010.0, ends={KEY: 20, OTHER: 5000})).produced_per_s == 1.0


def test_offsets_of_long_ago_are_a_gap_and_no_rate_is_made_across_it():
    history = remembered(
        look(1000.0, ends={KEY: 10}),
        look(1100.0, ends={KEY: 10}, read_at_s=1000.0),
        look(1110.0, ends={KEY: 500}),
        look(1120.0, ends={KEY: 510}),
    )

    assert [moment.produced_per_s for moment in history.moments] == [None, None, None, 1.0]


@pytest.mark.parametrize("lag_interval_s", [30.0, 3600.0])
def test_readings_that_are_rare_by_the_settings_are_known_all_the_same(lag_interval_s):
    read_at_s = (1000.0, 1000.0 + lag_interval_s)
    history = remembered(
        look(read_at_s[0], ends={KEY: 0}, lag={}),
        look(read_at_s[1], ends={KEY: 7200}, lag={}),
        look(read_at_s[1] + lag_interval_s, ends={KEY: 7200}, read_at_s=read_at_s[1], lag={}, lag_at_s=read_at_s[1]),
        lag_interval_s=lag_interval_s,
    )

    newest = history.moments[-1]
    assert (newest.produced_per_s, newest.lag) == (7200 / lag_interval_s, 0)


def lag_of(ends):
    return group_lag({KEY: 1, OTHER: 1}, ends, {}, existing=[KEY, OTHER])


@pytest.mark.parametrize(
    ("lag", "lag_at_s", "shown"),
    [
        ({}, 1000.0, 0),
        ({"a": lag_of({KEY: 5, OTHER: 3}), "b": lag_of({KEY: 2, OTHER: 1})}, 995.0, 7),
        ({"a": lag_of({KEY: 5, OTHER: 3}), "b": lag_of({KEY: 2})}, 1000.0, None),
        ({"a": lag_of({KEY: 5, OTHER: 3})}, 900.0, None),
        ({"a": lag_of({KEY: 5, OTHER: 3}), "never commits": UNCOMMITTED}, 1000.0, 6),
        ({"never commits": UNCOMMITTED}, 1000.0, None),
        (None, 1000.0, None),
    ],
    ids=[
        "no groups",
        "two groups",
        "a partition without an end",
        "long ago",
        "beside one that never commits",
        "one that never commits",
        "not read",
    ],
)
def test_the_lag_is_that_of_all_groups_or_not_known(lag, lag_at_s, shown):
    assert newest(look(1000.0, lag=lag, lag_at_s=lag_at_s)).lag == shown


def test_the_slowest_broker_counts():
    canary = Canary(999.0, Partial({1: RoundTrip(0.002, 0.001), 2: RoundTrip(0.01, 0.02)}))
    contacts = {1: BrokerContact(0.004), 2: BrokerContact(None), 3: BrokerContact(0.001)}

    moment = newest(look(1000.0, canary=canary, contacts=contacts))

    assert (moment.round_trip_s, moment.answer_s) == (pytest.approx(0.03), 0.004)


def test_a_canary_of_long_ago_and_silent_brokers_are_a_gap():
    canary = Canary(900.0, Partial({1: RoundTrip(0.002, 0.001)}))

    moment = newest(look(1000.0, canary=canary, contacts={1: BrokerContact(None)}))

    assert (moment.round_trip_s, moment.answer_s) == (None, None)


def test_the_cores_of_a_program_are_those_of_one_process():
    usage = ProcessUsage(10.0, 1, 1, 1, 500.0)
    first = look(1000.0, usages={"broker-1": usage, "broker-2": usage})
    second = look(
        1010.0,
        usages={"broker-1": replace(usage, cpu_s=15.0), "broker-2": replace(usage, cpu_s=1.0, started_at_s=1005.0)},
    )

    assert remembered(first, second).rates.cpu == {"broker-1": 0.5}


def test_moments_of_a_clock_that_went_back_are_dropped():
    history = remembered(look(1000.0), look(1005.0), look(400.0))

    assert [moment.time_s for moment in history.moments] == [400.0]
