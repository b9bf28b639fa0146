import pytest

from kraftd.health.lag.offsets import ASK_AGAIN_S, HELD_S, STABLE_EVERY_S, STARTS_EVERY_S, HeldMemory, OffsetMemory
from kraftd.health.lag.status import CAPACITY, Window
from kraftd.kafka.log import EARLIEST
from kraftd.kafka.model import Failure, OpenTransaction, Partial, Partition, TopicState
from tests.unit.health.views import topic

ORDERS = topic("orders", 1)
(PARTITION,) = ORDERS.partitions
KEY = PARTITION.key
NO_ANSWER = Partial({}, {KEY: Failure("TIMED_OUT", "no answer within 3 s", retriable=True)})

PARTITIONS = {KEY: Partition(*KEY, 1, (1,), (1,))}
OPEN = OpenTransaction(7, 5, 1000.0)


@pytest.fixture
def memory():
    """Thirty seconds of a group that stands at 5 while the log grows by one record each second."""
    made = OffsetMemory()
    for second in range(0, 31, 10):
        made.forget_other_clock(1000.0 + second, 50.0 + second)
        made.forget_topics([ORDERS])
        made.observe({KEY: 10 + second}, {"g": {KEY: 5}}, 1000.0 + second, 50.0 + second)
    made.starts[KEY] = 0
    return made


def test_a_record_written_before_the_first_look_is_at_least_as_old_as_that(memory):
    (age,) = memory.time_lags({KEY: 5}, {KEY: 40}, 1030.0).values()

    assert (age.at_least_s, age.at_most_s) == (30.0, None)


def test_a_partition_whose_end_is_not_known_now_has_no_wait(memory):
    assert memory.time_lags({KEY: 5}, {}, 1030.0) == {}


def test_an_end_that_could_not_be_read_keeps_what_is_known(memory):
    before = memory.window("g", KEY)

    memory.observe({}, {"g": {KEY: 5}}, 1040.0, 90.0)

    assert memory.window("g", KEY) == before
    assert KEY in memory.timelines


def test_a_clock_that_was_set_leaves_no_point_in_time(memory):
    memory.forget_other_clock(1031.0 + 3600.0, 81.0)
    memory.observe({KEY: 41}, {"g": {KEY: 5}}, 4631.0, 81.0)

    (age,) = memory.time_lags({KEY: 5}, {KEY: 41}, 4631.0).values()
    assert (age.at_least_s, age.at_most_s) == (0.0, None)
    assert len(memory.window("g", KEY).commits) == 5


def test_a_clock_that_runs_leaves_everything(memory):
    memory.forget_other_clock(1031.5, 81.0)

    assert KEY in memory.timelines


def test_a_topic_created_anew_under_its_name_has_no_past(memory):
    memory.forget_topics([TopicState("orders", internal=False, partitions=ORDERS.partitions, topic_id="another")])

    assert (memory.starts, memory.timelines, memory.window("g", KEY)) == ({}, {}, Window([], [], []))


def test_a_log_that_became_shorter_has_no_past_even_where_topics_have_no_id(memory):
    memory.observe({KEY: 3}, {"g": {KEY: 2}}, 1040.0, 90.0)

    assert KEY not in memory.starts
    assert len(memory.timelines[KEY]) == 1
    assert len(memory.window("g", KEY).commits) == 1


def test_a_window_keeps_the_newest_samples():
    memory = OffsetMemory()
    for index in range(CAPACITY + 3):
        memory.observe({KEY: index}, {"g": {KEY: index}}, 1000.0 + index, float(index))

    assert memory.window("g", KEY).commits == list(range(3, CAPACITY + 3))


def test_a_window_of_a_topic_created_anew_holds_nothing_of_the_old_one(memory):
    memory.forget_topics([TopicState("orders", internal=False, partitions=ORDERS.partitions, topic_id="another")])
    for second in range(40, 70, 10):
        memory.observe({}, {"g": {KEY: 0}}, 1000.0 + second, 50.0 + second)
    memory.observe({KEY: 1}, {"g": {KEY: 0}}, 1070.0, 120.0)

    assert memory.window("g", KEY) == Window([120.0], [0], [1])


def test_samples_that_saw_the_same_commits_share_them(memory):
    memory.observe({KEY: 41}, {"g": {KEY: 5}}, 1040.0, 90.0)

    assert len({id(sample.commits) for sample in memory.samples["g"]}) == 1


def test_groups_that_are_gone_are_forgotten(memory):
    memory.forget_groups([])

    assert memory.samples == {}


def test_a_coordinator_that_misses_a_cycle_costs_its_groups_no_age(memory):
    memory.observe({KEY: 41}, {}, 1040.0, 90.0)
    memory.observe({KEY: 42}, {"g": {KEY: 5}}, 1050.0, 100.0)

    (age,) = memory.time_lags({KEY: 5}, {KEY: 42}, 1050.0).values()
    assert age.at_least_s == 50.0


def test_partitions_that_no_group_reads_have_no_timeline(memory):
    memory.forget_groups([])
    memory.observe({KEY: 41}, {}, 1040.0, 90.0)

    assert memory.timelines == {}


def test_starts_are_asked_for_at_their_own_pace(memory):
    assert memory.questions([PARTITION], {}, 1030.0, 80.0) == [(PARTITION, EARLIEST)]
    memory.store_stable({}, 80.0)
    assert memory.questions([PARTITION], {}, 1040.0, 90.0) == []
    assert memory.questions([PARTITION], {}, 1090.0, 80.0 + STARTS_EVERY_S) == [(PARTITION, EARLIEST)]


def test_an_unbounded_age_is_looked_up_but_stable_offsets_have_their_turn(memory):
    commits = {"g": {KEY: 5}}
    memory.questions([PARTITION], commits, 1030.0, 80.0)
    memory.store_stable({KEY: 40}, 80.0)

    ((partition, at_ms),) = memory.questions([PARTITION], commits, 1030.0, 80.0)
    assert (partition, at_ms) == (PARTITION, round((1030.0 - 240.0) * 1000))
    assert not memory.is_stable_due([(partition, at_ms)], 80.0)
    assert memory.is_stable_due([(partition, at_ms)], 80.0 + STABLE_EVERY_S)
    assert not memory.is_stable_due([(partition, EARLIEST)], 80.0 + STABLE_EVERY_S)


def test_an_answer_narrows_the_age(memory):
    questions = [(PARTITION, 990_000)]

    memory.store_answers(questions, Partial({KEY: 6}))
    (age,) = memory.time_lags({KEY: 5}, {KEY: 40}, 1030.0).values()
    assert (age.at_least_s, age.at_most_s) == (40.0, None)
    memory.store_answers([(PARTITION, 980_000)], Partial({KEY: 5}))
    (age,) = memory.time_lags({KEY: 5}, {KEY: 40}, 1030.0).values()
    assert (age.at_least_s, age.at_most_s) == (40.0, 50.0)


def test_a_failed_question_teaches_nothing(memory):
    before = dict(memory.timelines)

    memory.store_answers([(PARTITION, 990_000)], NO_ANSWER)

    assert memory.timelines == before


def test_an_hour_of_churn_leaves_no_more_than_what_exists():
    memory = OffsetMemory()
    for cycle in range(360):
        now = topic(f"t-{cycle}", 1, 1)
        ends = dict.fromkeys((partition.key for partition in now.partitions), cycle)
        memory.forget_topics([now])
        memory.forget_groups([f"g-{cycle}"])
        memory.observe(ends, {f"g-{cycle}": dict.fromkeys(ends, 0)}, 1000.0 + 10 * cycle, 10.0 * cycle)
        memory.store_answers([(partition, EARLIEST) for partition in now.partitions], Partial(dict.fromkeys(ends, 0)))
        memory.store_stable(ends, 10.0 * cycle)

    sizes = [len(known) for known in (memory.starts, memory.stable, memory.timelines, memory._ends)]
    assert len(memory._begun_after_s) <= 2 * CAPACITY
    assert (sizes, list(memory.samples)) == ([2, 2, 2, 2], ["g-359"])


@pytest.fixture
def held():
    memory = HeldMemory()
    memory.observe({KEY: 5}, {KEY: 9}, 100.0)
    memory.observe({KEY: 5}, {KEY: 12}, 100.0 + HELD_S)
    return memory


def test_a_last_stable_offset_that_stays_is_asked_about_once(held):
    now_s = 100.0 + HELD_S
    assert held.questions(PARTITIONS, 100.0) == []
    assert held.questions(PARTITIONS, now_s) == [PARTITIONS[KEY]]
    held.store(Partial({KEY: OPEN}))

    assert held.transactions == {KEY: OPEN}
    assert held.questions(PARTITIONS, now_s + ASK_AGAIN_S) == []


def test_where_no_transaction_was_found_it_is_asked_about_again_later(held):
    now_s = 100.0 + HELD_S
    held.questions(PARTITIONS, now_s)
    held.store(Partial())

    assert held.questions(PARTITIONS, now_s + ASK_AGAIN_S - 1) == []
    assert held.questions(PARTITIONS, now_s + ASK_AGAIN_S) == [PARTITIONS[KEY]]


@pytest.mark.parametrize(("stable", "ends"), [({KEY: 6}, {KEY: 12}), ({KEY: 12}, {KEY: 12}), ({}, {})])
def test_a_transaction_is_forgotten_when_it_ends_or_its_topic_does(held, stable, ends):
    held.store(Partial({KEY: OPEN}))

    held.observe(stable, ends, 200.0)

    assert held.transactions == {}
    assert held.questions(PARTITIONS, 200.0) == []


def test_offsets_that_move_are_a_busy_producers():
    memory = HeldMemory()
    for step in range(10):
        memory.observe({KEY: step}, {KEY: 20}, 10.0 * step)

        assert memory.questions(PARTITIONS, 10.0 * step) == []
