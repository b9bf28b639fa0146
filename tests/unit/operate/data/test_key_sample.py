import pytest

from kraftd.operate.data.key_sample import sampled_key_risk
from tests.unit.operate.data.fake_message import FakeMessage


class FakeReads:
    """Partitions of the topic t: by number, the key of the record at each offset; an offset without one is missing."""

    def __init__(self, **partitions):
        self.keys = {int(name.removeprefix("p")): keys for name, keys in partitions.items()}
        self.asked = []

    def __call__(self, starts, *, until):
        assert set(starts) <= set(until)
        self.asked.append(dict(starts))
        for (_, index), start in starts.items():
            offsets = [offset for offset in sorted(self.keys[index]) if offset >= start]
            for begin in range(0, len(offsets), 100):
                chosen = offsets[begin : begin + 100]
                yield [FakeMessage(at=at, index=index, name=self.keys[index][at]) for at in chosen]

    def risk(self, **ends):
        places = {("t", int(name.removeprefix("p"))): end for name, end in ends.items()}
        return sampled_key_risk(self, dict.fromkeys(places, 0), places)


def records(begin, end, key=None):
    return dict.fromkeys(range(begin, end), key)


def test_the_newest_records_of_each_partition_are_looked_at():
    reads = FakeReads(p0=records(0, 1000), p1=records(0, 300, b"k"))

    assert reads.risk(p0=1000, p1=300).startswith("250 of the 500 newest records have keys")
    assert reads.asked == [{("t", 0): 750, ("t", 1): 50}]


@pytest.mark.parametrize("kept", [range(10), [0]])
def test_records_with_keys_are_found_before_a_long_transaction_that_was_aborted(kept):
    reads = FakeReads(p0=dict.fromkeys(kept, b"k"))

    assert "newest record" in reads.risk(p0=3000)
    assert reads.asked == [{("t", 0): 2500}, {("t", 0): 0}]


def test_where_the_newest_records_have_no_keys_the_oldest_are_looked_at():
    reads = FakeReads(p0=records(0, 500, b"k") | records(500, 3000))

    assert reads.risk(p0=3000).startswith("500 of the 500 oldest records have keys")


def test_records_without_keys_are_no_risk_and_are_read_once_where_they_are_few():
    reads = FakeReads(p0=records(0, 400), p1={})

    assert reads.risk(p0=400, p1=0) is None
    assert reads.asked == [{("t", 0): 0}]


def test_a_topic_without_records_is_not_read():
    reads = FakeReads(p0={})

    assert reads.risk(p0=0) is None
    assert reads.asked == []


def test_the_search_for_a_record_ends_after_a_bounded_number_of_offsets():
    reads = FakeReads(p0={0: b"k"})

    assert reads.risk(p0=10_000_000) is not None
    assert [10_000_000 - starts["t", 0] for starts in reads.asked[:-1]] == [500, 4000, 32_000, 256_000]
