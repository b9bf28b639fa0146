from kraftd.kafka.model import BrokerEndpoint, Difference, Partial, Partition, TopicState
from kraftd.kafka.topics import (
    brokers_in,
    creation_failures_in,
    creation_request,
    differences,
    metadata_request,
    not_ready,
    settings_in,
    topics_in,
)
from kraftd.plan.plan import Topic
from tests.unit.kafka.fake_wire import FakeWire, failure, metadata, record, topic

WIRE = FakeWire({})
STATED = ("partitions", "replication_factor", "assignment")
DECLARED = Topic("t", ((1, 2), (2, 1)), (("retention.ms", "1000"),), STATED)


def state(*assignment, leaders=None):
    leaders = leaders or [replicas[0] for replicas in assignment]
    return TopicState(
        "t",
        internal=False,
        partitions=tuple(
            Partition("t", index, leader, tuple(replicas), tuple(replicas))
            for index, (leader, replicas) in enumerate(zip(leaders, assignment, strict=True))
        ),
    )


def test_brokers_are_in_order_of_node_id():
    assert brokers_in(metadata(brokers=(2, 1))) == (
        BrokerEndpoint(1, "127.0.0.1", 9092),
        BrokerEndpoint(2, "127.0.0.1", 9093),
    )


def test_a_partition_without_a_leader_has_none():
    found = topics_in(metadata([topic("t", (-1, [1, 2], []), (2, [2, 1], [2]))]), WIRE)

    assert found.values["t"].partitions == (
        Partition("t", 0, None, (1, 2), ()),
        Partition("t", 1, 2, (2, 1), (2,)),
    )


def test_partitions_are_in_order_of_index():
    response = metadata([topic("t", (1, [1], [1]), (2, [2], [2]))])
    response.topics[0].partitions.reverse()

    assert [partition.partition for partition in topics_in(response, WIRE).values["t"].partitions] == [0, 1]


def test_a_topic_that_does_not_exist_costs_only_itself():
    found = topics_in(metadata([topic("gone", error_code=3), topic("t", (1, [1], [1]))]), WIRE)

    assert list(found.values) == ["t"]
    assert found.failures == {"gone": failure(3)}


def test_all_topics_are_asked_for_with_none_and_no_topic_with_no_name():
    assert metadata_request(None).fields["topics"] is None
    assert metadata_request([]).fields["topics"] == []


def test_a_question_never_creates_a_topic():
    assert metadata_request(["t"]).fields["allow_auto_topic_creation"] is False


def test_a_topic_is_created_with_its_assignment_and_settings():
    (asked,) = creation_request([DECLARED], timeout_s=2.5).fields["topics"]

    assert asked["assignments"] == [
        {"partition_index": 0, "broker_ids": [1, 2]},
        {"partition_index": 1, "broker_ids": [2, 1]},
    ]
    assert (asked["num_partitions"], asked["replication_factor"]) == (-1, -1)
    assert asked["configs"] == [{"name": "retention.ms", "value": "1000"}]
    assert creation_request([DECLARED], timeout_s=2.5).fields["timeout_ms"] == 2500


def test_only_topics_that_were_not_created_have_a_failure():
    response = record(
        topics=[
            record(name="t", error_code=0, error_message=None),
            record(name="u", error_code=38, error_message="3 replicas, 2 brokers"),
        ]
    )

    assert creation_failures_in(response, WIRE) == {"u": failure(38, "3 replicas, 2 brokers")}


def test_a_topic_as_declared_has_no_differences():
    assert differences(DECLARED, state([1, 2], [2, 1])) == ()


def test_another_partition_count_is_a_difference_and_so_is_its_assignment():
    assert differences(DECLARED, state([1, 2], [2, 1], [1, 2])) == (
        Difference("partitions", "2", "3"),
        Difference("assignment", "1:2,2:1", "1:2,2:1,1:2"),
    )


def test_another_order_of_replicas_is_a_difference():
    assert differences(DECLARED, state([2, 1], [2, 1])) == (Difference("assignment", "1:2,2:1", "2:1,2:1"),)


def test_what_the_user_did_not_state_is_no_difference():
    declared = Topic("t", ((1, 2, 3), (2, 3, 1)), stated=("partitions",))

    assert differences(declared, state([1, 2], [2, 1])) == ()
    assert differences(declared, state([1, 2])) == (Difference("partitions", "2", "1"),)


def test_another_replication_factor_on_one_partition_is_a_difference():
    assert Difference("replication_factor", "2", "1, 2") in differences(DECLARED, state([1, 2], [2]))


def test_a_topic_is_ready_when_every_broker_knows_every_leader():
    views = {1: Partial({"t": state([1, 2])}), 2: Partial({"t": state([1, 2])})}

    assert not_ready(["t"], views) == {}


def test_a_topic_that_one_broker_does_not_know_is_not_ready():
    views = {1: Partial({"t": state([1, 2])}), 2: Partial({}, {"t": failure(3)})}

    assert not_ready(["t"], views) == {"t": "broker 2 does not know it yet"}


def test_a_topic_with_a_partition_without_a_leader_is_not_ready():
    views = {1: Partial({"t": state([1, 2], [2, 1], leaders=[1, None])})}

    assert not_ready(["t"], views) == {"t": "broker 1 knows no leader of partition 1"}


def test_a_topic_whose_leader_does_not_answer_is_not_ready():
    views = {1: Partial({"t": state([1, 2], [2, 1])})}

    assert not_ready(["t"], views) == {"t": "broker 2, which leads a partition, does not answer"}


def test_a_broker_that_leads_nothing_need_not_answer():
    assert not_ready(["t"], {1: Partial({"t": state([1, 2])})}) == {}


def test_settings_are_by_topic_and_fail_by_topic():
    response = record(
        results=[
            record(
                error_code=0,
                error_message=None,
                resource_name="t",
                configs=[record(name="min.insync.replicas", value="2")],
            ),
            record(error_code=3, error_message=None, resource_name="gone", configs=[]),
        ]
    )

    assert settings_in(response, WIRE) == Partial({"t": {"min.insync.replicas": "2"}}, {"gone": failure(3)})
