import pytest

from kraftd.errors import ConfigurationError, UnknownNameError
from kraftd.kafka.model import Gap
from kraftd.operate.data.tail import PassedGaps, TailRange, planned_tail, tail
from tests.unit.operate.data.fake_kafka import FakeKafka
from tests.unit.operate.data.fake_message import FakeMessage

ENDS = {("t", 0): 30, ("t", 1): 10}


def kafka():
    return FakeKafka(bounds={("t", 0): (5, 30), ("t", 1): (0, 10)}, at_times={(("t", 0), 1000): 12})


class FakeReads:
    """Reads records of which each has its offset as its time, where nothing else is said; some offsets have none."""

    def __init__(self, arriving=(), without_record=(), times_ms=None):
        self.asked = []
        self.arriving = arriving
        self.without_record = without_record
        self.times_ms = times_ms or {}

    def __call__(self, starts, *, until):
        self.asked.append((dict(starts), until))
        for (_, index), start in starts.items():
            offsets = [at for at in range(start, ENDS["t", index]) if (index, at) not in self.without_record]
            yield [FakeMessage(at=at, index=index, time_ms=self.times_ms.get((index, at), at)) for at in offsets]
        if until is None:
            yield []
            yield from self.arriving


def read(wanted, *, follow=False, chosen=list, **held):
    reads = FakeReads([[FakeMessage(at=30, time_ms=30)]], **held)
    batches = list(tail(reads, planned_tail(kafka(), "t", wanted), chosen, follow=follow))
    return [(message.partition(), message.offset()) for batch in batches for message in batch], reads


@pytest.mark.parametrize(
    ("wanted", "starts"),
    [
        (TailRange(newest=3), (27, 7)),
        (TailRange(newest=100), (5, 0)),
        (TailRange(newest=None), (5, 0)),
        (TailRange(offset="earliest"), (5, 0)),
        (TailRange(offset="latest"), (30, 10)),
        (TailRange(offset=7), (7, 7)),
        (TailRange(offset=-4), (26, 6)),
        (TailRange(offset=99), (30, 10)),
        (TailRange(since_ms=1000), (12, 10)),
        (TailRange(newest=3, is_filtered=True), (5, 0)),
    ],
)
def test_a_range_says_where_each_partition_begins(wanted, starts):
    assert tuple(planned_tail(kafka(), "t", wanted).starts.values()) == starts


def test_the_newest_of_all_partitions_are_in_the_order_of_their_times():
    found, reads = read(TailRange(newest=4))

    assert found == [(0, 26), (0, 27), (0, 28), (0, 29)]
    assert reads.asked == [({("t", 0): 26, ("t", 1): 6}, ENDS)]


def test_the_newest_that_pass_a_filter_are_looked_for_in_the_whole_topic():
    found, _ = read(
        TailRange(newest=2, is_filtered=True), chosen=lambda batch: [each for each in batch if each.offset() < 7]
    )

    assert sorted(found) == [(0, 6), (1, 6)]


def test_records_of_a_partition_stay_in_order_whatever_their_times_say():
    found, _ = read(TailRange(newest=2, partitions=(0,)), times_ms={(0, 27): 900, (0, 28): 100, (0, 29): 1000})

    assert found == [(0, 28), (0, 29)]


def test_the_newest_are_looked_for_before_offsets_that_hold_no_record():
    found, reads = read(TailRange(newest=2), without_record={(0, at) for at in range(12, 30)})

    assert found == [(0, 10), (0, 11)]
    assert [starts for starts, _ in reads.asked] == [{("t", 0): 28, ("t", 1): 8}, {("t", 0): 5}]


def test_a_partition_with_gaps_is_read_from_its_start_at_most():
    found, reads = read(TailRange(newest=2, partitions=(0,)), without_record={(0, at) for at in range(6, 30)})

    assert found == [(0, 5)]
    assert len(reads.asked) == 2


def test_going_further_back_does_not_give_a_record_twice():
    found, _ = read(TailRange(newest=3), without_record={(0, 29), (1, 8)})

    assert found == [(0, 26), (0, 27), (0, 28)]


def test_following_goes_on_where_the_newest_ended():
    found, reads = read(TailRange(newest=2), follow=True)

    assert found == [(0, 28), (0, 29), (0, 30)]
    assert reads.asked[-1] == (ENDS, None)


def test_all_that_there_is_is_read_and_followed_in_one_go():
    found, reads = read(TailRange(newest=25, partitions=(0,)), follow=True)

    assert found == [(0, at) for at in range(5, 31)]
    assert reads.asked == [({("t", 0): 5}, None)]


def test_all_that_there_is_is_in_the_order_of_its_times():
    found, reads = read(TailRange(newest=35), follow=True)

    offsets = [at for _, at in found]
    assert (offsets, len(found)) == (sorted(offsets), 36)
    assert reads.asked == [({("t", 0): 5, ("t", 1): 0}, ENDS), (ENDS, None)]


def test_all_of_a_large_topic_is_printed_as_it_is_read():
    large = FakeKafka(bounds={("t", 0): (0, 90_000), ("t", 1): (0, 10_001)})

    assert planned_tail(large, "t", TailRange(newest=200_000)).keep is None
    assert planned_tail(large, "t", TailRange(newest=100_000)).keep == 100_000


def test_a_damaged_part_that_is_read_again_from_further_back_is_told_once():
    told = []
    gaps = PassedGaps(told.append)
    late, whole, other = Gap("t", 0, 7, 9, "x"), Gap("t", 0, 5, 9, "x"), Gap("t", 1, 7, 9, "x")

    for gap in (late, whole, late, other):
        gaps.add(gap)

    assert told == [late, other]
    assert list(gaps.found.values()) == [whole, other]


def test_following_nothing_reads_only_what_arrives():
    found, reads = read(TailRange(newest=0), follow=True)

    assert found == [(0, 30)]
    assert [until for _, until in reads.asked] == [None]


@pytest.mark.parametrize(("count", "length"), [(0, 0), (3, 3), (None, 35)])
def test_from_an_offset_on_a_number_is_the_most(count, length):
    found, _ = read(TailRange(newest=count, offset="earliest"))

    assert len(found) == length


def test_an_empty_partition_is_not_waited_for():
    _, reads = read(TailRange(newest=None, offset=10))

    assert reads.asked == [({("t", 0): 10}, ENDS)]


def test_what_an_open_transaction_holds_back_is_not_waited_for():
    held = FakeKafka(bounds={("t", 0): (5, 30), ("t", 1): (0, 10)}, last_stable={("t", 0): 20})

    def starts_of(wanted):
        plan = planned_tail(held, "t", wanted)
        return {index: start for (_, index), start in plan.starts.items() if start < plan.ends["t", index]}

    assert starts_of(TailRange(newest=3)) == {0: 17, 1: 7}
    assert starts_of(TailRange(offset=-4)) == {0: 16, 1: 6}
    assert starts_of(TailRange(offset="latest")) == starts_of(TailRange(offset=25)) == {}


def test_an_offset_behind_the_begin_of_an_open_transaction_is_followed_from_there():
    held = FakeKafka(bounds={("t", 0): (5, 30), ("t", 1): (0, 10)}, last_stable={("t", 0): 20})

    assert planned_tail(held, "t", TailRange(offset=25)).starts["t", 0] == 25
    assert planned_tail(held, "t", TailRange(offset="latest")).starts["t", 0] == 20


def test_wrong_names_are_refused():
    with pytest.raises(UnknownNameError):
        planned_tail(kafka(), "nosuch", TailRange())
    with pytest.raises(ConfigurationError):
        planned_tail(kafka(), "t", TailRange(partitions=(2,)))
