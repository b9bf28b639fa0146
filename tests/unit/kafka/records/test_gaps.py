from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from kraftd.damage import DAMAGED, NOT_FOUND, STALLED_S, Batch, Place
from kraftd.kafka.model import Gap, KafkaUnreachableError
from kraftd.kafka.records.gaps import GapFinder

ORDERS = ("orders", 0)


def finder(looks, now_s=None):
    """Return a finder for a log with these batches, by first offset; the number after the last one is its end."""

    def look(offset):
        found = next((batch for batch in looks if batch.first <= offset < batch.end), None)
        if found is not None and not found.content:
            return Place(fault=found.fault)
        return Place(found)

    kafka = SimpleNamespace(look_into=lambda place: look)
    return GapFinder(None, connect=lambda access: nullcontext(kafka), clock=lambda: (now_s or [0.0])[0])


def whole(first, end):
    return Batch(b"x", first, end)


def test_damage_behind_markers_is_found_too():
    found = finder([whole(0, 5), whole(5, 6), Batch(b"x", 6, 9, DAMAGED), whole(9, 12)])

    assert found.at(ORDERS, 3) == Gap("orders", 0, 6, 9, DAMAGED)
    assert found.at(ORDERS, 8) == Gap("orders", 0, 8, 9, DAMAGED)
    assert found.at(ORDERS, 9) is None


def test_what_the_broker_does_not_find_up_to_the_end_has_no_known_end():
    (gap,) = [finder([whole(0, 5), Batch(b"", 5, 20, NOT_FOUND)]).at(ORDERS, 0)]

    assert (gap.begin, gap.end, gap.is_end_known) == (5, 20, False)
    assert str(gap) == f"orders-0 cannot be read from offset 5 on, up to the end of the log at 20: {NOT_FOUND}"


def test_a_position_is_looked_at_once_it_has_not_moved_for_a_while():
    now_s = [0.0]
    found = finder([Batch(b"x", 0, 9, DAMAGED)], now_s)

    assert list(found.stalled({ORDERS: 0})) == []
    now_s[0] = STALLED_S
    assert [(gap.begin, gap.end) for gap in found.stalled({ORDERS: 0})] == [(0, 9)]
    assert list(found.stalled({ORDERS: 0})) == []


def test_a_batch_that_only_the_library_cannot_decode_has_its_reason():
    gap = finder([whole(4, 9)]).reported(ORDERS, 4, "unknown codec")

    assert (gap.begin, gap.end, gap.reason) == (4, 9, "unknown codec")


@pytest.mark.parametrize("ask", [lambda each: each.at(ORDERS, 0), lambda each: each.reported(ORDERS, 0, "x")])
def test_brokers_that_do_not_answer_tell_nothing(ask):
    def refuse(_place):
        raise KafkaUnreachableError("cannot reach Kafka")

    assert ask(GapFinder(None, connect=lambda access: nullcontext(SimpleNamespace(look_into=refuse)))) is None
