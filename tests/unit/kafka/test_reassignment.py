"""Reassignments as requests and answers, and the API that the library lacks."""

import pytest

from kraftd.kafka.messages import message_of
from kraftd.kafka.model import KafkaUnavailableError, TopicPartition
from kraftd.kafka.reassignment.admin import ReassigningAdmin
from kraftd.kafka.reassignment.requests import Reassignment, reassign_request, unregister_request
from kraftd.plan.plan import Access
from tests.unit.kafka.fake_wire import FakeWire, record

ORDERS: TopicPartition = ("orders", 0)


def admin(answers):
    wire = FakeWire(answers)
    opened = ReassigningAdmin(Access((), ()), connect=lambda access, timeout_s, client_id: wire)
    opened.open()
    return opened, wire


def answer(error_code=0, **fields):
    return record(error_code=error_code, error_message=None, **fields)


def test_partitions_get_their_replicas_in_order_and_refusals_are_told_by_partition():
    refused = record(name="orders", partitions=[record(partition_index=1, error_code=38, error_message="no")])
    accepted = record(name="orders", partitions=[record(partition_index=0, error_code=0, error_message=None)])
    kafka, wire = admin({"AlterPartitionReassignments": answer(responses=[accepted, refused])})

    failures = kafka.reassign({ORDERS: (3, 1), ("orders", 1): (1, 2)})

    assert {key: failure.text for key, failure in failures.items()} == {("orders", 1): "no"}
    ((_, request),) = wire.asked
    assert [each["replicas"] for each in request.fields["topics"][0]["partitions"]] == [[3, 1], [1, 2]]


def test_what_is_under_way_says_where_it_goes():
    moving = record(partition_index=0, replicas=[3, 1, 2], adding_replicas=[3], removing_replicas=[2])
    kafka, _ = admin({"ListPartitionReassignments": answer(topics=[record(name="orders", partitions=[moving])])})

    found = kafka.reassignments()

    assert found == {ORDERS: Reassignment((3, 1, 2), (3,), (2,))}
    assert found[ORDERS].target == (3, 1)


@pytest.mark.parametrize("call", [lambda kafka: kafka.reassignments(), lambda kafka: kafka.reassign({ORDERS: (1,)})])
def test_a_broker_that_knows_no_controller_is_a_failure_of_the_call(call):
    answers = dict.fromkeys(("ListPartitionReassignments", "AlterPartitionReassignments"), answer(41))
    kafka, _ = admin(answers)

    with pytest.raises(KafkaUnavailableError):
        call(kafka)


def test_a_broker_is_unregistered_by_its_id_or_the_reason_is_returned():
    kafka, wire = admin({"UnregisterBroker": [answer(), answer(41)]})

    assert kafka.unregister(3) is None
    assert kafka.unregister(3).error == "NOT_CONTROLLER"
    assert wire.asked[0][1].fields == {"broker_id": 3}


def test_the_library_sends_what_it_lacks_by_its_api_key():
    assert message_of(unregister_request(3)).API_KEY == 64
    assert message_of(reassign_request({ORDERS: (1, 2)}, 3.0)).API_KEY == 45
