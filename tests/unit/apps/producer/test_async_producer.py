import pytest
from confluent_kafka import KafkaError

from kraftd_apps.producer.async_producer import _BY_KAFKA_NAME, problem_of
from tests.unit.apps.kafka_fakes import FakeError


@pytest.mark.parametrize(
    ("name", "status", "code", "outcome"),
    [
        ("_MSG_TIMED_OUT", 504, "delivery_timeout", "unknown"),
        ("_QUEUE_FULL", 503, "queue_full", "not_written"),
        ("_UNKNOWN_TOPIC", 404, "unknown_topic", "not_written"),
        ("UNKNOWN_TOPIC_OR_PART", 404, "unknown_topic", "not_written"),
        ("UNKNOWN_TOPIC_ID", 404, "unknown_topic", "not_written"),
        ("TOPIC_EXCEPTION", 422, "invalid_record", "not_written"),
        ("_TIMED_OUT_QUEUE", 504, "delivery_timeout", "not_written"),
        ("MSG_SIZE_TOO_LARGE", 413, "too_large", "not_written"),
        ("NOT_ENOUGH_REPLICAS", 503, "not_enough_replicas", "not_written"),
        ("NOT_ENOUGH_REPLICAS_AFTER_APPEND", 503, "not_enough_replicas", "unknown"),
        ("_DESTROY_BROKER", 503, "brokers_down", "unknown"),
        ("_PURGE_QUEUE", 503, "draining", "unknown"),
        ("_PURGE_INFLIGHT", 503, "draining", "unknown"),
        ("UNKNOWN", 500, "internal", "unknown"),
    ],
)
def test_an_error_of_kafka_is_an_answer_that_tells_whether_the_record_may_be_written(name, status, code, outcome):
    found = problem_of(FakeError(name))
    assert (found.type.status, found.code, found.outcome) == (status, code, outcome)


@pytest.mark.parametrize(
    ("partition", "partitions", "code"),
    [
        (7, 4, "unknown_partition"),
        (4, 4, "unknown_partition"),
        (3, 4, "unknown_topic"),
        (-1, 4, "unknown_topic"),
        (7, 0, "unknown_topic"),
    ],
)
def test_a_partition_is_unknown_only_where_the_topic_never_had_it(partition, partitions, code):
    found = problem_of(FakeError("_UNKNOWN_PARTITION"), partition=partition, partitions=partitions)
    assert (found.code, found.outcome) == (code, "not_written")


def test_a_fatal_error_is_the_restart_of_the_client_whatever_its_code():
    assert problem_of(FakeError("INVALID_PRODUCER_EPOCH", fatal=True)).code == "producer_restarting"


def test_a_purge_while_the_client_is_replaced_is_not_called_the_end_of_the_app():
    assert problem_of(FakeError("_PURGE_QUEUE"), restarting=True).code == "producer_restarting"


@pytest.mark.parametrize("name", _BY_KAFKA_NAME)
def test_every_name_is_one_that_librdkafka_uses(name):
    assert KafkaError(getattr(KafkaError, name)).name() == name
