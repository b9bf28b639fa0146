import subprocess
import sys

import pytest

from kraftd.kafka.admin import KafkaAdmin
from kraftd.kafka.model import BrokerEndpoint, KafkaRejectedError, KafkaUnavailableError, Partial, Partition, TopicState
from kraftd.plan.plan import Access
from tests.unit.kafka.fake_wire import TIMED_OUT, FakeWire, failure, metadata, record, topic


def admin_over(answers):
    wire = FakeWire(answers)
    return wire, KafkaAdmin(Access(("127.0.0.1:9092",)), connect=lambda *_: wire)


def test_importing_the_door_does_not_import_kafka():
    check = "import sys, kraftd.kafka.admin, kraftd.kafka.probe; sys.exit('kafka' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_nothing_is_connected_before_it_is_opened():
    connected = []

    def connect(access, *_arguments, **_options):
        connected.append(access)
        return FakeWire({})

    admin = KafkaAdmin(Access(("127.0.0.1:9092",)), connect=connect)
    assert connected == []

    admin.open()
    assert len(connected) == 1


def test_a_context_closes_what_it_opened():
    wire, admin = admin_over({})
    with admin:
        assert not wire.closed

    assert wire.closed


def test_a_call_before_open_is_a_mistake_of_the_caller():
    with pytest.raises(RuntimeError, match="before open"):
        admin_over({})[1].brokers()


def test_an_administrator_can_be_opened_again():
    _, admin = admin_over({"Metadata": metadata()})
    with admin:
        pass
    with admin:
        assert [broker.node_id for broker in admin.brokers()] == [1, 2]


def test_every_metadata_answer_teaches_the_wire_the_brokers():
    wire, admin = admin_over({"Metadata": [metadata(brokers=(1, 2)), metadata(brokers=(2,))]})
    with admin:
        admin.brokers()
        admin.topics()

    assert wire.learned == [[1, 2], [2]]


def test_groups_are_asked_of_the_brokers_that_live_now():
    wire, admin = admin_over(
        {"Metadata": [metadata(brokers=(1, 2)), metadata(brokers=(2,))], "ListGroups": record(error_code=0, groups=[])}
    )
    with admin:
        admin.groups()
        admin.groups()

    assert [node_id for node_id, request in wire.asked if request.api == "ListGroups"] == [1, 2, 2]


def test_groups_are_asked_of_the_brokers_that_are_given():
    wire, admin = admin_over({"ListGroups": record(error_code=0, groups=[])})
    with admin:
        admin.groups([BrokerEndpoint(2, "127.0.0.1", 9093)])

    assert [(node_id, request.api) for node_id, request in wire.asked] == [(2, "ListGroups")]


def test_a_partition_is_asked_for_the_offset_at_a_time_in_milliseconds():
    wire, admin = admin_over({"ListOffsets": record(topics=[])})
    with admin:
        admin.mixed_offsets([(Partition("t", 0, 1, (1,), (1,)), 1_700_000_000_250)])

    ((_, request),) = wire.asked
    assert request.fields["topics"][0]["partitions"] == [{"partition_index": 0, "timestamp": 1_700_000_000_250}]


@pytest.mark.parametrize(
    ("code", "error", "retriable"), [(41, KafkaUnavailableError, True), (38, KafkaRejectedError, False)]
)
def test_a_quorum_that_cannot_be_read_says_why_and_whether_to_try_again(code, error, retriable):
    _, admin = admin_over({"DescribeQuorum": record(error_code=code, error_message="no leader")})

    with admin, pytest.raises(error, match=r"^cannot read the state of the quorum: no leader$") as raised:
        admin.quorum()

    assert raised.value.retriable is retriable
    assert raised.value.details == {"error": failure(code).error}


def test_min_in_sync_replicas_is_a_number_by_topic():
    response = record(
        results=[
            record(
                error_code=0,
                error_message=None,
                resource_name="t",
                configs=[record(name="min.insync.replicas", value="2")],
            )
        ]
    )
    _, admin = admin_over({"DescribeConfigs": response})

    with admin:
        assert admin.min_in_sync_replicas(["t"]) == Partial({"t": 2})


def test_no_topics_ask_for_no_settings():
    wire, admin = admin_over({})

    with admin:
        assert admin.min_in_sync_replicas([]) == Partial()
    assert wire.asked == []


def test_requests_are_counted_by_api():
    _, admin = admin_over({"Metadata": metadata([topic("t", (1, [1], [1]))])})
    with admin:
        admin.topics()
        admin.topics()

        assert admin.requests == {"Metadata": 2}


@pytest.mark.parametrize(("error_code", "refusal"), [(0, None), (41, failure(41))])
def test_partitions_are_added_with_their_replicas_through_one_broker(error_code, refusal):
    answer = record(results=[record(name="t", error_code=error_code, error_message=None)])
    wire, admin = admin_over({"CreatePartitions": answer})
    grown = TopicState("t", internal=False, partitions=(Partition("t", 0, 1, (1,), (1,)),))

    with admin:
        assert admin.add_partitions(grown, [(2,), (3,)], through=2) == refusal

    ((node_id, request),) = wire.asked
    (asked,) = request.fields["topics"]
    assert (node_id, asked["count"]) == (2, 3)
    assert [each["broker_ids"] for each in asked["assignments"]] == [[2], [3]]


def test_a_broker_that_does_not_answer_is_why_no_partitions_are_added():
    _, admin = admin_over({"CreatePartitions": TIMED_OUT})

    with admin:
        assert admin.add_partitions(TopicState("t", internal=False, partitions=()), [(2,)], through=1) == TIMED_OUT
