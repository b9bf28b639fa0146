from dataclasses import replace
from pathlib import Path

import pytest

from kraftd.errors import IdentityMismatchError, RefusedError
from kraftd.kafka.model import OffsetRange
from kraftd.operate.backup.manifest import ClusterTopic, Commit, GroupCommits
from kraftd.operate.backup.restoration import Destination, parse_journal, plan_restoration, restored_commits
from tests.unit.operate.backup.archives import TOPIC, FakeKafka, backed_up, commits, records

EMPTY = Destination("C2", 2, 2, {}, {})


@pytest.fixture
def manifest(tmp_path):
    kafka = FakeKafka([records(0, 1, 5), records(2)], groups=(commits(p0=5, p1=3),))
    return backed_up(tmp_path, kafka)[1]


def there(*ranges, partitions=2, config=None):
    """Return a cluster in which the topic exists, with these offsets."""
    topic = ClusterTopic(TOPIC, "T9", partitions, 1, {} if config is None else config)
    return Destination(
        "C2", 2, 2, {TOPIC: topic}, {(TOPIC, index): OffsetRange(*each) for index, each in enumerate(ranges)}
    )


def test_a_topic_that_is_not_there_is_made_with_its_settings(manifest):
    (topic,) = plan_restoration(manifest, "/t", EMPTY).topics

    assert (topic.is_created, topic.replication_factor, topic.bases) == (True, 2, (0, 0))
    assert topic.config == {"retention.ms": "1000"}


def test_fewer_brokers_make_fewer_replicas_and_that_is_said(manifest):
    archived = replace(manifest.topics[0], replication_factor=3, config={"min.insync.replicas": "2"})
    planned = plan_restoration(replace(manifest, topics=(archived,)), "/t", replace(EMPTY, brokers=1, alive=1))

    assert planned.topics[0].replication_factor == 1
    assert planned.topics[0].config == {"min.insync.replicas": "1"}
    assert len(planned.notes) == 1


def test_a_topic_is_not_made_with_fewer_replicas_while_a_broker_is_down(manifest):
    with pytest.raises(RefusedError, match="with 2 replicas: 1 of 2 brokers runs") as raised:
        plan_restoration(manifest, "/t", replace(EMPTY, alive=1))

    assert raised.value.code == "brokers_missing"


def test_a_topic_that_is_there_is_used_where_it_is_empty(manifest):
    (topic,) = plan_restoration(manifest, "/t", there((7, 7), (0, 0))).topics

    assert (topic.is_created, topic.bases) == (False, (7, 0))


@pytest.mark.parametrize(
    ("destination", "code"),
    [(there((0, 1), (0, 0)), "topic_not_empty"), (there((0, 0), partitions=3), "partitions_differ")],
)
def test_a_topic_with_records_or_other_partitions_is_refused(manifest, destination, code):
    with pytest.raises(RefusedError) as raised:
        plan_restoration(manifest, "/t", destination)

    assert raised.value.code == code


def test_records_are_added_to_a_topic_that_has_some_only_when_told(manifest):
    planned = plan_restoration(manifest, "/t", there((0, 4), (2, 6)), into_existing=True)

    assert planned.topics[0].bases == (4, 6)


def test_topics_and_groups_can_be_left_out(manifest):
    assert plan_restoration(manifest, "/t", EMPTY, topics=["other"]).topics == ()
    assert plan_restoration(manifest, "/t", EMPTY, topics=["other"]).groups == ()
    assert plan_restoration(manifest, "/t", EMPTY, with_groups=False).groups == ()


def test_a_journal_is_read_as_it_was_written(manifest):
    planned = plan_restoration(manifest, "/t", there((0, 4), (2, 6)), into_existing=True)

    assert parse_journal(planned.to_json(), Path("restore.json")) == planned
    for text in ("{", "[]", planned.to_json().replace('"schema_version": 1', '"schema_version": 2')):
        with pytest.raises(IdentityMismatchError):
            parse_journal(text, Path("restore.json"))


def test_commits_move_with_their_records_and_name_the_topic_that_is_there_now(manifest):
    planned = plan_restoration(manifest, "/t", there((0, 4), (2, 6)), into_existing=True)
    own, stray = Commit(TOPIC, 1, 3, "kraftd:T1"), Commit(TOPIC, 7, 3)
    group = GroupCommits("readers", (Commit(TOPIC, 0, 5, "mine"), own, stray))
    passed = {(TOPIC, 0): {5: 2}, (TOPIC, 1): {3: 1}}

    found = restored_commits(group, planned, passed, {TOPIC: "T9"})

    assert found.commits == (Commit(TOPIC, 0, 6, "mine"), Commit(TOPIC, 1, 7, "kraftd:T9"))
