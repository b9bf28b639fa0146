"""The reassignment of topics: what it is refused for, and that the next call finishes or undoes it."""

import pytest

from kraftd.errors import ConfigurationError, KraftdError, NeedsRunningClusterError, RefusedError, UnknownNameError
from kraftd.kafka.model import Failure, Partition, TopicState
from kraftd.kafka.round_trip import CANARY_TOPIC
from kraftd.operate.scale import refuse
from kraftd.operate.scale.journal import Goal, Journal
from kraftd.operate.scale.reassign import changes_for, refuse_topics
from kraftd.operate.scale.targets import Situation
from tests.unit.operate.scale.scaling_cluster import NOT_THROTTLED, running

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


def test_the_topic_of_the_probes_is_left_to_the_daemon():
    with pytest.raises(RefusedError) as caught:
        refuse_topics(situation({(CANARY_TOPIC, 0): (1, 2)}), Goal((1, 2), (CANARY_TOPIC,)))

    assert caught.value.code == "protected_topic"


STEPS = ("throttle", "reassign", "elect", "unthrottle")
ASSIGNED = {"topics": ("orders",), "assignment": ((2, 1), (1, 3), (3, 2))}


@pytest.fixture
def cluster(tmp_path):
    """Return a cluster of two brokers, which was scaled to three."""
    made = running(tmp_path)
    made.scale(3)
    made.forget()
    return made


def test_replicas_go_where_they_are_sent_and_no_throttle_is_left(cluster):
    result = cluster.reassigning(**ASSIGNED).run()

    assert cluster.of_scale(STEPS) == STEPS
    assert cluster.kafka.replicas == dict(enumerate(ASSIGNED["assignment"]))
    assert cluster.kafka.leaders == {0: 2, 1: 1, 2: 3}
    assert (result.is_changed, result.is_undone, cluster.kafka.throttles) == (True, False, NOT_THROTTLED)
    assert cluster.journal is None
    assert "finished the reassignment of orders" in dict(cluster.events)["reassigned"]


def test_the_time_that_the_question_takes_is_not_that_of_the_reassignment(cluster):
    command = cluster.reassigning(**ASSIGNED)
    command.plan()
    cluster.clock.advance(7200.0)

    assert command.run().took_s < 3600.0
    assert cluster.kafka.replicas == dict(enumerate(ASSIGNED["assignment"]))


@pytest.mark.parametrize("step", STEPS)
def test_a_reassignment_that_was_killed_is_finished_by_the_next_call(cluster, step):
    cluster.killed_at(step, cluster.reassigning(**ASSIGNED))

    result = cluster.reassigning().run()

    assert (result.is_changed, cluster.steps.count("reassign")) == (True, step == "throttle")
    assert cluster.kafka.replicas == dict(enumerate(ASSIGNED["assignment"]))
    assert (cluster.kafka.throttles, cluster.journal) == (NOT_THROTTLED, None)


@pytest.mark.parametrize("step", STEPS)
def test_a_reassignment_that_was_killed_is_undone_by_abort(cluster, step):
    before = dict(cluster.kafka.replicas)
    cluster.killed_at(step, cluster.reassigning(**ASSIGNED))

    result = cluster.reassigning(abort=True).run()

    assert (result.is_undone, cluster.kafka.replicas) == (True, before)
    assert (cluster.kafka.throttles, cluster.journal) == (NOT_THROTTLED, None)


@pytest.mark.parametrize("is_undone", [False, True])
def test_an_unfinished_reassignment_of_a_topic_that_was_deleted_comes_to_its_end(cluster, is_undone):
    options = {"topics": ("orders",), "assignment": ((2, 3), (3, 1), (1, 2))}
    cluster.killed_at("reassign", cluster.reassigning(**options))
    cluster.kafka.delete_orders()

    result = cluster.reassigning(**({"abort": True} if is_undone else {})).run()

    assert (result.is_undone, cluster.journal) == (is_undone, None)


@pytest.mark.parametrize("options", [{}, {"abort": True}], ids=["balanced", "nothing to abort"])
def test_what_is_balanced_needs_no_reassignment(cluster, options):
    result = cluster.reassigning(**options).run()

    assert (result.is_changed, cluster.steps, cluster.journal) == (False, [], None)


def test_a_planned_reassignment_changes_nothing(cluster):
    planned = cluster.reassigning(brokers=(1, 2)).plan()

    assert {broker for replicas in planned.changes.values() for broker in replicas} <= {1, 2}
    assert (planned.is_empty, planned.copied_replicas) == (False, 2)
    assert (cluster.steps, cluster.journal) == ([], None)


def test_a_reassignment_that_is_refused_leaves_no_throttle(cluster):
    cluster.kafka.refuses = Failure("INVALID_REPLICA_ASSIGNMENT", "no", retriable=False)

    with pytest.raises(KraftdError) as caught:
        cluster.reassigning(**ASSIGNED).run()

    assert (caught.value.code, cluster.kafka.throttles) == ("not_reassigned", NOT_THROTTLED)
    assert cluster.journal.goal.assignment == ASSIGNED["assignment"]


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"topics": ("ordres",)}, UnknownNameError),
        ({"assignment": ((1, 2),)}, ConfigurationError),
        ({"brokers": (1, 9)}, ConfigurationError),
    ],
)
def test_a_reassignment_that_cannot_be_changes_nothing(cluster, options, kind):
    with pytest.raises(kind):
        cluster.reassigning(**options).run()

    assert (cluster.steps, cluster.journal) == ([], None)


def test_no_replica_is_moved_while_a_broker_is_down(cluster):
    cluster.programs["broker-3"].pid = None

    with pytest.raises(RefusedError) as caught:
        cluster.reassigning(**ASSIGNED).run()

    assert (caught.value.code, cluster.steps) == ("broker_down", [])


def test_a_cluster_that_does_not_run_has_nothing_reassigned(cluster):
    for each in cluster.programs.values():
        each.pid = None

    with pytest.raises(NeedsRunningClusterError):
        cluster.reassigning().plan()


@pytest.mark.parametrize("is_scale", [True, False], ids=["a scale", "another reassignment"])
def test_a_reassignment_is_refused_while_something_else_is_unfinished(cluster, is_scale):
    unfinished = cluster.scaling(2) if is_scale else cluster.reassigning(**ASSIGNED)
    cluster.killed_at("reassign", unfinished)

    with pytest.raises(RefusedError) as caught:
        cluster.reassigning(brokers=(1, 2)).run()

    assert caught.value.code == ("unfinished_scale" if is_scale else "unfinished_reassignment")
    assert cluster.steps == []
