import struct
from types import SimpleNamespace

import pytest
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.record.util import calc_crc32c

from kraftd.damage import (
    DAMAGED,
    MISPLACED,
    NOT_FOUND,
    REFUSED,
    STALLED_S,
    UNKNOWN_FORMAT,
    Batch,
    Place,
    Stalls,
    batch_at,
    damage_from,
    first_batch,
    place_of,
)

MAGIC_AT = 16
LAST_OFFSET_DELTA_AT = 23


def batch_of(count, magic=2):
    builder = MemoryRecordsBuilder(magic=magic, compression_type=0, batch_size=10_000)
    for number in range(count):
        builder.append(1_700_000_000_000 + number, None, b"value")
    builder.close()
    return bytes(builder.buffer())


def first(records, *, offset=0, log_end=100):
    return first_batch(records, offset, log_end, calc_crc32c)


def test_the_first_batch_is_cut_out_and_its_end_told():
    found = first(batch_of(3) + batch_of(2))
    assert (found.content, found.first, found.end, found.fault) == (batch_of(3), 0, 3, "")


@pytest.mark.parametrize("place", [21, 40, 61, -1])
def test_a_batch_of_which_any_bit_has_changed_is_damaged(place):
    records = bytearray(batch_of(3))
    records[place] ^= 1
    assert first(bytes(records)).fault == DAMAGED


@pytest.mark.parametrize(("delta", "end"), [(b"\x7f\xff\xff\xff", 100), (b"\xff\xff\xff\xff", 6), (b"\0\0\0\0", 6)])
def test_a_damaged_header_leads_neither_back_nor_out_of_the_log(delta, end):
    records = bytearray(batch_of(9))
    records[LAST_OFFSET_DELTA_AT : LAST_OFFSET_DELTA_AT + 4] = delta
    assert first(bytes(records), offset=5).end == end


@pytest.mark.parametrize("records", [b"", batch_of(1)[:20]])
def test_there_is_no_batch_in_too_few_bytes(records):
    assert first(records) is None


def test_a_negative_length_is_a_damaged_batch_without_content():
    assert first(b"\0" * 8 + b"\xff" * 4 + batch_of(1)[12:]).content == batch_of(1)[:0] + b"\0" * 8 + b"\xff" * 4


@pytest.mark.parametrize("magic", [0, 1])
def test_a_message_of_an_old_format_has_a_checksum_too(magic):
    message = batch_of(1, magic)
    assert first(message).fault == ""
    assert first(message[:-1] + b"?").fault == DAMAGED


@pytest.mark.parametrize("magic", [3, 90, 255])
def test_a_batch_of_an_unknown_format_is_damaged(magic):
    records = bytearray(batch_of(3))
    records[MAGIC_AT] = magic
    assert first(bytes(records)).fault == UNKNOWN_FORMAT


@pytest.mark.parametrize("base", [2**40, -5])
def test_a_batch_that_says_that_it_lies_elsewhere_is_damaged(base):
    found = first(struct.pack(">q", base) + batch_of(3)[8:], offset=5)
    assert (found.fault, found.first, found.end) == (MISPLACED, min(base, 5), 100 if base > 0 else 6)


def answer(records=b"", *, error_code=0, high_watermark=100):
    return SimpleNamespace(records=records, error_code=error_code, high_watermark=high_watermark)


def test_an_answer_without_a_batch_before_the_end_of_the_log_is_damage():
    assert place_of(answer(), 5, calc_crc32c) == Place(fault=NOT_FOUND)
    assert place_of(answer(), 100, calc_crc32c) == Place()
    assert place_of(answer(error_code=1), 101, calc_crc32c) == Place()
    assert place_of(answer(error_code=2, high_watermark=-1), 5, calc_crc32c) == Place(fault=REFUSED)
    assert place_of(answer(error_code=6), 5, calc_crc32c) is None


def batch(first, end, fault=""):
    return Place(Batch(b"", first, end, fault))


def log_with_a_hole(hole, end, *, moment=0):
    """Return how a log looks in which a broker finds nothing at some offsets, and at which offsets was looked.

    Args:
        hole: The offsets at which it finds nothing.
        end: The end of the log.
        moment: After how many looks it finds all of them.
    """
    looks = []

    def look(offset):
        looks.append(offset)
        if offset > end:
            return Place()
        if offset in hole and not (moment and len(looks) > moment):
            return Place(fault=NOT_FOUND)
        return batch(offset, offset + 1) if offset < end else Place()

    return look, looks


@pytest.mark.parametrize(("end_of_hole", "end"), [(6, 7), (44, 105), (5 + 2**20, 2**30), (104, 105)])
def test_damage_reaches_to_the_first_offset_that_can_be_read(end_of_hole, end):
    look, looks = log_with_a_hole(range(5, end_of_hole), end)
    found = batch_at(look, 5)
    assert (found.content, found.first, found.end, found.fault, found.is_end_known) == (
        (b"", 5, end_of_hole, NOT_FOUND, True)
    )
    assert len(looks) <= 45


@pytest.mark.parametrize("end", [6, 7, 105])
def test_damage_up_to_the_end_of_the_log_has_no_known_end(end):
    look, _ = log_with_a_hole(range(5, end), end)
    found = batch_at(look, 5)
    assert (found.first, found.end, found.is_end_known) == (5, end, False)


def test_what_a_new_leader_does_not_find_for_a_moment_is_no_damage():
    look, looks = log_with_a_hole(range(5, 44), 105, moment=3)
    assert batch_at(look, 5).fault == ""
    assert looks[-1] == 5


def test_a_damaged_batch_is_not_where_reading_goes_on():
    def look(offset):
        if offset < 9:
            return Place(fault=REFUSED)
        return batch(9, 20, DAMAGED) if offset < 20 else batch(20, 30)

    assert batch_at(look, 5).end == 20


def test_damage_is_looked_for_behind_batches_that_can_be_read():
    look, looks = log_with_a_hole(range(9, 11), 20)

    assert damage_from(look, 5, 10) == Batch(b"", 9, 11, NOT_FOUND)
    assert damage_from(look, 5, 4) is None
    assert damage_from(look, 11, 100) is None
    assert len(looks) < 30


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
