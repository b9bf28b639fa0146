"""The Kafka door on one broker of every supported version, and what only the newest has."""

import pytest
from confluent_kafka import Consumer

from kraftd.clock import SystemClock
from kraftd.kafka.admin import KafkaAdmin
from kraftd.kafka.probe import probe
from kraftd.kafka.round_trip import CANARY_TOPIC, canary_topic
from kraftd.plan.plan import Access, Topic
from kraftd.render.java_command import JvmLaunch, node_command
from kraftd.runtime.scratch_node import ScratchProcess, free_ports, scratch_plan, write_scratch
from tests.harness import eventually
from tests.kafka.broker.library import commit, library_client, start_offsets
from tests.kafka.broker.nodes import HOST
from tests.kafka.runtimes import runtime_of

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

CLOCK = SystemClock()


@pytest.fixture(scope="module", params=["3.9.1", "4.3.1"])
def broker(request, tmp_path_factory):
    """The address of a broker that is its own quorum."""
    directory, ports = tmp_path_factory.mktemp("node"), free_ports()
    runtime = runtime_of(request.param)
    plan = scratch_plan(directory, request.param, (), ports)
    write_scratch(plan, runtime.bootstrap_checkpoint)
    launch = JvmLaunch(runtime.java.executable, runtime.java.major, runtime.classpath, runtime.archive)
    with ScratchProcess(node_command(plan, plan.nodes[0], launch), directory, CLOCK):
        eventually(lambda: probe(HOST, ports[0], 1.0).api_versions_ok)
        yield f"{HOST}:{ports[0]}"


@pytest.fixture
def admin(broker):
    with KafkaAdmin(Access((broker,)), timeout_s=5.0) as opened:
        yield opened


def test_every_collector_reads_every_version(broker, admin):
    declared = [Topic("t", ((1,), (1,))), canary_topic([1], replication_factor=1)]
    assert [outcome.failure for outcome in admin.create_topics(declared, limit_s=20.0)] == [None, None]
    with library_client(broker) as library:
        commit(library, "classic", {("t", 0): 0})

    metadata = admin.metadata()
    partitions = metadata.topics.values["t"].partitions
    canary = admin.round_trips(metadata.topics.values[CANARY_TOPIC].partitions, b"nonce")
    groups = admin.groups(metadata.brokers)
    committed = admin.committed(groups.groups.values())

    assert [endpoint.node_id for endpoint in metadata.brokers] == [1]
    assert admin.quorum().leader_id == 1
    assert admin.min_in_sync_replicas(["t"]).values == {"t": 1}
    assert (set(canary.values), canary.failures) == ({1}, {})
    assert groups.groups["classic"].members == ()
    assert committed.values["classic"] == {("t", 0): 0}
    nothing = {("t", 0): 0, ("t", 1): 0}
    assert admin.end_offsets(partitions).values == start_offsets(admin, partitions).values == nothing
    assert admin.log_dirs(metadata.brokers).values[1][0].usable_bytes > 0


@pytest.mark.parametrize("broker", ["4.3.1"], indirect=True)
def test_a_group_of_the_new_protocol_has_members_too(broker, admin):
    admin.create_topics([Topic("t", ((1,), (1,)))], limit_s=20.0)
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "new", "group.protocol": "consumer"})
    consumer.subscribe(["t"])
    try:
        eventually(lambda: consumer.poll(0.1) or consumer.assignment())
        group = eventually(lambda: _with_assignment(admin, "new"))
    finally:
        consumer.close()

    (member,) = group.members
    assert (group.kind, group.protocol_type, group.state) == ("consumer", "consumer", "Stable")
    assert member.assigned == (("t", 0), ("t", 1))
    assert member.host == HOST
    assert eventually(lambda: admin.groups().groups["new"].state == "Empty")


def _with_assignment(admin, name):
    found = admin.groups()
    assert found.failures == {}
    group = found.groups.get(name)
    return group if group and group.members and group.members[0].assigned else None
