from kraftd_apps.consumer.damage import STALLED_S, Stalls


def test_a_position_that_stays_is_named_after_a_while_then_ever_less_often():
    stalls = Stalls()
    times_s = [time_s for time_s in range(200) if stalls.noted({0: 13, 1: time_s}, time_s)]
    assert times_s[:4] == [STALLED_S, STALLED_S * 3, STALLED_S * 7, STALLED_S * 15]
    assert times_s[-1] - times_s[-2] == 60


def test_a_position_that_moves_or_has_nothing_to_read_is_not_named():
    stalls = Stalls()
    assert stalls.noted({0: 13}, 0.0) == []
    assert stalls.noted({}, STALLED_S) == []
    assert stalls.noted({0: 13}, STALLED_S * 2) == []
    assert stalls.noted({0: 14}, STALLED_S * 9) == []
    assert stalls.noted({0: 14}, STALLED_S * 10) == [(0, 14)]
