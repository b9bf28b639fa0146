import struct

import pytest
from kafka.protocol.metadata import MetadataRequest

from kraftd.kafka.messages import KafkaMessages, message_of
from kraftd.kafka.model import Failure
from kraftd.kafka.wire import Request


@pytest.fixture
def wire():
    return KafkaMessages()


def test_a_request_is_built_with_the_structures_inside_it():
    message = message_of(Request("Metadata", {"topics": [{"topic_id": None, "name": "t"}]}))

    assert isinstance(message.topics[0], MetadataRequest.MetadataRequestTopic)
    assert message.topics[0].name == "t"


def test_an_error_code_has_kafkas_name_and_its_own_message_if_there_is_one(wire):
    assert wire.failure_of(0) is None
    assert wire.failure_of(16) == Failure("NOT_COORDINATOR", "not coordinator", retriable=True)
    assert wire.failure_of(38, "3 > 2") == Failure("INVALID_REPLICATION_FACTOR", "3 > 2", retriable=False)


def test_an_error_code_that_the_library_does_not_know_keeps_its_number(wire):
    assert wire.failure_of(9999).error == "ERROR_9999"


def test_an_assignment_is_read_in_order_and_a_garbled_one_is_unknown(wire):
    assignment = struct.pack(">hih1siiii", 1, 1, 1, b"t", 2, 3, 1, -1)
    assert wire.assigned_partitions(assignment) == (("t", 1), ("t", 3))
    assert wire.assigned_partitions(assignment[:8]) is None
    assert wire.assigned_partitions(b"") == ()


def test_a_batch_of_one_record_is_read_as_it_was_written(wire):
    batch = wire.record_batch(b"nonce", 1_700_000_000_000)

    assert wire.record_values(batch + batch) == [b"nonce", b"nonce"]
    assert wire.record_values(b"") == []
