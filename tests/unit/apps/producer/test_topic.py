import pytest

from kraftd_apps.producer.topic import STALE_S, TopicView, TopicWatch, unready_reasons
from tests.unit.apps.kafka_fakes import FakeProducer, failure, topic_metadata


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        (TopicView("t"), "no broker has answered yet"),
        (TopicView("t", 100.0 - STALE_S - 1, 4, fault="no broker answers: away"), "away"),
        (TopicView("t", 100.0, 0), "topic t does not exist"),
        (TopicView("t", 100.0, 4, (1, 3)), "without a leader: 1, 3"),
    ],
)
def test_what_keeps_records_from_being_written_is_named(view, reason):
    assert reason in unready_reasons(view, 100.0)[0]


def test_a_topic_with_leaders_is_ready_and_a_short_outage_does_not_change_that():
    assert unready_reasons(TopicView("t", 100.0, 4), 101.0) == []
    assert unready_reasons(TopicView("t", 100.0, 4, fault="no broker answers"), 101.0) == []


def test_a_watch_sees_partitions_leaders_and_a_missing_topic():
    client = FakeProducer()
    watch = TopicWatch(lambda: client, "test-topic", clock=lambda: 7.0)
    client.metadata = topic_metadata([1, -1, 2])
    watch.ask()
    assert watch.view == TopicView("test-topic", 7.0, 3, (1,))
    client.metadata = topic_metadata([1], topic="other")
    watch.ask()
    assert watch.view == TopicView("test-topic", 7.0, 0)


def test_an_outage_keeps_what_was_seen_and_is_told_once(caplog):
    client = FakeProducer()
    watch = TopicWatch(lambda: client, "test-topic", clock=lambda: 7.0)
    watch.ask()
    client.metadata = failure("_TRANSPORT")
    for _ in range(3):
        watch.ask()
    assert (watch.view.partitions, watch.view.seen_s) == (2, 7.0)
    assert "no broker answers" in watch.view.fault
    client.metadata = topic_metadata([1])
    with caplog.at_level("INFO"):
        watch.ask()
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "Kafka is unavailable",
        "Kafka is available again",
    ]
