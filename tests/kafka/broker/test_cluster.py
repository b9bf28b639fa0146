"""The Kafka door on a healthy cluster, and with a frozen broker."""

import re
import time

import pytest
from confluent_kafka import Consumer

from kraftd.health.programs.stop_blockers import stop_blockers
from kraftd.kafka.admin import KafkaAdmin
from kraftd.kafka.model import Difference
from kraftd.kafka.probe import ProbeState, connect, probe
from kraftd.kafka.round_trip import CANARY_TOPIC, canary_topic
from kraftd.plan.plan import Topic
from tests.harness import eventually
from tests.kafka.broker.library import KafkaError, commit, library_client, partitions_of, produce, start_offsets
from tests.kafka.broker.nodes import HOST, TIMEOUT_S, caught_up

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


def test_brokers_and_quorum_are_all_there(admin, nodes):
    quorum = eventually(lambda: caught_up(admin))

    eventually(lambda: [broker.node_id for broker in admin.brokers()] == [1, 2])
    assert {voter.node_id for voter in quorum.voters} == {1, 2, 101}
    assert quorum.leader_id in {1, 2, 101}
    assert stop_blockers({1}, quorum, [], {}) == ()


def test_a_created_topic_has_its_assignment_and_can_be_written_to_at_once(admin, nodes, topic):
    (state,) = admin.topics([topic.name]).values.values()

    assert tuple(partition.replicas for partition in state.partitions) == topic.assignment
    assert [partition.leader for partition in state.partitions] == [1, 2, 1, 2]
    assert admin.min_in_sync_replicas([topic.name]).values == {topic.name: 1}
    produce(nodes, topic, {0: 1, 1: 1, 2: 1, 3: 1})


def test_creating_again_changes_nothing_and_names_the_differences(admin, topic):
    other = Topic(topic.name, ((2, 1), (2, 1)), stated=("partitions", "replication_factor", "assignment"))

    (same,) = admin.create_topics([topic], limit_s=10.0)
    (differs,) = admin.create_topics([other], limit_s=10.0)

    assert (same.created, same.differences, same.failure) == (False, (), None)
    assert (differs.created, differs.failure) == (False, None)
    assert differs.differences == (
        Difference("partitions", "2", "4"),
        Difference("assignment", "2:1,2:1", "1:2,2:1,1:2,2:1"),
    )


def test_a_topic_that_kafka_refuses_does_not_keep_the_others(admin):
    wanted, impossible = Topic("wanted", ((1, 2),)), Topic("impossible", ((1, 7),))

    first, second = admin.create_topics([wanted, impossible], limit_s=10.0)

    assert (first.created, first.failure) == (True, None)
    assert (second.created, second.failure.error) == (False, "INVALID_REPLICATION_ASSIGNMENT")


def test_a_topics_own_settings_are_set(admin):
    (outcome,) = admin.create_topics([Topic("strict", ((1, 2),), (("min.insync.replicas", "2"),))], limit_s=10.0)

    assert outcome.created
    assert admin.min_in_sync_replicas(["strict", "gone"]).values == {"strict": 2}


def test_groups_have_state_members_and_coordinator(admin, nodes, topic, bare):
    commit(bare, "idle", {(topic.name, 0): 0})
    consumer = Consumer({"bootstrap.servers": nodes.bootstrap_servers, "group.id": "busy"})
    consumer.subscribe([topic.name])
    try:
        eventually(lambda: consumer.poll(0.1) or consumer.assignment())
        groups = admin.groups().groups
    finally:
        consumer.close()

    assert (groups["idle"].state, groups["idle"].members) == ("Empty", ())
    (member,) = groups["busy"].members
    assert (groups["busy"].state, groups["busy"].protocol_type) == ("Stable", "consumer")
    assert member.assigned == tuple((topic.name, index) for index in range(4))
    assert member.host == HOST
    assert groups["busy"].coordinator in {1, 2}


def test_a_cycle_is_twelve_requests_on_two_brokers_whatever_the_number_of_groups(nodes, topic, bare):
    for index in range(20):
        commit(bare, f"many-{index}", {(topic.name, partition): 0 for partition in range(4)})
    with KafkaAdmin(nodes.access, timeout_s=TIMEOUT_S, client_id="counted") as counted:
        metadata = counted.metadata()
        partitions = [partition for state in metadata.topics.values.values() for partition in state.partitions]
        counted.committed(counted.groups(metadata.brokers).groups.values())
        counted.end_offsets(partitions)
        start_offsets(counted, partitions)
        counted.quorum()
        sent = dict(counted.requests)

    assert sent == {
        # The first question goes to both; those of later cycles to the one that answered first.
        "Metadata": 2,
        "ListGroups": 2,
        "DescribeGroups": 2,
        "OffsetFetch": 2,
        "ListOffsets": 4,
        "DescribeQuorum": 1,
    }
    expected = {"API_VERSIONS": 2, **{_api_key_name(api): count for api, count in sent.items()}}
    # A broker logs a request after it has answered.
    eventually(lambda: nodes.requests_from("counted") == expected, within_s=30, what=str(expected))


def _api_key_name(api):
    """Return ListOffsets as LIST_OFFSETS."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", api).upper()


def test_the_canary_goes_through_each_broker_and_back(admin):
    (outcome,) = admin.create_topics([canary_topic([1, 2], replication_factor=2)], limit_s=20.0)
    partitions = partitions_of(admin, CANARY_TOPIC)

    found = [admin.round_trips(partitions, value) for value in (b"first", b"second")]

    assert outcome.failure is None
    assert [set(trips.values) for trips in found] == [{1, 2}, {1, 2}]
    assert all(0 < trip.write_s < TIMEOUT_S and 0 < trip.read_s < TIMEOUT_S for trip in found[1].values.values())


def test_the_probe_tells_a_serving_broker_from_a_dead_port(nodes):
    serving = probe(HOST, nodes.client_port("broker-1"), TIMEOUT_S)

    assert serving.state is ProbeState.ANSWERS
    assert serving.latency_s < TIMEOUT_S
    assert all(connect(host, port, TIMEOUT_S).state is ProbeState.ANSWERS for host, port in nodes.controller_endpoints)


@pytest.mark.perf
def test_a_frozen_broker_blocks_the_library_for_30_s_but_the_door_for_one_time_limit(admin, nodes, topic, bare):
    assert bare.config["request_timeout_ms"] == 30_000
    partitions = partitions_of(admin, topic.name)
    nodes.freeze("broker-2")
    try:
        broker_1 = f"{HOST}:{nodes.client_port('broker-1')}"
        with library_client(broker_1, request_timeout_ms=500) as impatient, pytest.raises(KafkaError):
            impatient.list_groups(broker_ids=[1, 2])
        started_s = time.monotonic()
        ends = admin.end_offsets(partitions)
        took_s = time.monotonic() - started_s
        start_offsets(admin, partitions)
        both_s = time.monotonic() - started_s
        frozen = probe(HOST, nodes.client_port("broker-2"), 0.3)
        listed = admin.groups()
    finally:
        nodes.thaw("broker-2")

    assert sorted(index for _, index in ends.values) == [0, 2]
    assert {failure.error for failure in ends.failures.values()} == {"TIMED_OUT"}
    assert took_s < TIMEOUT_S + 1.0
    assert both_s < TIMEOUT_S + 2.0
    assert frozen.state is ProbeState.SILENT
    assert set(listed.broker_failures) <= {2}
    eventually(lambda: len(admin.end_offsets(partitions_of(admin, topic.name)).values) == 4)
