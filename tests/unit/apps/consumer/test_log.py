import asyncio
import itertools

import pytest
from confluent_kafka import KafkaException

from kraftd.damage import Batch
from kraftd_apps.common.problems import ProblemError
from kraftd_apps.consumer.log import Log, LogReading, Start, merged
from kraftd_apps.consumer.record import SeenRecord
from kraftd_apps.consumer.ring import Ring
from tests.unit.apps.kafka_fakes import FakeReader, failure


def reading(reader, *, timeout_s=50):
    """Return a reading of which each look at the clock takes a second."""
    ticks = itertools.count()
    return LogReading(reader, reader.read_batch, "t", timeout_s, clock=lambda: next(ticks))


def places(records):
    return [(record.partition, record.offset) for record in records]


def test_the_end_of_every_partition_is_read():
    reader = FakeReader({0: list(range(100)), 1: [7], 2: []})
    records, is_complete = reading(reader).newest([0, 1, 2], 3)
    assert sorted(places(records)) == [(0, 97), (0, 98), (0, 99), (1, 7)]
    assert is_complete
    assert reader.consumed == 1, "one step back is enough where every offset has a record"


@pytest.mark.parametrize(
    ("offsets", "log_end", "newest"),
    [
        (list(range(72)), 500, [69, 70, 71]),
        (list(range(0, 1000, 100)), 1000, [700, 800, 900]),
        ([3, 4], 900, [3, 4]),
    ],
)
def test_the_newest_readable_records_are_found_behind_offsets_without_one(offsets, log_end, newest):
    reader = FakeReader({0: offsets, 1: [5]}, {0: log_end})
    records, is_complete = reading(reader).newest([0, 1], 3)
    assert [record.offset for record in records if record.partition == 0] == newest
    assert is_complete
    assert reader.consumed <= 6


def test_a_log_of_markers_alone_has_no_records():
    assert reading(FakeReader({0: []}, {0: 40})).newest([0], 3) == ([], True)


def test_a_partition_without_an_answer_does_not_hide_the_others():
    reader = FakeReader({0: [1], 1: [2]}, silent=frozenset({0}))
    records, is_complete = reading(reader).newest([0, 1], 3)
    assert places(records) == [(1, 2)]
    assert not is_complete


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
    assert [record.offset for record in reading(reader).from_start(start, limit)] == offsets


def test_an_offset_without_a_record_leads_to_the_next_one_that_has_one():
    assert places(reading(FakeReader({0: [1, 300, 301]})).from_start(Start(0, 2), 1)) == [(0, 300)]


@pytest.mark.parametrize(
    "reader", [FakeReader({0: [1]}, silent=frozenset({0})), FakeReader({0: [1]}, has_watermarks=False)]
)
def test_a_broker_that_does_not_answer_in_time_is_no_empty_log(reader):
    with pytest.raises(KafkaException):
        reading(reader, timeout_s=5).from_start(Start(0, 1), 10)


@pytest.mark.parametrize("reports", [True, False])
def test_a_batch_that_cannot_be_decoded_is_told_in_its_place_and_passed(reports):
    reader = FakeReader({0: [0, 1, 7, 8]}, undecodable={0: (2, 7)}, reports_undecodable=reports)
    records = reading(reader).from_start(Start(0, 0), 10)
    assert [(record.offset, bool(record.fault)) for record in records] == [
        (0, False), (1, False), (2, True), (7, False), (8, False)
    ]  # fmt: skip
    reader = FakeReader({0: [0, 1, 7, 8], 1: [4]}, undecodable={0: (2, 7)}, reports_undecodable=reports)
    newest, is_complete = reading(reader).newest([0, 1], 3)
    assert sorted(places(newest)) == [(0, 2), (0, 7), (0, 8), (1, 4)]
    assert is_complete


def test_a_silence_in_front_of_good_batches_is_waited_for():
    reader = FakeReader({0: [1]}, undecodable={0: (1, 2)}, reports_undecodable=False)
    ticks = itertools.count()
    slow = LogReading(reader, lambda *_: Batch(b"", 1, 2), "t", 9, clock=lambda: next(ticks))
    with pytest.raises(KafkaException):
        slow.from_start(Start(0, 1), 10)


def log_of(reader, ring=None):
    return Log(lambda: reader, reader.read_batch, "t", ring or Ring(10))


def test_a_record_of_a_silent_broker_is_not_missing_and_its_client_is_closed():
    reader = FakeReader({0: [1]}, has_watermarks=False)
    with pytest.raises(ProblemError) as refused:
        asyncio.run(log_of(reader).find(0, 1))
    assert refused.value.problem.code == "brokers_down"
    assert refused.value.problem.type.retry_after_s
    assert reader.closed


def test_an_offset_within_a_batch_that_cannot_be_decoded_is_not_missing():
    log = log_of(FakeReader({0: [0, 1, 7, 10]}, undecodable={0: (2, 7)}))
    assert [bool(asyncio.run(log.find(0, offset)).fault) for offset in (1, 2, 3, 6, 7)] == [0, 1, 1, 1, 0]
    with pytest.raises(ProblemError) as refused:
        asyncio.run(log.find(0, 9))
    assert refused.value.problem.code == "not_found"


def test_the_batch_of_an_offset_is_had_whether_it_can_be_decoded_or_not():
    log = log_of(FakeReader({0: [0, 1, 7, 10]}, undecodable={0: (2, 7)}))
    assert [asyncio.run(log.batch(0, offset)).content for offset in (1, 2, 6, 7)] == [
        b"good", b"damaged", b"damaged", b"good"
    ]  # fmt: skip
    for offset in (9, 11):
        with pytest.raises(ProblemError) as refused:
            asyncio.run(log.batch(0, offset))
        assert refused.value.problem.code == "not_found"


@pytest.mark.parametrize(("error", "code"), [("_TIMED_OUT", "brokers_down"), ("OFFSET_OUT_OF_RANGE", "not_found")])
def test_a_batch_that_cannot_be_had_is_a_problem_with_a_code(error, code):
    def read_batch(partition, offset, timeout_s):
        raise failure(error)

    log = Log(lambda: FakeReader({}), read_batch, "t", Ring(10))
    with pytest.raises(ProblemError) as refused:
        asyncio.run(log.batch(0, 1))
    assert refused.value.problem.code == code


def test_the_end_of_the_log_is_not_called_read_before_it_is():
    log = log_of(FakeReader({0: [1]}))
    assert log.tail_fault
    asyncio.run(log.read_tail((0,)))
    assert log.tail_fault == ""


def test_an_end_of_the_log_that_was_not_read_in_time_is_read_again_with_more_time():
    reader, ring = FakeReader({0: [1, 2]}), Ring(10)
    log = Log(lambda: reader, reader.read_batch, "t", ring, tail_timeouts_s=(0.0, 5.0), tail_pause_s=0.0)

    asyncio.run(log.read_tail((0,)))

    assert log.tail_fault == ""
    assert places(entry.record for entry in ring.newest(10)) == [(0, 2), (0, 1)]
