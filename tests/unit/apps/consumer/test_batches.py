import pytest
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.record.util import calc_crc32c

from kraftd_apps.consumer.batches import first_batch

LAST_OFFSET_DELTA_AT = 23


def batch_of(count):
    builder = MemoryRecordsBuilder(magic=2, compression_type=0, batch_size=10_000)
    for number in range(count):
        builder.append(1_700_000_000_000 + number, None, b"value")
    builder.close()
    return bytes(builder.buffer())


def first(records, *, offset=0, log_end=100):
    return first_batch(records, offset, log_end, calc_crc32c)


def test_the_first_batch_is_cut_out_and_its_end_told():
    found = first(batch_of(3) + batch_of(2))
    assert (found.content, found.first, found.end, found.is_damaged) == (batch_of(3), 0, 3, False)


@pytest.mark.parametrize("place", [21, 40, 61, -1])
def test_a_batch_of_which_any_bit_has_changed_is_damaged(place):
    records = bytearray(batch_of(3))
    records[place] ^= 1
    assert first(bytes(records)).is_damaged


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
