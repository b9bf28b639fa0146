"""Topics that follow a file: what differs, what is refused, and whose topics are deleted."""

import json
from contextlib import suppress
from dataclasses import replace

import pytest

from kraftd.errors import ConfigurationError, KraftdError, RefusedError
from kraftd.operate.data.applying import (
    CreatedTopics,
    carry_out,
    parse_declarations,
    planned_apply,
    read_created,
    refuse_obstacles,
)
from tests.plans import plan_of
from tests.unit.operate.data.fake_kafka import FakeKafka, topic

FILE = "/srv/topics.toml"
OTHER = "/srv/others.toml"
T = '[[topic]]\nname = "t"\n'
NEW = '[[topic]]\nname = "new"\npartitions = 2\n'


@pytest.fixture
def plan(tmp_path):
    return plan_of(state_dir=tmp_path)


def planned(kafka, plan, text, *, file=FILE, delete_undeclared=False):
    declarations = parse_declarations(text, "topics.toml", plan)
    return planned_apply(kafka, plan, declarations, file, delete_undeclared=delete_undeclared)


def applied(kafka, plan, text, **options):
    found = planned(kafka, plan, text, **options)
    carry_out(kafka, found, plan.layout.created_topics)
    return found


def empty_kafka():
    """A Kafka whose topics have no records to sample."""
    return FakeKafka(bounds={("t", 0): (0, 0), ("t", 1): (0, 0)})


def did(kafka, *verbs):
    return [entry[:2] for entry in kafka.did if entry[0] in verbs]


def test_kafka_has_checked_everything_before_anything_is_changed(plan):
    kafka = empty_kafka()
    applied(kafka, plan, T + 'partitions = 3\nconfig = { "retention.ms" = 2000 }\n' + NEW)

    assert [entry[0] for entry in kafka.did] == ["check", "validate", "validate", "alter", "add", "create"]


def test_what_is_as_declared_or_not_stated_is_left_alone(plan):
    kafka = empty_kafka()
    found = applied(kafka, plan, T + 'config = { "retention.ms" = 1000 }\n')

    assert (found.is_empty, found.unchanged, found.kept, kafka.did) == (True, ("t",), {}, [])


def test_settings_that_are_not_declared_stay_and_are_said(plan):
    kafka = empty_kafka()
    found = applied(kafka, plan, T + 'config = { "retention.bytes" = 5 }\n')

    assert found.kept == {"t": {"retention.ms": "1000"}}
    assert did(kafka, "alter") == [("alter", "t")]


@pytest.mark.parametrize(
    ("stated", "remedy"),
    [
        ("partitions = 1", "another topic"),
        ("replication_factor = 1", "kraftd scale --replication-factor 1 --topic t"),
        ('assignment = "2:1,1:2"', "kraftd topics reassign t --assignment 2:1,1:2"),
    ],
)
def test_what_cannot_be_changed_in_place_is_refused_with_the_way_to_do_it(plan, stated, remedy):
    found = planned(empty_kafka(), plan, T + stated)

    with pytest.raises(RefusedError) as caught:
        refuse_obstacles(found, "topics.toml")
    assert caught.value.code == "cannot_be_changed"
    assert remedy in caught.value.hint


def test_partitions_that_an_assignment_adds_are_where_it_says(plan):
    found = planned(empty_kafka(), plan, T + 'assignment = "1:2,2:1,2:1,1:2"')

    assert (found.obstacles, found.altered[0].added) == ((), ((2, 1), (1, 2)))


@pytest.mark.parametrize(
    "text",
    [
        "x = ",
        '[[topics]]\nname = "a"',
        "[cluster]\nbrokers = 2",
        "",
        T + T,
        '[[topic]]\nname = "a.b"\n[[topic]]\nname = "a_b"',
        T + "replication_factor = 3",
        T + 'config = { "retention.mss" = 1 }',
        NEW + 'config = { "retention.mss" = 1 }',
    ],
)
def test_a_wrong_file_is_refused_before_kafka_is_asked_to_change_anything(plan, text):
    kafka = empty_kafka()

    with pytest.raises(ConfigurationError):
        planned(kafka, plan, text)
    assert kafka.did == []


@pytest.mark.parametrize("name", ["__kraftd_probe", "__transaction_state"])
def test_topics_of_kafka_and_kraftd_are_refused(plan, name):
    with pytest.raises(RefusedError) as caught:
        planned(empty_kafka(), plan, f'[[topic]]\nname = "{name}"')
    assert caught.value.code == "protected_topic"


def test_only_what_the_same_file_created_is_deleted_and_only_when_asked(plan):
    kafka = empty_kafka()
    applied(kafka, plan, NEW)
    applied(kafka, plan, '[[topic]]\nname = "of-another-file"', file=OTHER)
    without = applied(kafka, plan, T)
    applied(kafka, plan, T, delete_undeclared=True)

    assert (without.undeclared, without.removal) == (("new",), None)
    assert did(kafka, "delete") == [("delete", ("new",))]
    assert set(read_created(plan.layout.created_topics).files) == {"of-another-file"}


def test_what_existed_before_is_never_deleted(plan):
    kafka = empty_kafka()
    applied(kafka, plan, T + NEW)
    found = applied(kafka, plan, NEW, delete_undeclared=True)

    assert (found.undeclared, did(kafka, "delete")) == ((), [])


def test_a_topic_that_something_else_made_again_is_not_deleted(plan):
    kafka = empty_kafka()
    applied(kafka, plan, NEW)
    kafka.states = [replace(each, topic_id="another") if each.name == "new" else each for each in kafka.states]

    assert planned(kafka, plan, T, delete_undeclared=True).removal is None


def test_a_topic_that_an_app_made_before_the_answer_is_not_taken_for_the_files(plan):
    kafka = replace(empty_kafka(), made_meanwhile=(topic("new", (1,)),))

    with pytest.raises(RefusedError, match=r"^cannot create the topic new: something else made it meanwhile"):
        applied(kafka, plan, NEW + '[[topic]]\nname = "own"\n')
    assert read_created(plan.layout.created_topics) == CreatedTopics({"own": FILE}, {"own": "id of own"})
    assert planned(kafka, plan, T, delete_undeclared=True).undeclared == ("own",)


def test_a_topic_that_was_made_again_before_the_answer_is_not_deleted(plan):
    kafka = empty_kafka()
    applied(kafka, plan, NEW)
    asked = planned(kafka, plan, T, delete_undeclared=True)
    kafka.states = [replace(each, topic_id="another") if each.name == "new" else each for each in kafka.states]

    with pytest.raises(RefusedError, match=r"recreated$"):
        carry_out(kafka, asked, plan.layout.created_topics)
    assert did(kafka, "delete") == []


def test_a_topic_that_every_start_creates_is_not_deleted(tmp_path):
    plan = plan_of('[[topic]]\nname = "new"\n[[topic]]\nname = "test-topic"', state_dir=tmp_path)
    kafka = empty_kafka()
    applied(kafka, plan, NEW)

    assert planned(kafka, plan, T, delete_undeclared=True).removal is None


def test_a_command_that_was_killed_after_the_creation_is_finished_by_the_next(plan):
    kafka = empty_kafka()
    whole, kafka.metadata = kafka.metadata, lambda names=None: (_ for _ in ()).throw(SystemExit)
    found = planned(replace(kafka), plan, NEW)
    with suppress(SystemExit):
        carry_out(kafka, found, plan.layout.created_topics)
    kafka.metadata = whole
    killed = read_created(plan.layout.created_topics)
    applied(kafka, plan, NEW)

    assert (killed.files, killed.ids) == ({"new": FILE}, {})
    assert read_created(plan.layout.created_topics).ids == {"new": "id of new"}


def test_a_record_that_is_damaged_or_newer_is_named(tmp_path):
    path = tmp_path / "topics.json"
    for text in ("{", "[]", json.dumps({"schema_version": 2, "topics": []}), '{"schema_version": 1, "topics": [1]}'):
        path.write_text(text)
        with pytest.raises(KraftdError) as caught:
            read_created(path)
        assert caught.value.code == "record_damaged"


def test_the_record_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "topics.json"
    record = CreatedTopics({"a": FILE, "b": OTHER}, {"a": "1"})
    path.write_text(record.to_json())

    assert read_created(path) == record
