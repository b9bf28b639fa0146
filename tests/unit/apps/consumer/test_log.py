import pytest

from kraftd_apps.consumer.log import Start, merged, read_from, read_newest
from kraftd_apps.consumer.record import SeenRecord
from tests.unit.apps.kafka_fakes import FakeReader


def test_the_end_of_every_partition_is_read_and_the_client_closed():
    reader = FakeReader({0: list(range(100)), 1: [7], 2: []})
    records = read_newest(reader, "t", [0, 1, 2], count=3, timeout_s=1)
    assert sorted((record.partition, record.offset) for record in records) == [(0, 97), (0, 98), (0, 99), (1, 7)]
    assert reader.closed


def test_a_reader_that_gets_no_answer_gives_up_in_time():
    ticks = iter(range(100))
    reader = FakeReader({0: [1]}, silent=True)
    assert read_newest(reader, "t", [0], count=3, timeout_s=5, clock=lambda: next(ticks)) == []
    assert reader.closed


def test_partitions_are_merged_by_time_and_each_keeps_its_order():
    def record(partition, offset, timestamp_ms):
        return SeenRecord(partition, offset, timestamp_ms, None, None)

    backwards = [record(0, 0, 50), record(0, 1, 10), record(0, 2, None)]
    other = [record(1, 0, 20), record(1, 1, 60)]
    places = [(found.partition, found.offset) for found in merged({0: backwards, 1: other})]
    assert places == [(1, 0), (0, 0), (0, 1), (0, 2), (1, 1)]


@pytest.mark.parametrize(
    ("start", "limit", "offsets"),
    [
        (Start(0, 12), 3, [12, 13, 14]),
        (Start(0, 2), 2, [10, 11]),
        (Start(0, 18), 10, [18, 19]),
        (Start(0, 20), 10, []),
        (Start(0, timestamp_ms=1015), 2, [15, 16]),
        (Start(0, timestamp_ms=9999), 2, []),
    ],
)
def test_the_log_is_read_from_an_offset_or_a_time_on(start, limit, offsets):
    reader = FakeReader({0: list(range(10, 20))})
    records = read_from(reader, "t", start, limit=limit, timeout_s=1)
    assert [record.offset for record in records] == offsets
    assert reader.closed
