import random
from bisect import bisect_left

import pytest

from kraftd.health.lag.time_lag import (
    MIN_WIDTH_S,
    NO_WAIT,
    RELATIVE_ERROR,
    AgeBounds,
    Point,
    age_of,
    group_wait,
    looked_up,
    lookup_time_s,
    observed,
)


def timeline(*points):
    return tuple(Point(float(time_s), offset) for time_s, offset in points)


def test_a_records_age_lies_between_the_looks_around_it():
    assert age_of(timeline((0, 5), (10, 8), (20, 9)), offset=6, now_s=20.0) == AgeBounds(10.0, 20.0)


def test_a_record_that_was_written_right_after_a_look_belongs_to_the_next_interval():
    assert age_of(timeline((0, 5), (10, 8), (20, 9)), offset=8, now_s=20.0) == AgeBounds(0.0, 10.0)


def test_a_record_from_before_the_first_look_has_no_upper_bound():
    assert age_of(timeline((0, 5), (10, 8)), offset=3, now_s=10.0) == AgeBounds(10.0, None)


def test_a_group_that_has_read_everything_waits_for_nothing():
    assert group_wait(timeline((0, 5), (10, 8)), committed=8, end=8, start=0, now_s=10.0) == NO_WAIT


def test_a_group_that_is_ahead_waits_for_nothing():
    assert group_wait(timeline((0, 5)), committed=9, end=5, start=0, now_s=10.0) == NO_WAIT


def test_on_an_idle_topic_an_unread_record_grows_older():
    points = timeline((0, 5), (10, 6))
    for now_s in (20.0, 30.0, 40.0):
        points = observed(points, now_s, 6)

    assert group_wait(points, committed=5, end=6, start=0, now_s=40.0) == AgeBounds(30.0, 40.0)


def test_what_retention_has_deleted_does_not_wait():
    points = timeline((0, 5), (10, 8), (20, 9))

    assert group_wait(points, committed=1, end=9, start=8, now_s=20.0) == age_of(points, 8, 20.0)


def test_the_estimate_is_the_middle_of_the_interval():
    assert AgeBounds(10.0, 20.0).estimate_s == 15.0
    assert AgeBounds(10.0, None).estimate_s == 10.0


def test_a_log_that_was_created_again_forgets_its_past():
    assert observed(timeline((0, 5), (10, 8)), 20.0, 2) == timeline((20, 2))


def test_a_clock_that_went_back_leaves_no_point_in_the_future():
    assert observed(timeline((0, 5), (1000, 8)), 500.0, 8) == timeline((0, 5), (500, 8))


def test_a_broker_that_knows_no_record_so_young_bounds_the_whole_log():
    assert looked_up(timeline((100, 9)), 40.0, None, end=9) == timeline((40, 9), (100, 9))


def test_of_an_idle_time_the_ends_are_kept():
    points = timeline((0, 5))
    for step in range(1, 1000):
        points = observed(points, 10.0 * step, 5)

    assert points == timeline((0, 5), (9990, 5))


def test_an_unbounded_age_is_asked_for_ever_further_back():
    assert lookup_time_s([AgeBounds(0.0, None)], now_s=1000.0) == 940.0
    assert lookup_time_s([AgeBounds(60.0, None)], now_s=1000.0) == 520.0


def test_the_widest_interval_is_halved_first():
    assert lookup_time_s([AgeBounds(0.0, 5.0), AgeBounds(100.0, 300.0)], now_s=1000.0) == 800.0


@pytest.mark.parametrize("age", [AgeBounds(0.0, 10.0), AgeBounds(100.0, 119.0), AgeBounds(900.0, 1000.0), NO_WAIT])
def test_an_interval_that_is_narrow_for_its_age_is_not_asked_about(age):
    assert lookup_time_s([age], now_s=2000.0) is None


@pytest.mark.parametrize("seed", range(8))
def test_the_true_age_lies_in_the_interval_which_becomes_narrow_and_the_points_few(seed):
    """A topic with quiet and busy hours, a day older than the daemon, and three groups at different places."""
    chance = random.Random(seed)
    writes, time_s = [], -86_400.0
    while time_s < 7200.0:
        time_s += chance.choice([0.5, 5.0, 300.0, 4000.0]) * chance.random()
        writes.append(time_s)
    points, widths = (), []
    for cycle in range(720):
        now_s = 10.0 * cycle
        end = bisect_left(writes, now_s)
        commits = [end // 50, end // 2, end - 1]
        points = observed(points, now_s, end)
        ages = [group_wait(points, committed, end, 0, now_s) for committed in commits]
        for age, committed in zip(ages, commits, strict=True):
            true_s = now_s - writes[committed]
            assert age.at_least_s <= true_s
            assert age.at_most_s is None or true_s <= age.at_most_s
        asked_s = lookup_time_s(ages, now_s)
        if asked_s is not None:
            first = bisect_left(writes, asked_s)
            points = looked_up(points, asked_s, None if first >= end else first, end)
        widths.append([age.at_most_s is not None and age.at_most_s - age.at_least_s for age in ages])

    final_ages_s = [age.at_most_s for age in ages]
    for width_s, age_s in zip(widths[-1], final_ages_s, strict=True):
        assert width_s <= 2 * max(MIN_WIDTH_S, RELATIVE_ERROR * age_s) + 10.0
    assert len(points) < 150
