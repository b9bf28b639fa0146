"""The Kafka door on a healthy cluster, a frozen broker, and a lost quorum."""

import time

import pytest
from confluent_kafka import Consumer, Producer

from kraftd.broker.admin import KafkaAdmin
from kraftd.broker.errors import KafkaAccessError, KafkaUnavailableError
from kraftd.broker.model import Difference
from kraftd.broker.offsets import IsolationLevel
from kraftd.broker.probe import ProbeState, port_listens, probe
from kraftd.broker.round_trip import PROBE_TOPIC, probe_topic
from kraftd.broker.safety import QuorumLoss, objections
from kraftd.spec.plan import Topic
from tests.kafka.broker_door_library import (
    KafkaAdminClient,
    KafkaError,
    KafkaProducer,
    OffsetSpec,
    TopicPartition,
    UnknownTopicOrPartitionError,
    commit,
)
from tests.kafka.broker_door_nodes import HOST, Nodes, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

TIMEOUT_S = 2.0


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    started = Nodes(tmp_path_factory.mktemp("nodes"))
    try:
        started.start(*started.names)
        yield started
    finally:
        started.end()


@pytest.fixture
def admin(nodes):
    with KafkaAdmin(nodes.bootstrap_servers.split(","), timeout_s=TIMEOUT_S) as opened:
        yield opened


@pytest.fixture
def bare(nodes):
    """The library's own admin client, to show what it does."""
    client = KafkaAdminClient(bootstrap_servers=nodes.bootstrap_servers.split(","))
    yield client
    client.close()


@pytest.fixture
def topic(admin, request):
    """A topic of the test's own, with 4 partitions on both brokers."""
    declared = Topic(request.node.name[:200].replace("[", "-").replace("]", ""), ((1, 2), (2, 1), (1, 2), (2, 1)))
    (outcome,) = admin.create_topics([declared], limit_s=20.0)
    assert outcome.failure is None
    return declared


def produce(nodes, topic, counts):
    """Write so many records to each partition."""
    producer = KafkaProducer(bootstrap_servers=nodes.bootstrap_servers.split(","))
    try:
        futures = [
            producer.send(topic.name, b"x", partition=partition)
            for partition, count in counts.items()
            for _ in range(count)
        ]
        for future in futures:
            future.get(20)
    finally:
        producer.close()


def partitions_of(admin, *names):
    return [partition for topic in admin.topics(names).values.values() for partition in topic.partitions]


def test_brokers_and_quorum_are_all_there(admin, nodes):
    quorum = wait_until(lambda: _caught_up(admin))

    wait_until(lambda: [broker.node_id for broker in admin.brokers()] == [1, 2])
    assert {voter.node_id for voter in quorum.voters} == {1, 2, 101}
    assert quorum.leader_id in {1, 2, 101}
    assert objections(1, quorum, [], {}) == ()


def _caught_up(admin):
    quorum = admin.quorum()
    fresh = [voter.last_caught_up_age_s is not None and voter.last_caught_up_age_s < 1.0 for voter in quorum.voters]
    return quorum if all(fresh) else None


def test_a_created_topic_has_its_assignment_and_can_be_written_to_at_once(admin, nodes, topic):
    (state,) = admin.topics([topic.name]).values.values()

    assert tuple(partition.replicas for partition in state.partitions) == topic.assignment
    assert [partition.leader for partition in state.partitions] == [1, 2, 1, 2]
    assert admin.min_in_sync_replicas([topic.name]).values == {topic.name: 1}
    produce(nodes, topic, {0: 1, 1: 1, 2: 1, 3: 1})


def test_creating_again_changes_nothing_and_names_the_differences(admin, topic):
    other = Topic(topic.name, ((2, 1), (2, 1)))

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
        wait_until(lambda: consumer.poll(0.1) or consumer.assignment())
        groups = admin.groups().groups
    finally:
        consumer.close()

    assert (groups["idle"].state, groups["idle"].members) == ("Empty", ())
    (member,) = groups["busy"].members
    assert (groups["busy"].state, groups["busy"].protocol_type) == ("Stable", "consumer")
    assert member.assigned == tuple((topic.name, index) for index in range(4))
    assert member.host == HOST
    assert groups["busy"].coordinator in {1, 2}


def test_commits_ends_and_starts_are_exact(admin, nodes, topic, bare):
    produce(nodes, topic, {0: 5, 1: 3})
    commit(bare, "exact", {(topic.name, 0): 2, (topic.name, 1): 3})
    bare.delete_records({TopicPartition(topic.name, 0): 1})

    groups = admin.groups().groups
    partitions = partitions_of(admin, topic.name)

    committed = admin.committed([groups["exact"]]).values["exact"]
    assert committed == {(topic.name, 0): 2, (topic.name, 1): 3}
    assert admin.end_offsets(partitions).values == {(topic.name, index): end for index, end in enumerate([5, 3, 0, 0])}
    assert admin.start_offsets(partitions).values[topic.name, 0] == 1


def test_a_deleted_topic_ends_the_librarys_listing_of_offsets_but_not_the_doors(admin, topic, bare):
    with pytest.raises(UnknownTopicOrPartitionError):
        bare.list_partition_offsets(
            {TopicPartition(topic.name, 0): OffsetSpec.LATEST, TopicPartition("gone", 0): OffsetSpec.LATEST}
        )

    found = admin.topics([topic.name, "gone"])
    assert list(found.values) == [topic.name]
    assert found.failures["gone"].error == "UNKNOWN_TOPIC_OR_PARTITION"
    ends = admin.end_offsets(found.values[topic.name].partitions)
    assert (len(ends.values), ends.failures) == (4, {})


def test_the_number_of_requests_does_not_grow_with_groups_and_partitions(admin, topic, bare):
    for index in range(20):
        commit(bare, f"many-{index}", {(topic.name, partition): 0 for partition in range(4)})
    before = dict(admin.requests)

    topics = admin.topics()
    partitions = [partition for state in topics.values.values() for partition in state.partitions]
    admin.committed(admin.groups().groups.values())
    admin.end_offsets(partitions)
    admin.start_offsets(partitions)
    admin.quorum()

    sent = {api: count - before.get(api, 0) for api, count in admin.requests.items()}
    assert sent == {
        "Metadata": 2,
        "ListGroups": 2,
        "DescribeGroups": 2,
        "OffsetFetch": 2,
        "ListOffsets": 4,
        "DescribeQuorum": 1,
    } | {api: 0 for api in sent if api in {"CreateTopics", "InitProducerId"}}


def test_offsets_at_a_time_bracket_the_records_age(admin, nodes, topic):
    produce(nodes, topic, {0: 2})
    partitions = partitions_of(admin, topic.name)
    now_s = time.time()

    assert admin.offsets_at(partitions, now_s - 60.0).values == {(topic.name, 0): 0}
    assert admin.offsets_at(partitions, now_s + 60.0).values == {}


def test_an_open_transaction_holds_the_last_stable_offset_back(admin, nodes, topic):
    producer = Producer({"bootstrap.servers": nodes.bootstrap_servers, "transactional.id": topic.name})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topic.name, b"x", partition=0)
    producer.flush(20)
    partitions = partitions_of(admin, topic.name)

    ends = admin.end_offsets(partitions).values
    stable = admin.end_offsets(partitions, IsolationLevel.READ_COMMITTED).values
    producer.abort_transaction(20)

    assert (ends[topic.name, 0], stable[topic.name, 0]) == (1, 0)


def test_log_directories_tell_their_size_and_room(admin, nodes, topic):
    produce(nodes, topic, {0: 5})

    found = admin.log_dirs(admin.brokers())

    assert (set(found.values), found.failures) == ({1, 2}, {})
    for (log_dir,) in found.values.values():
        assert 0 < log_dir.usable_bytes < log_dir.total_bytes
        assert log_dir.failure is None
    assert found.values[1][0].replica_bytes[topic.name, 0] > 0


def test_the_canary_goes_through_each_broker_and_back(admin):
    (outcome,) = admin.create_topics([probe_topic([1, 2], replication_factor=2)], limit_s=20.0)
    partitions = partitions_of(admin, PROBE_TOPIC)

    found = [admin.round_trips(partitions, value) for value in (b"first", b"second")]

    assert outcome.failure is None
    assert [set(trips.values) for trips in found] == [{1, 2}, {1, 2}]
    assert all(0 < trip.write_s < TIMEOUT_S and 0 < trip.read_s < TIMEOUT_S for trip in found[1].values.values())


def test_the_probe_tells_a_serving_broker_from_a_dead_port(nodes):
    serving = probe(HOST, nodes.client_port("broker-1"), TIMEOUT_S)

    assert serving.state is ProbeState.ANSWERS
    assert serving.latency_s < TIMEOUT_S
    assert all(port_listens(host, port, TIMEOUT_S) for host, port in nodes.controller_endpoints)


def test_a_frozen_broker_blocks_the_library_for_30_s_but_the_door_for_one_time_limit(admin, nodes, topic, bare):
    assert bare.config["request_timeout_ms"] == 30_000
    partitions = partitions_of(admin, topic.name)
    nodes.freeze("broker-2")
    try:
        impatient = KafkaAdminClient(
            bootstrap_servers=f"{HOST}:{nodes.client_port('broker-1')}", request_timeout_ms=500
        )
        with pytest.raises(KafkaError):
            impatient.list_groups(broker_ids=[1, 2])
        impatient.close()
        started_s = time.monotonic()
        ends = admin.end_offsets(partitions)
        took_s = time.monotonic() - started_s
        admin.start_offsets(partitions)
        both_s = time.monotonic() - started_s
        frozen = probe(HOST, nodes.client_port("broker-2"), 0.3)
        listed = admin.groups()
    finally:
        nodes.thaw("broker-2")

    assert sorted(index for _, index in ends.values) == [0, 2]
    assert {failure.error for failure in ends.failures.values()} == {"TIMED_OUT"}
    assert took_s < TIMEOUT_S + 1.0
    assert both_s < TIMEOUT_S + 2.0
    assert (frozen.state, frozen.port_open) == (ProbeState.SILENT, True)
    assert set(listed.broker_failures) <= {2}
    wait_until(lambda: len(admin.end_offsets(partitions_of(admin, topic.name)).values) == 4)


def test_a_lost_quorum_is_an_error_that_says_so_within_the_limit(admin, nodes):
    """Last of this module: it costs two nodes."""
    wait_until(lambda: _caught_up(admin))
    nodes.kill("controller-101")
    expected = (QuorumLoss(voters=3, majority=2, remaining=(2,)),)
    wait_until(lambda: _objections_to_stopping_broker_1(admin) == expected, limit_s=20.0)
    nodes.kill("broker-2")

    error = wait_until(lambda: _quorum_error(admin), limit_s=20.0)
    assert str(error).startswith("cannot ")
    assert error.retriable
    assert [broker.node_id for broker in admin.brokers() if broker.node_id == 1] == [1]


def _objections_to_stopping_broker_1(admin):
    try:
        return objections(1, admin.quorum(), [], {})
    except KafkaUnavailableError:
        return None


def _quorum_error(admin):
    started_s = time.monotonic()
    try:
        admin.quorum()
    except KafkaAccessError as error:
        assert time.monotonic() - started_s < 3 * TIMEOUT_S
        return error
    return None
