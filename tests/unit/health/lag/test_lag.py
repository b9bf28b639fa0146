import pytest

from kraftd.health.lag.lag import group_lag, partition_lag
from kraftd.health.lag.unread import Unread

T0, T1, U0 = ("t", 0), ("t", 1), ("u", 0)


def lag_of(committed, ends, starts=None, **keywords):
    keywords.setdefault("existing", {T0, T1, U0})
    return group_lag(committed, ends, {} if starts is None else starts, **keywords)


def test_lag_is_the_distance_from_the_commit_to_the_end():
    assert partition_lag(T0, committed=3, end=10, start=0).lag == 7


def test_a_group_that_has_read_everything_has_no_lag_not_one():
    assert partition_lag(T0, committed=10, end=10, start=0).lag == 0


def test_a_group_ahead_of_the_log_has_no_lag_and_is_marked():
    lag = partition_lag(T0, committed=12, end=10, start=0)

    assert (lag.lag, lag.offset_lag, lag.ahead_of_end) == (0, 0, True)


def test_a_group_at_the_end_is_not_ahead_of_it():
    assert not partition_lag(T0, committed=10, end=10, start=0).ahead_of_end


def test_lag_is_unknown_where_the_end_is_unknown():
    lag = partition_lag(T0, committed=12, end=None, start=0)

    assert (lag.lag, lag.offset_lag, lag.ahead_of_end) == (None, None, False)


def test_what_retention_has_deleted_is_a_difference_but_no_lag():
    lag = partition_lag(T0, committed=2, end=10, start=6)

    assert (lag.lag, lag.offset_lag, lag.retention_margin) == (4, 8, -4)


def test_a_group_far_from_the_start_of_the_log_has_a_margin():
    assert partition_lag(T0, committed=9, end=10, start=6).retention_margin == 3


def test_lag_is_known_without_the_start_of_the_log():
    lag = partition_lag(T0, committed=2, end=10, start=None)

    assert (lag.lag, lag.offset_lag, lag.retention_margin) == (8, 8, None)


def test_a_log_that_was_emptied_leaves_nothing_to_read():
    lag = partition_lag(T0, committed=4, end=6, start=6)

    assert (lag.lag, lag.offset_lag, lag.retention_margin) == (0, 2, -2)


def test_an_offset_of_zero_is_a_commit():
    lag = lag_of({T0: 0}, {T0: 5})

    assert lag.total.lag == 5
    assert lag.uncommitted == ()


@pytest.mark.parametrize(
    "reading", [{"assigned": [T0, T1]}, {"siblings": {"t": (T0, T1)}}], ids=["assigned", "of a topic with a commit"]
)
def test_a_partition_without_a_commit_has_a_lag_from_the_start_of_the_log(reading):
    lag = lag_of({T0: 3}, {T0: 10, T1: 10}, {T0: 0, T1: 4}, **reading)

    assert [(each.partition, each.lag, each.offset_lag) for each in lag.partitions] == [(0, 7, 7), (1, 6, None)]
    assert (lag.uncommitted, lag.total.lag) == ((T1,), 13)
    # The sums of kafka_exporter are of what is committed.
    assert (lag.topics["t"].offset_lag, lag.topics["t"].committed, lag.topics["t"].partitions) == (7, 3, 1)


def test_a_topic_that_a_group_does_not_read_is_none_of_its_lag():
    lag = lag_of({T0: 3}, {T0: 10, U0: 10}, {T0: 0, U0: 0}, siblings={"t": (T0,), "u": (U0,)})

    assert (lag.total.lag, lag.uncommitted) == (7, ())


def test_a_partition_without_a_commit_whose_start_is_not_known_has_no_lag():
    reading, idle = lag_of({}, {T0: 10}, assigned=[T0]), lag_of({}, {T0: 10})

    assert (reading.total.lag, reading.total.unknown_partitions, idle.total.lag) == (None, 1, 0)


def test_a_lag_counts_what_can_be_read_and_the_difference_counts_offsets():
    unread = Unread(looked_to=10, readable=2, first_readable=5, end=10, stable=10)

    lag = lag_of({T0: 3}, {T0: 10}, {T0: 0}, unread={T0: unread})

    assert (lag.total.lag, lag.total.offset_lag) == (2, 7)


def test_a_group_without_members_keeps_its_lag():
    assert lag_of({T0: 3}, {T0: 10}, assigned=[]).total.lag == 7


def test_a_deleted_topic_vanishes():
    lag = lag_of({T0: 3, U0: 4}, {T0: 10}, existing={T0})

    assert list(lag.topics) == ["t"]
    assert lag.total.lag == 7


def test_an_assignment_on_a_deleted_topic_is_not_uncommitted():
    assert lag_of({}, {}, existing={T0}, assigned=[U0]).uncommitted == ()


def test_sums_are_by_topic_and_over_the_group():
    lag = lag_of({T0: 3, T1: 4, U0: 0}, {T0: 10, T1: 10, U0: 1})

    assert {topic: of_topic.lag for topic, of_topic in lag.topics.items()} == {"t": 13, "u": 1}
    assert lag.total.lag == 14


def test_one_unknown_partition_makes_its_sums_unknown_and_no_others():
    lag = lag_of({T0: 3, T1: 4, U0: 0}, {T0: 10, U0: 1})

    assert (lag.topics["t"].lag, lag.topics["t"].known_lag, lag.topics["t"].unknown_partitions) == (None, 7, 1)
    assert lag.topics["u"].lag == 1
    assert (lag.total.lag, lag.total.known_lag) == (None, 8)


def test_a_group_ahead_on_one_partition_does_not_lower_the_sum():
    assert lag_of({T0: 30, T1: 4}, {T0: 10, T1: 10}).total.lag == 6


def test_a_group_without_commits_has_no_lag_and_no_partitions():
    lag = lag_of({}, {T0: 10})

    assert (lag.partitions, lag.total.lag, lag.total.partitions) == ((), 0, 0)


def test_partitions_are_in_order_whatever_the_order_of_the_commits():
    lag = lag_of({U0: 1, T1: 1, T0: 1}, {})

    assert [(partition.topic, partition.partition) for partition in lag.partitions] == [T0, T1, U0]
