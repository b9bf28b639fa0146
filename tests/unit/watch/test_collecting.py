import pytest

from kraftd.watch.collecting import LEFT_TO_START_S, Turn, next_turn
from kraftd.watch.snapshot import ServiceState
from tests.unit.watch.programs import program, snapshot

STARTING, DOWN = ServiceState.STARTING, ServiceState.DOWN
COMING_UP = snapshot(program("broker-1"), program("producer", STARTING))
UP = snapshot(program("broker-1"), program("broker-2", DOWN))


def test_before_the_first_look_nothing_is_asked():
    assert next_turn(None, has_seen_kafka=False, waited_s=100.0) is Turn.WAIT


def test_a_start_is_left_alone_until_all_of_it_is_up():
    assert next_turn(COMING_UP, has_seen_kafka=False, waited_s=1.0) is Turn.WAIT
    assert next_turn(UP, has_seen_kafka=False, waited_s=1.0) is Turn.ASK


def test_a_start_that_takes_long_is_watched():
    assert next_turn(COMING_UP, has_seen_kafka=False, waited_s=LEFT_TO_START_S - 0.1) is Turn.WAIT
    assert next_turn(COMING_UP, has_seen_kafka=False, waited_s=LEFT_TO_START_S) is Turn.ASK


def test_what_comes_up_later_stops_no_collecting():
    assert next_turn(COMING_UP, has_seen_kafka=True, waited_s=1.0) is Turn.ASK


@pytest.mark.parametrize("state", [STARTING, DOWN])
def test_without_a_serving_broker_there_is_nobody_to_ask(state):
    look = snapshot(program("broker-1", state), program("producer"))

    assert next_turn(look, has_seen_kafka=True, waited_s=1.0) is Turn.GIVE_UP
