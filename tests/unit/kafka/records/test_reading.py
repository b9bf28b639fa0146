"""Records as they are read from logs that are whole, damaged, silent or gone; messages are the library's own."""

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException, Message

from kraftd.damage import DAMAGED, STALLED_S, Batch, Place
from kraftd.errors import UnknownNameError
from kraftd.kafka.model import KafkaRejectedError, KafkaUnavailableError, KafkaUnreachableError, OffsetRange
from kraftd.kafka.records.gaps import GapFinder
from kraftd.kafka.records.reading import RecordReader, Sources, UnreadableRecordsError, record_batches
from kraftd.plan.plan import Access

ORDERS = ("orders", 0)
ACCESS = Access("127.0.0.1:1", ())


def record(offset, place=ORDERS, value=b"value"):
    return Message(topic=place[0], partition=place[1], offset=offset, key=b"key", value=value, timestamp=(1, 1000))


def failure(offset, code, place=ORDERS):
    return Message(topic=place[0], partition=place[1], offset=offset, error=KafkaError(code))


class FakeConsumer:
    """Gives the records of logs from its positions on, reports damage each time that it meets it, and the ends.

    Attributes:
        records: The offsets of each log's records.
        damaged: Ranges of ORDERS that cannot be read.
        ends: The end of each log.
        is_silent: Whether it reports nothing, neither damage nor an end.
        stale: Messages that were fetched before, and come after the next seek.
        value: The value of each record.
        most_at_once: How many records it has fetched at any time, as a client that bounds their bytes.
        begun_as_leaders_were_asked: How many partitions were assigned when all leaders were asked for, each time.
    """

    def __init__(self, records, damaged=(), ends=None):
        self.records = records
        self.damaged = [range(*each) for each in damaged]
        self.ends = ends or {place: max(offsets, default=-1) + 1 for place, offsets in records.items()}
        self.positions = {}
        self.told_ends = set()
        self.is_silent = False
        self.stale = []
        self.queue = []
        self.begun_as_leaders_were_asked = []
        self.value = b"value"
        self.most_at_once = 10_000
        self.most_assigned = 0
        self.is_closed = False

    def incremental_assign(self, places):
        self.positions.update({(each.topic, each.partition): each.offset for each in places})
        self.most_assigned = max(self.most_assigned, len(self.positions))

    assign = incremental_assign

    def incremental_unassign(self, places):
        for each in places:
            del self.positions[each.topic, each.partition]

    def seek(self, place):
        self.positions[place.topic, place.partition] = place.offset
        self.told_ends.discard((place.topic, place.partition))
        self.queue, self.stale = self.queue + self.stale, []

    def list_topics(self, *, timeout):
        assert timeout > 0
        self.begun_as_leaders_were_asked.append(len(self.positions))
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    def position(self, places):
        return [
            SimpleNamespace(
                topic=each.topic, partition=each.partition, offset=self.positions[each.topic, each.partition]
            )
            for each in places
        ]

    def get_watermark_offsets(self, place, cached):
        return 0, self.ends[place.topic, place.partition]

    def consume(self, most, _wait_s):
        self.queue += [message for place in list(self.positions) for message in self.fetched(place)]
        most = min(most, self.most_at_once)
        given, self.queue = self.queue[:most], self.queue[most:]
        return given

    def fetched(self, place):
        position = self.positions[place]
        damage = next((each for each in self.damaged if position < each.stop and place == ORDERS), range(2**31, 2**31))
        offsets = [offset for offset in self.records[place] if position <= offset < damage.start]
        found = [record(offset, place, self.value) for offset in offsets]
        self.positions[place] = min(damage.start, self.ends[place])
        if self.is_silent:
            return found
        if damage.start < self.ends[place]:
            return [*found, failure(max(position, damage.start), KafkaError._BAD_MSG)]
        if place in self.told_ends:
            return found
        self.told_ends.add(place)
        return [*found, failure(self.ends[place], KafkaError._PARTITION_EOF, place)]

    def close(self):
        self.is_closed = True


class WrittenTo(FakeConsumer):
    """Has one record more of ORDERS at each look, so that it never tells an end; a second goes by each time."""

    def __init__(self, records, now_s):
        super().__init__(records, ends={ORDERS: max(records[ORDERS]) + 1, ("orders", 1): 1})
        self.now_s = now_s

    def consume(self, most, wait_s):
        self.now_s[0] += 1.0
        if self.now_s[0] > 60.0:
            pytest.fail("the reading goes on and on")
        self.records[ORDERS] = range(len(self.records[ORDERS]) + 1)
        self.ends[ORDERS] += 1
        return super().consume(most, wait_s)

    def fetched(self, place):
        return [message for message in super().fetched(place) if message.error() is None] if place == ORDERS else []


def sources(consumer, now_s=None):
    """Return the fake consumer, and a finder that sees the same damage."""

    def look(offset):
        found = next((each for each in consumer.damaged if offset in each), None)
        if found is not None:
            return Place(Batch(b"x", found.start, found.stop, DAMAGED))
        return Place(Batch(b"x", offset, offset + 1) if offset < consumer.ends[ORDERS] else None)

    kafka = SimpleNamespace(look_into=lambda place: look)
    clock = (now_s or [0.0]).__getitem__
    return Sources(
        lambda settings: consumer,
        lambda access: GapFinder(access, connect=lambda access: nullcontext(kafka), clock=lambda: clock(0)),
        lambda: clock(0),
    )


def read(consumer, ranges, now_s=None, **options):
    reader = RecordReader(ACCESS, sources=sources(consumer, now_s), **options)
    found = {place: [] for place in ranges}
    for place, records in reader.read({place: OffsetRange(*each) for place, each in ranges.items()}):
        found[place] += records.offsets
    return found, reader.gaps


def tailed(consumer, now_s=None, until=None):
    gaps = []
    until = until or consumer.ends
    batches = record_batches(
        ACCESS,
        dict.fromkeys(until, 0),
        until=until,
        silent_limit_s=10.0,
        on_gap=gaps.append,
        sources=sources(consumer, now_s),
    )
    return [message.offset() for batch in batches for message in batch], [(gap.begin, gap.end) for gap in gaps]


def test_a_range_is_read_to_its_end_and_no_further():
    found, gaps = read(FakeConsumer({ORDERS: range(10)}), {ORDERS: (3, 7)})

    assert (found, gaps) == ({ORDERS: [3, 4, 5, 6]}, [])


def test_the_columns_are_those_of_the_records():
    reader = RecordReader(ACCESS, sources=sources(FakeConsumer({ORDERS: range(2)})))

    ((_, records),) = reader.read({ORDERS: OffsetRange(0, 2)})

    assert (records.keys, records.values) == ([b"key"] * 2, [b"value"] * 2)
    assert (records.timestamps_ms, records.timestamp_types, records.headers) == ([1000] * 2, [1] * 2, {})


def test_a_batch_is_bounded_in_bytes_where_records_are_larger_than_those_before():
    consumer = FakeConsumer({ORDERS: range(50)})
    consumer.value, consumer.most_at_once = bytes(200_000), 2
    reader = RecordReader(ACCESS, sources=sources(consumer))

    sizes = [len(records) for _, records in reader.read({ORDERS: OffsetRange(0, 50)})]

    assert sum(sizes) == 50
    assert max(sizes) * len(consumer.value) < 2 * 1024 * 1024


def test_a_range_that_ends_with_control_records_is_read_when_the_log_ends():
    consumer = FakeConsumer({ORDERS: range(3)}, ends={ORDERS: 5})

    assert read(consumer, {ORDERS: (0, 5)})[0] == {ORDERS: [0, 1, 2]}


def test_an_empty_range_is_not_read():
    assert read(FakeConsumer({ORDERS: range(3)}), {ORDERS: (2, 2)})[0] == {ORDERS: []}


def test_many_partitions_are_read_some_at_a_time():
    places = [("orders", number) for number in range(9)]
    consumer = FakeConsumer({place: range(5) for place in places})

    found, _ = read(consumer, dict.fromkeys(places, (0, 5)))

    assert found == {place: list(range(5)) for place in places}
    assert (consumer.most_assigned, consumer.positions) == (4, {})


def test_the_leaders_of_many_topics_are_asked_for_once_and_need_no_answer():
    places = [(f"topic-{number}", 0) for number in range(9)]
    consumer = FakeConsumer({place: range(2) for place in places})

    assert read(consumer, dict.fromkeys(places, (0, 2)))[0] == {place: [0, 1] for place in places}
    assert consumer.begun_as_leaders_were_asked == [0]


def test_damage_ends_the_reading_with_its_place_unless_it_may_be_passed():
    with pytest.raises(UnreadableRecordsError) as caught:
        read(FakeConsumer({ORDERS: [0, 1, 5, 6]}, [(2, 5)]), {ORDERS: (0, 7)})

    assert (caught.value.details["gap"]["begin"], caught.value.details["gap"]["end"]) == (2, 5)


def test_what_is_behind_damage_is_read_where_that_may_be_passed():
    consumer = FakeConsumer({ORDERS: [0, 1, 5, 6]}, [(2, 5)])

    found, gaps = read(consumer, {ORDERS: (0, 7)}, may_pass_damage=True)

    assert found == {ORDERS: [0, 1, 5, 6]}
    assert [(gap.begin, gap.end, gap.reason) for gap in gaps] == [(2, 5, DAMAGED)]


def test_damage_that_is_reported_again_after_it_was_passed_is_one_gap():
    consumer = FakeConsumer({ORDERS: [0, 1, 5, 6]}, [(2, 5)])
    consumer.stale = [failure(2, KafkaError._BAD_MSG), failure(4, KafkaError._BAD_MSG)]

    found, gaps = read(consumer, {ORDERS: (0, 7)}, may_pass_damage=True)

    assert found == {ORDERS: [0, 1, 5, 6]}
    assert [(gap.begin, gap.end) for gap in gaps] == [(2, 5)]


def test_damage_behind_the_range_is_nobodys():
    consumer = FakeConsumer({ORDERS: range(3)}, [(5, 8)], ends={ORDERS: 8})

    assert read(consumer, {ORDERS: (0, 4)}) == ({ORDERS: [0, 1, 2]}, [])


def test_damage_that_the_library_does_not_tell_is_found_as_positions_stay():
    now_s = [0.0]
    consumer = FakeConsumer({ORDERS: [0, 1, 5, 6]}, [(2, 5)])
    consumer.is_silent = True
    consume = consumer.consume

    def later(most, wait_s):
        now_s[0] += STALLED_S / 10
        return consume(most, wait_s)

    consumer.consume = later

    found, gaps = read(consumer, {ORDERS: (0, 7)}, now_s, may_pass_damage=True)

    assert found == {ORDERS: [0, 1, 5, 6]}
    assert [(gap.begin, gap.end) for gap in gaps] == [(2, 5)]


def test_records_that_come_once_more_beside_damage_are_given_once():
    consumer = FakeConsumer({ORDERS: [0, 1, 5, 6]}, [(2, 5)])
    consumer.stale = [record(0), record(1)]

    assert read(consumer, {ORDERS: (0, 7)}, may_pass_damage=True)[0] == {ORDERS: [0, 1, 5, 6]}


def test_a_reading_that_hears_nothing_for_a_minute_ends():
    with pytest.raises(KafkaUnavailableError, match="cannot read orders: nothing arrived for 60 s"):
        read(FakeConsumer({ORDERS: []}, ends={ORDERS: 0}), {ORDERS: (0, 5)})


def test_what_a_broker_refuses_ends_a_reading_and_a_lost_connection_does_not():
    passing = FakeConsumer({ORDERS: range(3)})
    passing.queue = [failure(0, KafkaError._TRANSPORT)]
    refused = FakeConsumer({ORDERS: range(3)})
    refused.queue = [failure(0, KafkaError.TOPIC_AUTHORIZATION_FAILED)]

    assert read(passing, {ORDERS: (0, 3)})[0] == {ORDERS: [0, 1, 2]}
    with pytest.raises(KafkaRejectedError, match="cannot read orders-0 at offset 0"):
        read(refused, {ORDERS: (0, 3)})


def test_a_tail_ends_with_the_logs_and_gives_each_record_once():
    consumer = FakeConsumer({ORDERS: [0, 1, 5, 6]}, [(2, 5)])
    consumer.stale = [failure(2, KafkaError._BAD_MSG), record(0)]

    assert tailed(consumer) == ([0, 1, 5, 6], [(2, 5)])
    assert consumer.is_closed


def test_a_tail_of_a_partition_that_is_written_to_without_a_pause_ends():
    consumer = WrittenTo({ORDERS: range(3)}, now_s=[0.0])

    assert tailed(consumer, until={ORDERS: 2}) == ([0, 1], [])


def test_a_tail_that_hears_only_of_a_partition_that_it_has_read_ends():
    now_s = [0.0]
    consumer = WrittenTo({ORDERS: range(3)}, now_s)

    with pytest.raises(KafkaUnreachableError, match="Kafka did not answer for 10 s"):
        tailed(consumer, now_s, until={ORDERS: 3, ("orders", 1): 1})


def test_damage_behind_the_end_of_a_tail_is_nobodys():
    consumer = FakeConsumer({ORDERS: range(3)}, [(5, 8)], ends={ORDERS: 8})

    assert tailed(consumer, until={ORDERS: 3}) == ([0, 1, 2], [])
    assert tailed(consumer, until={ORDERS: 4}) == ([0, 1, 2], [])


def test_damage_up_to_the_end_of_a_tail_is_told_and_ends_it():
    consumer = FakeConsumer({ORDERS: [0, 1, 5]}, [(2, 5)], ends={ORDERS: 6})

    assert tailed(consumer, until={ORDERS: 5}) == ([0, 1], [(2, 5)])


def test_a_tail_of_a_topic_that_is_deleted_ends():
    consumer = FakeConsumer({ORDERS: range(3)})
    consumer.queue = [failure(0, KafkaError.UNKNOWN_TOPIC_OR_PART)]

    with pytest.raises(UnknownNameError, match="the topic was deleted"):
        tailed(consumer)


def test_a_tail_that_hears_nothing_ends_and_says_for_how_long():
    now_s = [0.0]
    consumer = FakeConsumer({ORDERS: range(3)})

    def nothing(most, wait_s):
        now_s[0] += 5.0
        return []

    consumer.consume = nothing

    with pytest.raises(KafkaUnreachableError, match="Kafka did not answer for 10 s"):
        tailed(consumer, now_s)
    assert consumer.is_closed


def test_what_is_read_to_its_end_holds_up_what_is_read_next_for_a_moment_only():
    given = []
    consumer = FakeConsumer({ORDERS: range(3)})
    made = replace(sources(consumer), consumer=lambda settings: given.append(settings) or consumer)

    RecordReader(ACCESS, sources=made)

    assert given[0]["fetch.wait.max.ms"] <= 50
