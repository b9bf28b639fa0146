import json

import pytest

from kraftd.errors import ConfigurationError, KraftdError, RefusedError, UnknownNameError
from kraftd.kafka.model import Failure
from kraftd.operate.data.groups import (
    chosen_groups,
    delete_groups,
    describe_groups,
    empty_groups,
    list_groups,
    move_all,
    move_offsets,
    planned_reset,
    remove_offsets,
)
from kraftd.operate.data.offset_files import exported, parse_offsets, planned_import
from kraftd.operate.data.resets import ResetKind, ResetTo
from tests.unit.operate.data.fake_kafka import FakeKafka, group

EARLIEST = ResetTo(ResetKind.EARLIEST)
LOADS = Failure("COORDINATOR_LOAD_IN_PROGRESS", "it loads", retriable=True)


def kafka_with(*groups, commits=None, **more):
    return FakeKafka(described=list(groups), commits=commits or {}, **more)


def file_of(*offsets, group="g"):
    rows = [{"topic": topic, "partition": index, "offset": offset} for topic, index, offset in offsets]
    return parse_offsets(json.dumps({"schema_version": 1, "groups": [{"group": group, "offsets": rows}]}).encode(), "f")


def test_a_group_is_listed_without_the_daemon():
    groups, failures = list_groups(kafka_with(group("g", state="Stable")), {})

    assert [(each.group, each.members, each.lag) for each in groups] == [("g", 1, None)]
    assert failures == {}


def test_a_listed_group_says_why_its_members_are_not_known():
    refused = Failure("GROUP_AUTHORIZATION_FAILED", "you may not", retriable=False)
    kafka = kafka_with(group("g"), group("closed", state=None), undescribed={"closed": refused})
    groups, _ = list_groups(kafka, {})

    assert {each.group: each.reason for each in groups} == {"g": None, "closed": refused.text}


def test_a_description_has_the_reader_and_the_lag_of_each_partition():
    kafka = kafka_with(group("g", state="Stable", assigned=[("t", 1)]), commits={"g": {("t", 0): 4, ("gone", 0): 1}})
    ((found,), _) = describe_groups(kafka, ["g"], {})

    rows = [(each.topic, each.partition, each.committed, each.lag, each.member) for each in found.partitions]
    assert rows == [("gone", 0, 1, None, None), ("t", 0, 4, 6, None), ("t", 1, None, 10, "g-1")]
    assert found.lag is None


def test_partitions_that_a_group_did_not_begin_to_read_count_from_their_start():
    kafka = kafka_with(group("g"), commits={"g": {("t", 0): 4}}, bounds={("t", 1): (3, 10)})
    ((found,), _) = describe_groups(kafka, ["g"], {})

    assert [(each.partition, each.committed, each.lag) for each in found.partitions] == [(0, 4, 6), (1, None, 7)]
    assert found.lag == 13


def test_what_a_task_of_a_streams_group_would_read_of_a_smaller_topic_is_not_shown():
    kafka = kafka_with(group("app", state="Stable", assigned=[("t", 1), ("t", 2)], kind="streams"))
    ((found,), _) = describe_groups(kafka, ["app"], {})

    rows = [(each.topic, each.partition, each.member) for each in found.partitions]
    assert rows == [("t", 0, None), ("t", 1, "app-1")]
    assert [each.assigned for each in found.members or ()] == [("t-1",)]


def test_the_lag_of_a_share_group_is_not_known_and_not_none():
    kafka = kafka_with(group("shared", kind="share"), shared={"shared": ("t",)})
    ((found,), _) = describe_groups(kafka, ["shared"], {})

    assert (found.kind, found.lag, found.partitions) == ("share", None, ())


def test_what_commits_move_or_show_is_refused_of_a_share_group():
    kafka = kafka_with(group("g"), group("shared", kind="share"), shared={"shared": ("t",)}, commits={"g": {}})
    asked = [
        lambda: planned_reset(kafka, "shared", ["t"], EARLIEST),
        lambda: empty_groups(kafka, ["shared"], ["t"]),
        lambda: exported(kafka, ["shared"]),
        lambda: planned_import(kafka, file_of(("t", 0, 3), group="shared")),
    ]

    for ask in asked:
        with pytest.raises(RefusedError, match="the group shared: it is a share group"):
            ask()
    assert kafka.did == []
    assert [each.group for each in exported(kafka, []).groups] == ["g"]
    assert [each.name for each in empty_groups(kafka, ["shared"])] == ["shared"]


def test_a_reset_moves_all_partitions_of_the_topics_that_a_group_committed_in():
    kafka = kafka_with(group("g"), commits={"g": {("t", 0): 4, ("gone", 0): 1}})
    planned = planned_reset(kafka, "g", [], EARLIEST)

    assert [(move.key, move.before, move.after) for move in planned.moves] == [(("t", 0), 4, 0), (("t", 1), None, 0)]
    assert len(move_offsets(kafka, planned)) == 2
    assert kafka.did == [("commit", "g", {("t", 0): 0, ("t", 1): 0})]


def test_a_reset_moves_only_the_partitions_that_are_named():
    kafka = kafka_with(group("g"), commits={"g": {("t", 0): 4, ("t", 1): 5}})

    assert [move.key for move in planned_reset(kafka, "g", ["t"], EARLIEST, [1]).moves] == [("t", 1)]
    with pytest.raises(ConfigurationError):
        planned_reset(kafka, "g", ["t"], EARLIEST, [2])


def test_a_reset_to_a_time_goes_to_the_first_record_of_then():
    kafka = kafka_with(group("g"), commits={"g": {("t", 0): 4}}, at_times={(("t", 0), 1000): 7})
    planned = planned_reset(kafka, "g", ["t"], ResetTo(ResetKind.TIME, 1000))

    assert [move.after for move in planned.moves] == [7, 10]


@pytest.mark.parametrize(
    "act",
    [
        lambda kafka: planned_reset(kafka, "g", ["t"], EARLIEST),
        lambda kafka: empty_groups(kafka, ["g"]),
        lambda kafka: planned_import(kafka, file_of(("t", 0, 1))),
    ],
)
def test_an_active_group_is_neither_moved_nor_deleted(act):
    kafka = kafka_with(group("g", state="Stable"))

    with pytest.raises(RefusedError) as caught:
        act(kafka)
    assert caught.value.code == "active_group"
    assert kafka.did == []


@pytest.mark.parametrize(
    "act",
    [
        lambda kafka: planned_reset(kafka, "g", ["t"], EARLIEST),
        lambda kafka: exported(kafka, ["g"]),
        lambda kafka: planned_import(kafka, file_of(("t", 0, 1))),
    ],
)
def test_a_group_whose_offsets_cannot_be_read_is_not_taken_for_one_without(act):
    kafka = kafka_with(group("g"), unreadable_commits={"g": LOADS})

    with pytest.raises(KraftdError, match="cannot read the offsets of the group g: it loads"):
        act(kafka)
    assert kafka.did == []


@pytest.mark.parametrize(
    "act", [lambda kafka: exported(kafka, []), lambda kafka: planned_import(kafka, file_of(("t", 0, 1), group="h"))]
)
def test_a_group_that_a_broker_does_not_name_is_not_taken_for_none(act):
    kafka = kafka_with(group("g"), group("h", coordinator=2), silent_brokers={2: LOADS})

    with pytest.raises(KraftdError, match="broker 2 did not name its groups: it loads"):
        act(kafka)
    assert [each.group for each in exported(kafka, ["g"]).groups] == ["g"]


def test_a_group_without_the_commits_that_could_not_be_read_has_no_lag():
    kafka = kafka_with(group("g", state="Stable", assigned=[("t", 0)]), unreadable_commits={"g": LOADS})
    ((found,), _) = describe_groups(kafka, ["g"], {})

    assert (found.lag, found.reason) == (None, "it loads")
    assert [(each.partition, each.committed, each.lag) for each in found.partitions] == [
        (0, None, None),
        (1, None, None),
    ]


def test_a_description_of_all_groups_has_the_brokers_that_did_not_name_theirs():
    groups, failures = describe_groups(kafka_with(group("g"), silent_brokers={2: LOADS}), [], {})

    assert ([each.group for each in groups], failures) == (["g"], {2: LOADS})


def test_a_group_that_committed_nowhere_needs_topics_to_be_reset():
    with pytest.raises(UnknownNameError):
        planned_reset(kafka_with(group("g")), "g", [], EARLIEST)


def test_an_unknown_group_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError) as caught:
        planned_reset(kafka_with(group("readers")), "raeders", [], EARLIEST)
    assert "Did you mean readers?" in caught.value.hint


def test_a_partition_that_kafka_does_not_move_is_named():
    kafka = kafka_with(group("g"), commits={"g": {("t", 0): 4}}, refused={("t", 1)})

    with pytest.raises(KraftdError, match="partition 1 of the topic t"):
        move_offsets(kafka, planned_reset(kafka, "g", [], EARLIEST))


def test_the_groups_that_moved_before_one_was_refused_are_named():
    kafka = kafka_with(group("g"), group("h"), commits={"g": {("t", 0): 4}, "h": {("t", 1): 4}}, refused={("t", 1)})
    planned = [planned_import(kafka, file_of(("t", at, 9), group=name))[0] for at, name in enumerate(("g", "h"))]

    with pytest.raises(KraftdError, match=r"the group h in partition 1 .*\(moved: g\)") as caught:
        move_all(kafka, planned)
    assert caught.value.details["moved"] == ["g"]
    with pytest.raises(KraftdError) as caught:
        move_all(kafka, reversed(planned))
    assert "moved" not in caught.value.details


def test_the_groups_whose_offsets_were_removed_before_one_was_refused_are_named():
    kafka = kafka_with(group("g"), group("empty"), group("h"), refused={("t", 1)})
    g, empty, h = chosen_groups(kafka.groups(), ["g", "empty", "h"])

    with pytest.raises(KraftdError, match=r"the group h in partition 1 .*\(removed: g, empty\)") as caught:
        remove_offsets(kafka, {g: [("t", 0)], empty: [], h: [("t", 1)]})
    assert caught.value.details["removed"] == ["g", "empty"]
    assert kafka.did == [("remove", "g", (("t", 0),)), ("remove", "h", (("t", 1),))]


def test_groups_are_deleted_with_their_offsets():
    kafka = kafka_with(group("g"), group("h"), commits={"g": {("t", 0): 4}}, refused={"h"})

    assert list(empty_groups(kafka, ["g"]).values()) == [{("t", 0): 4}]
    with pytest.raises(KraftdError, match=r"h \(deleted: g\)"):
        delete_groups(kafka, kafka.described)


def test_offsets_are_deleted_only_in_topics_in_which_there_are_some():
    kafka = kafka_with(group("g"), commits={"g": {("orders", 0): 4, ("t", 1): 2}})

    assert list(empty_groups(kafka, ["g"], ["t"]).values()) == [{("t", 1): 2}]
    with pytest.raises(UnknownNameError) as caught:
        empty_groups(kafka, ["g"], ["ordres"])
    assert "Did you mean orders?" in caught.value.hint


def test_what_was_exported_can_be_imported_into_a_new_group():
    kafka = kafka_with(group("g"), commits={"g": {("t", 0): 4, ("t", 1): 2}})
    offsets = [(each.topic, each.partition, each.offset) for each in exported(kafka, ["g"]).groups[0].offsets]
    (planned,) = planned_import(kafka, file_of(*offsets, group="new"))

    assert offsets == [("t", 0, 4), ("t", 1, 2)]
    assert [(move.before, move.after) for move in planned.moves] == [(None, 4), (None, 2)]


@pytest.mark.parametrize(("offset", "error"), [(("nosuch", 0, 1), UnknownNameError), (("t", 9, 1), ConfigurationError)])
def test_an_offset_of_what_does_not_exist_is_not_imported(offset, error):
    with pytest.raises(error):
        planned_import(kafka_with(), file_of(offset))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"schema_version": 2, "groups": []}',
        b'{"groups": []}',
        b"\xff",
        b'{"x": ' + b"[" * 100_000,
        b'{"schema_version": 1, "groups": [{"group": "\xff", "offsets": []}]}',
    ],
)
def test_what_is_no_file_of_offsets_is_refused(content):
    with pytest.raises(ConfigurationError):
        parse_offsets(content, "f")


def test_a_file_with_two_offsets_for_a_partition_of_a_group_is_refused():
    with pytest.raises(ConfigurationError, match="it has 2 for partition 0 of the topic t in the group g"):
        file_of(("t", 0, 1), ("t", 1, 1), ("t", 0, 9))
