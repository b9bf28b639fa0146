from dataclasses import replace

import pytest

from kraftd.errors import ConfigurationError, KraftdError, RefusedError, UnknownNameError
from kraftd.kafka.model import Failure
from kraftd.operate.data.access import refusal
from kraftd.operate.data.changing import NewTopic, WantedAlteration, alter_topic, create_topic, planned_alteration
from kraftd.operate.data.topics import (
    clear_topics,
    delete_topics,
    describe_topics,
    elect_leaders,
    list_topics,
    planned_removal,
)
from tests.plans import plan_of
from tests.unit.operate.data.fake_kafka import FakeKafka, group, topic

PLAN = plan_of()
LOADS = Failure("COORDINATOR_LOAD_IN_PROGRESS", "it loads", retriable=True)


def created(kafka, *, name="new", partitions=None, factor=None, config=(), if_missing=False):
    asked = NewTopic(name, partitions, factor, dict(config))
    return create_topic(kafka, PLAN, asked, if_missing=if_missing, limit_s=None)


def test_a_list_counts_offsets_and_bytes_of_all_replicas():
    found = list_topics(FakeKafka(bounds={("t", 0): (5, 25)}), {"t": 2.5}).topics

    assert [(each.topic, each.offsets, each.bytes, each.produced_per_s) for each in found] == [
        ("t", 30, 400, 2.5),
        ("__kraftd_probe", 10, 100, None),
    ]


def test_a_description_has_the_groups_that_committed_shared_or_are_assigned():
    kafka = FakeKafka(
        described=[group("a"), group("b", state="Stable", assigned=[("t", 1)]), group("c"), group("d", kind="share")],
        commits={"a": {("t", 0): 3}, "c": {("other", 0): 3}},
        shared={"d": ("t", "other")},
    )
    (found,) = describe_topics(kafka, ["t"])

    assert found.groups == ("a", "b", "d")
    assert found.config == {"retention.ms": "1000"}
    assert [each.end for each in found.partitions] == [10, 10]


@pytest.mark.parametrize(
    ("unknown", "reason"),
    [
        ({}, None),
        ({"silent_brokers": {2: LOADS}}, "broker 2 did not name its groups: it loads"),
        ({"unreadable_commits": {"b": LOADS}}, "could not read which topics the group b reads: it loads"),
    ],
)
def test_why_not_all_readers_are_known_is_told_before_records_go(unknown, reason):
    kafka = FakeKafka(described=[group("a"), group("b")], commits={"a": {("t", 0): 3}}, **unknown)
    (removal,) = planned_removal(kafka, ["t"], "clear").removals
    (description,) = describe_topics(kafka, ["t"])

    assert (removal.groups, removal.groups_unknown) == (("a",), reason)
    assert (description.groups, description.groups_unknown) == (("a",), reason)


@pytest.mark.parametrize("verb", ["delete", "clear"])
def test_a_wrong_name_is_answered_with_the_nearest(verb):
    with pytest.raises(UnknownNameError) as caught:
        planned_removal(FakeKafka(states=[topic("orders", (1,))]), ["ordesr"], verb)

    assert "Did you mean orders?" in caught.value.hint


@pytest.mark.parametrize("state", [topic("__kraftd_probe", (1,)), topic("__consumer_offsets", (1,), internal=True)])
def test_kafkas_and_kraftds_own_topics_are_neither_deleted_nor_altered(state):
    kafka = FakeKafka(states=[state])

    for act in (
        lambda: planned_removal(kafka, [state.name], "delete"),
        lambda: planned_removal(kafka, [state.name], "clear"),
        lambda: planned_alteration(kafka, PLAN.access, state.name, WantedAlteration(2, {})),
    ):
        with pytest.raises(RefusedError) as caught:
            act()
        assert caught.value.code == "protected_topic"
    assert kafka.did == []


def test_topics_are_deleted_as_planned_and_waited_for_until_no_broker_knows_them():
    kafka = FakeKafka(described=[group("g")], commits={"g": {("t", 0): 1}})
    planned = planned_removal(kafka, ["t"], "delete")

    assert [(each.topic, each.offsets, each.groups) for each in planned.removals] == [("t", 20, ("g",))]
    assert delete_topics(kafka, planned) == ("t",)
    assert kafka.did == [("delete", ("t",)), ("await deletion", ("t",))]


def test_what_kafka_does_not_delete_is_named_apart_from_what_it_did():
    kafka = FakeKafka(states=[topic("t", (1,)), topic("u", (1,))], refused={"t"})

    with pytest.raises(KraftdError, match=r"t \(deleted: u\)"):
        delete_topics(kafka, planned_removal(kafka, ["t", "u"], "delete"))
    assert kafka.did[-1] == ("await deletion", ("u",))


def test_a_topic_is_cleared_up_to_its_end():
    kafka = FakeKafka(bounds={("t", 0): (5, 25)})

    assert clear_topics(kafka, planned_removal(kafka, ["t"], "clear")) == 30
    assert kafka.did == [("clear", (("t", 0), ("t", 1)))]


@pytest.mark.parametrize(("verb", "act"), [("delete", delete_topics), ("clear", clear_topics)])
def test_a_topic_that_was_made_again_since_the_question_is_left_alone(verb, act):
    kafka = FakeKafka()
    planned = planned_removal(kafka, ["t"], verb)
    kafka.states = [replace(topic("t", (1, 2)), topic_id="another")]

    with pytest.raises(RefusedError) as caught:
        act(kafka, planned)
    assert (caught.value.code, kafka.did) == ("topic_changed", [])


def test_a_partition_that_cannot_be_cleared_is_named():
    kafka = FakeKafka(refused={("t", 1)})

    with pytest.raises(KraftdError, match="partition 1 of the topic t"):
        clear_topics(kafka, planned_removal(kafka, ["t"], "clear"))


def test_only_partitions_of_other_leaders_are_elected_anew():
    kafka = FakeKafka().with_leaders("t", 1, 1)

    assert [(each.partition, each.before, each.after) for each in elect_leaders(kafka, [])] == [(1, 1, 2)]
    assert kafka.did == [("elect", (("t", 1),))]
    assert elect_leaders(FakeKafka(), ["t"]) == ()


def test_a_new_topic_has_as_many_replicas_as_one_that_is_declared():
    kafka = FakeKafka()
    found = created(kafka, partitions=3, config={"retention.ms": "5"})

    assert (found.partitions, found.replication_factor) == (3, 2)
    assert kafka.did[0][3] == {"retention.ms": "5"}


@pytest.mark.parametrize(("partitions", "is_taken"), [(None, True), (2, True), (3, False)])
def test_a_topic_that_exists_otherwise_is_refused(partitions, is_taken):
    kafka = FakeKafka()
    if is_taken:
        assert created(kafka, name="t", partitions=partitions, if_missing=True).existed
    else:
        with pytest.raises(RefusedError) as caught:
            created(kafka, name="t", partitions=partitions, if_missing=True)
        assert caught.value.details == {"partitions": 2, "replication_factor": 2}
    with pytest.raises(RefusedError):
        created(kafka, name="t", partitions=partitions)
    assert kafka.did == []


@pytest.mark.parametrize(
    ("partitions", "if_missing", "is_taken"), [(None, True, True), (3, True, False), (None, False, False)]
)
def test_a_topic_that_something_else_made_meanwhile_is_one_that_exists(partitions, if_missing, is_taken):
    kafka = FakeKafka(made_meanwhile=(topic("new", (1, 2)),))
    if is_taken:
        found = created(kafka, partitions=partitions, if_missing=if_missing)
        assert (found.existed, found.partitions) == (True, 1)
    else:
        with pytest.raises(RefusedError) as caught:
            created(kafka, partitions=partitions, if_missing=if_missing)
        assert (caught.value.code, caught.value.details["partitions"]) == ("topic_exists", 1)


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "\xe4", "a/b", "x" * 250])
def test_a_name_that_kafka_does_not_take_is_refused(name):
    with pytest.raises(ConfigurationError):
        created(FakeKafka(), name=name)


def test_an_alteration_is_checked_by_kafka_before_it_is_carried_out():
    kafka = FakeKafka(bounds={("t", 0): (0, 0), ("t", 1): (0, 0)})
    planned = planned_alteration(kafka, PLAN.access, "t", WantedAlteration(3, {"retention.ms": "2000"}))
    alter_topic(kafka, planned)

    assert [entry[0] for entry in kafka.did] == ["validate", "validate", "alter", "add"]


def test_new_partitions_are_a_risk_where_a_partition_cannot_be_looked_at_for_keys():
    kafka = FakeKafka(bounds={("t", 0): (0, 0)}, unreadable_ends={("t", 1): LOADS})
    (risk,) = planned_alteration(kafka, PLAN.access, "t", WantedAlteration(3, {})).risks

    assert risk.startswith("could not check whether the records of partition 1 have keys (it loads)")


def test_an_alteration_that_kafka_refuses_changes_nothing():
    kafka = FakeKafka(refused={"t"})

    with pytest.raises(KraftdError):
        planned_alteration(kafka, PLAN.access, "t", WantedAlteration(None, {"retention.ms": "2000"}))
    assert [entry[0] for entry in kafka.did] == ["validate"]


@pytest.mark.parametrize(("error", "exit_code"), [("INVALID_CONFIG", 2), ("REQUEST_TIMED_OUT", 124), ("OTHER", 1)])
def test_the_exit_code_of_a_refusal_says_whose_fault_it_is(error, exit_code):
    assert refusal("cannot do it", Failure(error, "because", retriable=True)).exit_code == exit_code


def test_a_topic_is_not_made_with_fewer_replicas_because_a_broker_is_down():
    three = plan_of("[cluster]\nbrokers = 3\n")
    asked = NewTopic("new", None, None, {})

    with pytest.raises(ConfigurationError, match=r"3 replicas.* only 2 brokers run"):
        create_topic(FakeKafka(), three, asked, if_missing=False, limit_s=None)
    assert create_topic(FakeKafka(), three, replace(asked, replication_factor=2), if_missing=False, limit_s=None)
