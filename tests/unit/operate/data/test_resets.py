import pytest

from kraftd.operate.data.resets import Bounds, Move, ResetKind, ResetTo, import_moves, reread, reset_moves, skipped

PARTITIONS = {("t", 0): Bounds(5, 25, at_time=12), ("t", 1): Bounds(0, 10)}
COMMITS = {("t", 0): 20}


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        (ResetTo(ResetKind.EARLIEST), [(20, 5), (None, 0)]),
        (ResetTo(ResetKind.LATEST), [(20, 25), (None, 10)]),
        (ResetTo(ResetKind.TIME, 1000), [(20, 12), (None, 10)]),
        (ResetTo(ResetKind.OFFSET, 8), [(20, 8), (None, 8)]),
        (ResetTo(ResetKind.SHIFT, -3), [(20, 17)]),
        (ResetTo(ResetKind.SHIFT, 4), [(20, 24)]),
    ],
)
def test_a_reset_moves_every_partition(to, expected):
    assert [(move.before, move.after) for move in reset_moves(PARTITIONS, COMMITS, to)] == expected


@pytest.mark.parametrize(
    ("to", "after"),
    [(ResetTo(ResetKind.OFFSET, 3), 5), (ResetTo(ResetKind.OFFSET, 99), 25), (ResetTo(ResetKind.SHIFT, -99), 5)],
)
def test_an_offset_outside_of_the_log_becomes_its_nearest_end(to, after):
    move = reset_moves(PARTITIONS, COMMITS, to)[0]

    assert move.after == after
    assert "outside" in move.note


def test_an_import_moves_what_it_names():
    assert import_moves({("t", 1): 4}, {("t", 1): 4}, PARTITIONS) == (Move("t", 1, 4, 4),)
    assert not import_moves({("t", 1): 4}, {("t", 1): 4}, PARTITIONS)[0].is_needed


def test_what_is_read_again_and_what_is_left_out_is_counted():
    moves = (Move("t", 0, 20, 5), Move("t", 1, 3, 7), Move("t", 2, None, 9))

    assert (reread(moves), skipped(moves)) == (15, 4)
