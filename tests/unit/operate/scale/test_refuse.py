"""What a scale is refused for, each with its code and what it names."""

import pytest

from kraftd.errors import ConfigurationError, RefusedError, UnknownNameError
from kraftd.kafka.model import Partition, TopicState
from kraftd.kafka.topics import Reassignment
from kraftd.operate.scale import refuse
from kraftd.operate.scale.journal import Journal
from kraftd.operate.scale.targets import Situation
from kraftd.plan.manifest import FormattedNode, Manifest
from kraftd.plan.plan import Voter

BEGUN = Journal(2, 3, "2026-01-02T03:04:05.000Z", {})
ORDERS = TopicState("orders", False, (Partition("orders", 0, 1, (1, 2, 3), (1, 2, 3)),))
FOUND = Situation({"orders": ORDERS})


def manifest(voters, nodes):
    names = {node_id: f"controller-{node_id}" if node_id > 100 else f"broker-{node_id}" for node_id in nodes}
    return Manifest(
        "c" * 22,
        "3.9.2",
        tuple(Voter(node_id, "localhost", 1) for node_id in voters),
        tuple(FormattedNode(name, node_id, ()) for node_id, name in names.items()),
    )


@pytest.mark.parametrize(
    ("brokers", "voters", "nodes"), [(2, (1, 2, 3), (1, 2, 3, 4)), (1, (1, 2, 101), (1, 2, 3, 101))]
)
def test_a_voter_is_never_removed(brokers, voters, nodes):
    with pytest.raises(RefusedError) as caught:
        refuse.refuse_voters(brokers, manifest(voters, nodes))

    assert caught.value.code == "voters"


def test_brokers_that_are_no_voters_may_leave():
    refuse.refuse_voters(2, manifest((1, 2, 101), (1, 2, 3, 101)))
    refuse.refuse_voters(3, manifest((1, 2, 3), (1, 2, 3, 4)))


@pytest.mark.parametrize(
    ("journal", "brokers", "is_abort"),
    [(None, 3, False), (None, None, True), (BEGUN, 3, False), (BEGUN, None, False), (BEGUN, None, True)],
)
def test_the_same_scale_goes_on_and_can_be_undone(journal, brokers, is_abort):
    refuse.refuse_other_scale(journal, brokers, is_abort=is_abort)


@pytest.mark.parametrize(
    ("journal", "is_abort", "code"),
    [
        (BEGUN, False, "unfinished_scale"),
        (Journal(2, 4, "now", {}, is_aborted=True), False, "unfinished_scale"),
        (Journal(3, 2, "now", {}, is_removing=True), True, "too_late"),
    ],
)
def test_another_scale_waits_for_the_one_that_is_unfinished(journal, is_abort, code):
    with pytest.raises(RefusedError) as caught:
        refuse.refuse_other_scale(journal, 4, is_abort=is_abort)

    assert caught.value.code == code


@pytest.mark.parametrize("factor", [0, 4, -1])
def test_there_are_at_most_as_many_replicas_as_brokers(factor):
    with pytest.raises(ConfigurationError):
        refuse.refuse_factor(factor, 3)


def test_a_topic_with_more_replicas_than_brokers_is_named_with_the_remedy():
    with pytest.raises(RefusedError) as caught:
        refuse.refuse_too_few(FOUND, 2, None, ())

    assert (caught.value.details, "--replication-factor 2" in caught.value.hint) == ({"topics": ["orders"]}, True)
    refuse.refuse_too_few(FOUND, 2, 2, ())
    refuse.refuse_too_few(FOUND, 2, 2, ["orders"])


def test_an_unknown_topic_is_named_with_the_nearest():
    with pytest.raises(UnknownNameError) as caught:
        refuse.refuse_unknown_topics(FOUND, ["ordres"])

    assert "Did you mean orders?" in caught.value.hint


def test_a_broker_that_is_down_is_named():
    with pytest.raises(RefusedError) as caught:
        refuse.refuse_dead([1, 2, 3], {1, 3})

    assert caught.value.details == {"brokers": [2]}
    refuse.refuse_dead([1, 2], {1, 2, 3})


def test_moves_of_another_program_are_not_taken_over_but_those_of_a_journal_are():
    moving = Situation({"orders": ORDERS}, {("orders", 0): Reassignment((1, 2, 3), (3,), ())})

    with pytest.raises(RefusedError) as caught:
        refuse.refuse_foreign_moves(moving, None)

    assert caught.value.code == "moved_by_others"
    refuse.refuse_foreign_moves(moving, BEGUN)


def test_copies_without_room_are_refused():
    with pytest.raises(RefusedError) as caught:
        refuse.refuse_full_disk(2, 1)

    assert caught.value.code == "disk_full"
    refuse.refuse_full_disk(1, 1)
