"""The consumer app with the group protocol of Kafka 4 (KIP-848), named or found out."""

import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

import pytest
from kafka import KafkaConsumer
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import KafkaError

from kraftd.kafka.admin import KafkaAdmin
from kraftd.plan.plan import Access
from tests.harness import cluster_in, eventually
from tests.kafka.app_processes import Apps, own_topic
from tests.kafka.members import all_owned, own_partitions, standing_by

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


@pytest.fixture
def apps(tmp_path, cluster):
    own = Apps(tmp_path, cluster.bootstrap_servers, own_topic(cluster.bootstrap_servers))
    yield own
    own.kill()


def test_members_of_the_new_protocol_share_partitions_and_go_on_where_others_were(tmp_path):
    settings = {"cluster.kafka_version": "4.3.1"}
    with (
        tempfile.TemporaryDirectory(prefix="kraftd-") as directory,
        cluster_in(Path(directory), settings=settings) as cluster,
    ):
        cluster.start()
        apps = Apps(tmp_path, cluster.bootstrap_servers, own_topic(cluster.bootstrap_servers))
        try:
            exercise(apps)
            assert kind_of_group_joined_by_itself(apps) == "consumer"
        finally:
            apps.kill()
        assert partitions_of_two(tmp_path, cluster.bootstrap_servers) == [(), (0,)]


def test_where_brokers_do_not_take_the_new_protocol_auto_is_classic(apps):
    assert kind_of_group_joined_by_itself(apps) == "classic"


class UninformedAssignor(RangePartitionAssignor):
    """Assigns nothing to the first two members, as the leader of a group that has not heard of the topic yet."""

    is_informed = False
    numbers_of_members: ClassVar[list[int]] = []

    @classmethod
    def assign(cls, cluster, members):
        cls.is_informed = 2 in cls.numbers_of_members
        cls.numbers_of_members.append(len(members))
        return super().assign(cluster if cls.is_informed else ClusterWithoutTopics(), members)


class ClusterWithoutTopics:
    def partitions_for_topic(self, topic):
        return None


def test_a_member_that_an_uninformed_leader_gave_nothing_joins_anew(tmp_path, cluster):
    # The client that leads misses a rebalance now and then, and is out of the group after 10 s.
    assert any(joins_anew(tmp_path, cluster.bootstrap_servers) for _ in range(3))


def joins_anew(directory, bootstrap_servers):
    """Return whether a member to which the leader gave nothing has partitions, because it has joined anew."""
    apps = Apps(directory, bootstrap_servers, own_topic(bootstrap_servers))
    UninformedAssignor.numbers_of_members.clear()
    try:
        with polling_leader(apps, UninformedAssignor):
            member = apps.start_ready("consumer", KAFKA_GROUP_PROTOCOL="classic")
            if own_partitions(member):
                return False
            eventually(lambda: own_partitions(member))
            return "joining the group anew" in member.log.read_text()
    finally:
        apps.kill()


@contextmanager
def polling_leader(apps, assignor):
    """Join the group first, by a client whose assignor distributes the partitions, and poll meanwhile."""
    leader = KafkaConsumer(
        apps.topic,
        bootstrap_servers=apps.bootstrap_servers.split(","),
        group_id=apps.group,
        partition_assignment_strategy=[assignor],
        enable_auto_commit=False,
        heartbeat_interval_ms=1000,
        session_timeout_ms=6000,
        max_poll_interval_ms=10_000,
    )
    stopped = threading.Event()

    def poll():
        while not stopped.is_set():
            with suppress(KafkaError):
                leader.poll(200)

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        eventually(lambda: assignor.numbers_of_members)
        yield
    finally:
        stopped.set()
        thread.join()
        leader.close()


def kind_of_group_joined_by_itself(apps):
    member = apps.start_ready("consumer", KAFKA_GROUP_PROTOCOL="auto", KAFKA_GROUP_ID="by-itself")
    with KafkaAdmin(Access(tuple(apps.bootstrap_servers.split(",")))) as admin:
        kind = admin.groups().groups["by-itself"].kind
    assert member.stop()[0] == 0
    return kind


def exercise(apps):
    producer = apps.start_ready("producer")
    members = [apps.start_ready("consumer", KAFKA_GROUP_PROTOCOL="consumer") for _ in range(2)]
    eventually(lambda: all_owned(members) and not standing_by(members))
    for partition in range(4):
        producer.json(f"/send?partition={partition}", b'"first"')
    eventually(lambda: sum(map(received, members)) == 4)
    for member in members:
        assert member.stop()[0] == 0
    producer.json("/send?partition=0", b'"while away"')
    again = apps.start_ready("consumer", KAFKA_GROUP_PROTOCOL="consumer")
    eventually(lambda: all_owned([again]) and received(again) == 1)


def partitions_of_two(directory, bootstrap_servers):
    """Return the partitions of two members, stated and detected, that are ready though there is only one partition."""
    apps = Apps(directory, bootstrap_servers, own_topic(bootstrap_servers, partitions=1))
    try:
        members = [apps.start_ready("consumer", KAFKA_GROUP_PROTOCOL=name) for name in ("consumer", "auto")]
        return sorted(tuple(own_partitions(member)) for member in members)
    finally:
        apps.kill()


def received(member):
    """Return how many records came to a member, not counting those that are only read back for the page."""
    lines = member.request("/metrics")[1].decode().splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("kafka_consumer_records_total"))
