"""The reassignment of topics: what it is refused for, and that the next call finishes or undoes it."""

import pytest

from kraftd.errors import ConfigurationError, RefusedError
from kraftd.kafka.model import Partition, TopicState
from kraftd.operate.scale import refuse
from kraftd.operate.scale.journal import Goal, Journal
from kraftd.operate.scale.reassign import changes_for
from kraftd.operate.scale.targets import Situation

BEFORE = {("orders", 0): (1, 2), ("orders", 1): (1, 2), ("other", 0): (1, 2)}


def situation(placement):
    topics = {name for name, _ in placement}
    return Situation(
        {
            name: TopicState(
                name,
                False,
                tuple(Partition(*key, each[0], each, each) for key, each in placement.items() if key[0] == name),
            )
            for name in topics
        }
    )


def journal(goal, *, is_aborted=False):
    return Journal(3, 3, "now", BEFORE, is_aborted=is_aborted, goal=goal)


def test_only_the_chosen_topic_is_balanced():
    changes = changes_for(situation(BEFORE), journal(Goal((1, 2, 3), ("orders",))))

    assert {topic for topic, _ in changes} == {"orders"}
    assert changes_for(situation(BEFORE | changes), journal(Goal((1, 2, 3), ("orders",)))) == {}


def test_brokers_that_are_not_given_are_drained():
    changes = changes_for(situation(BEFORE), journal(Goal((2, 3))))

    assert {broker for replicas in changes.values() for broker in replicas} == {2, 3}
    assert changes.keys() == BEFORE.keys()


def test_an_assignment_is_reached_from_wherever_a_killed_command_left_the_replicas():
    goal = Goal((1, 2, 3), ("orders",), ((3, 1), (1, 2)))

    assert changes_for(situation(BEFORE), journal(goal)) == {("orders", 0): (3, 1)}
    assert changes_for(situation(BEFORE | {("orders", 0): (3, 1)}), journal(goal)) == {}


def test_an_abort_puts_back_what_was_there_and_leaves_new_partitions():
    moved = BEFORE | {("orders", 0): (3, 1), ("orders", 2): (3, 1), ("other", 0): (3, 2)}
    changes = changes_for(situation(moved), journal(Goal((1, 2, 3), ("orders",)), is_aborted=True))

    assert changes == {("orders", 0): (1, 2)}


@pytest.mark.parametrize(
    ("goal", "kind"),
    [
        (Goal((1, 7)), ConfigurationError),
        (Goal((1,)), RefusedError),
        (Goal((1, 2, 3), ("orders",), ((1, 2),)), ConfigurationError),
        (Goal((1, 2, 3), ("orders",), ((1, 1), (1, 2))), ConfigurationError),
        (Goal((1, 2, 3), ("orders",), ((1, 9), (1, 2))), ConfigurationError),
        (Goal((1, 2, 3), ("orders",), ((1, 2), (1,))), RefusedError),
    ],
)
def test_a_goal_that_does_not_fit_is_refused(goal, kind):
    with pytest.raises(kind):
        refuse.refuse_reassignment(situation(BEFORE).of(goal.topics), goal, [1, 2, 3])


def test_a_scale_is_refused_while_a_reassignment_is_unfinished():
    with pytest.raises(RefusedError) as caught:
        refuse.refuse_other_scale(journal(Goal((1, 2, 3), ("orders",))), 3, is_abort=True)

    assert caught.value.code == "unfinished_reassignment"
    assert "kraftd topics reassign --abort" in caught.value.hint
