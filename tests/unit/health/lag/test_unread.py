import pytest

from kraftd.health.lag.unread import LOOK_AGAIN_CYCLES, MOST_BYTES, MOST_LOOKS, Unread, UnreadMemory
from kraftd.kafka.model import AbortedTransaction, Batch, FetchedBatches, Partial, Partition

KEY = ("orders", 0)
PARTITION = Partition(*KEY, 1, (1,), (1,))
ONE, TWO = 7, 8


def data(base, last, producer=-1, records=None, size=100):
    return Batch(base, last, last - base + 1 if records is None else records, producer, producer >= 0, False, size)


def marker(offset, producer):
    return Batch(offset, offset, 1, producer, True, True, 78)


def found(*batches, committed=0, end=None, stable=None, aborted=(), before=None):
    end = batches[-1].last_offset + 1 if end is None else end
    fetched = FetchedBatches(
        batches, tuple(AbortedTransaction(*each) for each in aborted), end if stable is None else stable
    )
    return (before or Unread(committed)).after(fetched, committed, end, 1)


@pytest.mark.parametrize(
    ("batches", "committed", "aborted", "lag"),
    [
        pytest.param([data(0, 9)], 0, [], 10, id="plain records"),
        pytest.param([data(0, 9)], 4, [], 6, id="the commit lies in a batch"),
        pytest.param([marker(4, ONE)], 4, [], 0, id="a marker"),
        pytest.param([data(0, 3, ONE), marker(4, ONE)], 0, [], 4, id="committed"),
        pytest.param([data(0, 3, ONE), marker(4, ONE)], 0, [(ONE, 0)], 0, id="aborted"),
        pytest.param([data(2, 3, ONE), marker(4, ONE)], 2, [(ONE, 0)], 0, id="aborted, and begun before the commit"),
        pytest.param(
            [data(0, 1, ONE), data(2, 3, TWO), data(4, 5), marker(6, ONE), marker(7, TWO)],
            0,
            [(ONE, 0)],
            4,
            id="one of two is aborted",
        ),
        pytest.param(
            [data(0, 1, ONE), marker(2, ONE), data(3, 4, ONE), marker(5, ONE)],
            0,
            [(ONE, 0)],
            2,
            id="aborted, then committed",
        ),
        pytest.param(
            [data(0, 1, ONE), marker(2, ONE), data(3, 4, ONE), marker(5, ONE)],
            0,
            [(ONE, 3)],
            2,
            id="committed, then aborted",
        ),
        pytest.param([data(0, 9, records=3), data(10, 19, records=0)], 0, [], 3, id="compacted"),
    ],
)
def test_a_lag_counts_the_records_that_can_be_read(batches, committed, aborted, lag):
    end = batches[-1].last_offset + 1

    assert found(*batches, committed=committed, aborted=aborted).lag(committed, end) == lag


def test_what_was_not_looked_at_counts_as_records():
    unread = found(data(0, 9), marker(10, ONE), end=100)

    assert unread.lag(0, 100) == 10 + 89
    assert unread.lag(0, 120) == 10 + 109


def test_what_an_open_transaction_holds_back_is_not_counted_while_that_is_known():
    unread = found(data(0, 9), end=50, stable=10)

    assert (unread.lag(0, 50), unread.lag(0, 51)) == (10, 51)


def test_a_group_beyond_the_last_stable_offset_reads_what_is_not_committed():
    assert found(committed=30, end=50, stable=10).lag(30, 50) == 20


def test_the_first_unread_record_is_that_which_can_be_read():
    assert found(marker(4, ONE), data(5, 9), committed=4).first_unread() == 5
    assert found(marker(4, ONE), committed=4).first_unread() == 5


def test_further_batches_are_added_and_none_is_counted_twice():
    first = found(data(0, 9, ONE), end=40, aborted=[(ONE, 0)])

    second = found(data(5, 14), end=40, before=first, aborted=[])

    assert (second.readable, second.looked_to, second.first_unread()) == (5, 15, 10)


def test_a_look_ends_at_the_end_or_after_many_bytes_with_a_record_to_read():
    assert not found(data(0, 9)).needs_look(10)
    assert found(data(0, 9)).needs_look(11)
    assert not found(data(0, 9, size=MOST_BYTES)).needs_look(11)
    assert found(data(0, 9, ONE, size=MOST_BYTES), aborted=[(ONE, 0)]).needs_look(11)


def test_each_partition_is_asked_about_one_offset_which_serves_every_commit_after_it():
    memory = UnreadMemory()
    positions = [(KEY, 4), (KEY, 6)]

    asked = []
    for _ in range(4):
        questions = memory.questions(positions, {KEY: PARTITION}, {KEY: 100}, {})
        ((_, offset),) = questions
        asked.append(offset)
        answer = FetchedBatches((data(offset, offset + 9, ONE),), (AbortedTransaction(ONE, 0),), 100)
        memory.store(questions, Partial({KEY: answer}), {KEY: 100})

    assert asked == [4, 14, 24, 34]


def test_a_cycle_asks_about_so_many_partitions_and_the_next_about_the_others():
    keys = [("orders", number) for number in range(MOST_LOOKS + 10)]
    partitions = {key: Partition(*key, 1, (1,), (1,)) for key in keys}
    ends, positions = dict.fromkeys(keys, 100), [(key, 0) for key in keys]
    memory = UnreadMemory()

    first = memory.questions(positions, partitions, ends, {})
    answers = {
        partition.key: FetchedBatches((data(0, 9, ONE),), (AbortedTransaction(ONE, 0),), 100) for partition, _ in first
    }
    memory.store(first, Partial(answers), ends)
    second = memory.questions(positions, partitions, ends, {})

    assert (len(first), len(second)) == (MOST_LOOKS, MOST_LOOKS)
    assert {partition.key for partition, _ in [*first, *second]} == set(keys)


def test_what_was_found_lasts_as_long_as_the_commit_and_the_log():
    memory = UnreadMemory()
    memory.questions([(KEY, 4)], {KEY: PARTITION}, {KEY: 100}, {})
    memory.found[KEY, 4] = Unread(looked_to=50, readable=3, first_readable=20)

    assert memory.questions([(KEY, 4)], {KEY: PARTITION}, {KEY: 100}, {KEY: 10}) == [(PARTITION, 50)]
    # Retention has passed what was counted.
    assert memory.questions([(KEY, 4)], {KEY: PARTITION}, {KEY: 100}, {KEY: 60}) == [(PARTITION, 60)]
    memory.forget(KEY)
    assert memory.found == {}


def test_what_compaction_removed_since_is_no_lag_for_long():
    memory, counted = UnreadMemory(), []
    for cycle in range(LOOK_AGAIN_CYCLES + 2):
        questions = memory.questions([(KEY, 4)], {KEY: PARTITION}, {KEY: 100}, {})
        records = 90 if cycle == 0 else 3
        answer = FetchedBatches((data(4, 99, records=records),), (), 100)
        memory.store(questions, Partial({KEY: answer} if questions else {}), {KEY: 100})
        memory.compare({KEY: 100})
        counted.append(memory.fewer[KEY, 4].readable)

    assert counted == [90] * LOOK_AGAIN_CYCLES + [3, 3]


def test_only_where_fewer_can_be_read_anything_is_kept_for_the_lag():
    memory = UnreadMemory()
    memory.found = {(KEY, 4): Unread(10, readable=6, first_readable=4), (KEY, 5): Unread(10, readable=2)}

    memory.compare({KEY: 10})

    assert list(memory.fewer) == [(KEY, 5)]
