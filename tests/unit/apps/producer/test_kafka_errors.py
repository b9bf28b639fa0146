import pytest
from confluent_kafka import KafkaError

from kraftd_apps.producer.kafka_errors import _BY_KAFKA_NAME, problem_of
from tests.unit.apps.kafka_fakes import FakeError


@pytest.mark.parametrize(
    ("name", "status", "code", "outcome"),
    [
        ("_MSG_TIMED_OUT", 504, "delivery_timeout", "unknown"),
        ("_QUEUE_FULL", 503, "queue_full", "not_written"),
        ("_UNKNOWN_TOPIC", 404, "unknown_topic", "not_written"),
        ("UNKNOWN_TOPIC_OR_PART", 404, "unknown_topic", "not_written"),
        ("_UNKNOWN_PARTITION", 422, "unknown_partition", "not_written"),
        ("MSG_SIZE_TOO_LARGE", 413, "too_large", "not_written"),
        ("NOT_ENOUGH_REPLICAS", 503, "not_enough_replicas", "not_written"),
        ("NOT_ENOUGH_REPLICAS_AFTER_APPEND", 503, "not_enough_replicas", "unknown"),
        ("_PURGE_QUEUE", 503, "draining", "not_written"),
        ("_PURGE_INFLIGHT", 503, "draining", "unknown"),
        ("UNKNOWN", 500, "internal", "unknown"),
    ],
)
def test_an_error_of_kafka_is_an_answer_that_tells_whether_the_record_may_be_written(name, status, code, outcome):
    found = problem_of(FakeError(name))
    assert (found.type.status, found.code, found.outcome) == (status, code, outcome)


def test_a_fatal_error_is_the_restart_of_the_client_whatever_its_code():
    assert problem_of(FakeError("INVALID_PRODUCER_EPOCH", fatal=True)).code == "producer_restarting"


def test_a_purge_while_the_client_is_replaced_is_not_called_the_end_of_the_app():
    assert problem_of(FakeError("_PURGE_QUEUE"), restarting=True).code == "producer_restarting"


@pytest.mark.parametrize("name", _BY_KAFKA_NAME)
def test_every_name_is_one_that_librdkafka_uses(name):
    assert KafkaError(getattr(KafkaError, name)).name() == name
