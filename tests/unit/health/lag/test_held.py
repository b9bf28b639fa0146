import pytest

from kraftd.health.lag.held import ASK_AGAIN_S, HELD_S, HeldMemory
from kraftd.kafka.model import OpenTransaction, Partial, Partition

KEY = ("orders", 0)
PARTITIONS = {KEY: Partition(*KEY, 1, (1,), (1,))}
OPEN = OpenTransaction(7, 5, 1000.0)


@pytest.fixture
def held():
    memory = HeldMemory()
    memory.observe({KEY: 5}, {KEY: 9}, 100.0)
    memory.observe({KEY: 5}, {KEY: 12}, 100.0 + HELD_S)
    return memory


def test_a_last_stable_offset_that_stays_is_asked_about_once(held):
    now_s = 100.0 + HELD_S
    assert held.questions(PARTITIONS, 100.0) == []
    assert held.questions(PARTITIONS, now_s) == [PARTITIONS[KEY]]
    held.store(Partial({KEY: OPEN}))

    assert held.transactions == {KEY: OPEN}
    assert held.questions(PARTITIONS, now_s + ASK_AGAIN_S) == []


def test_where_no_transaction_was_found_it_is_asked_about_again_later(held):
    now_s = 100.0 + HELD_S
    held.questions(PARTITIONS, now_s)
    held.store(Partial())

    assert held.questions(PARTITIONS, now_s + ASK_AGAIN_S - 1) == []
    assert held.questions(PARTITIONS, now_s + ASK_AGAIN_S) == [PARTITIONS[KEY]]


@pytest.mark.parametrize(("stable", "ends"), [({KEY: 6}, {KEY: 12}), ({KEY: 12}, {KEY: 12}), ({}, {})])
def test_a_transaction_is_forgotten_when_it_ends_or_its_topic_does(held, stable, ends):
    held.store(Partial({KEY: OPEN}))

    held.observe(stable, ends, 200.0)

    assert held.transactions == {}
    assert held.questions(PARTITIONS, 200.0) == []


def test_offsets_that_move_are_a_busy_producers():
    memory = HeldMemory()
    for step in range(10):
        memory.observe({KEY: step}, {KEY: 20}, 10.0 * step)

        assert memory.questions(PARTITIONS, 10.0 * step) == []
