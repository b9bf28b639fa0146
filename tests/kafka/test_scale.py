"""Brokers come and go under a writer: nothing is lost, and what was killed is finished or undone by the next call."""

import json
import os
import random
import time

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from tests.harness import eventually
from tests.kafka.writers import Writer, read_log

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

SETTINGS = """
[producer]
enabled = false
[consumer]
enabled = false
[[topic]]
name = "test-topic"
"""
FILL_RECORDS = 6000
UNLIMITED = str(2**63 - 1)


def started(cluster):
    """Start two brokers, by a configuration that states no number, with 6 MB that no compression makes smaller."""
    cluster.config = cluster.state_dir.parent / "kraftd.toml"
    cluster.config.write_text(SETTINGS)
    cluster.start()
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0})
    for number in range(FILL_RECORDS):
        producer.produce("test-topic", os.urandom(1000), partition=number % 4)
    assert producer.flush(60) == 0
    # The first commit makes the internal topic of offsets.
    reader = Consumer({"bootstrap.servers": cluster.bootstrap_servers, "group.id": "readers", "log_level": 0})
    reader.commit(offsets=[TopicPartition("test-topic", 0, 7)], asynchronous=False)
    reader.close()
    return {name: cluster.pid(name) for name in ("broker-1", "broker-2", "controller-101")}


def journal(cluster):
    path = cluster.state_dir / "scale.json"
    return json.loads(path.read_text()) if path.exists() else {}


def killed(cluster, *arguments, after_s=0.0):
    """Begin to move replicas and kill the command, by default as soon as it has throttled its copies.

    Returns whether it had not ended by itself.
    """
    command = cluster.spawn(*arguments, "--yes")
    try:
        if after_s:
            time.sleep(after_s)
        else:
            eventually(
                lambda: journal(cluster).get("broker_throttles") or command.poll() is not None,
                within_s=150,
                what="the throttle in the journal",
            )
            assert command.poll() is None, command.communicate()
            eventually(lambda: throttles(cluster, (1, 2, 3)), within_s=30, what="the throttle")
    finally:
        command.kill()
        command.communicate()
    return command.returncode < 0


def rotated(cluster):
    """Return an assignment that moves a replica of every partition of three brokers, and its leader."""
    return ",".join(":".join(str(broker % 3 + 1) for broker in replicas) for replicas in assigned(cluster))


def assigned(cluster):
    """Return the replicas of each partition of the topic, the preferred leader first, as one broker knows them."""
    topic = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0}).list_topics("test-topic")
    return [each.replicas for _, each in sorted(topic.topics["test-topic"].partitions.items())]


def placed(cluster):
    """Return how many replicas, and how many leaders, each broker has of the topic."""
    topic = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0}).list_topics("test-topic")
    partitions = topic.topics["test-topic"].partitions.values()
    replicas = [broker for each in partitions for broker in each.replicas]
    leaders = [each.leader for each in partitions]
    return [(replicas.count(node_id), leaders.count(node_id)) for node_id in (1, 2, 3)]


def evenly(placement):
    replicas, leaders = zip(*placement, strict=True)
    return sorted(replicas), sorted(leaders)


def replicated(cluster):
    """Return the numbers of replicas that partitions have, and min.insync.replicas, of each topic that is not ours.

    None while librdkafka replaces its connection to a broker.
    """
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0})
    try:
        topics = {
            name: topic for name, topic in admin.list_topics(timeout=10).topics.items() if name != "__kraftd_probe"
        }
        resources = {name: ConfigResource(ResourceType.TOPIC, name) for name in topics}
        answers = admin.describe_configs(list(resources.values()))
        return {
            name: (
                sorted({len(partition.replicas) for partition in topic.partitions.values()}),
                answers[resources[name]].result()["min.insync.replicas"].value,
            )
            for name, topic in topics.items()
        }
    except KafkaException:
        return None


def brokers(cluster):
    return [node["name"] for node in cluster.status()["nodes"] if node["name"].startswith("broker-")]


def throttles(cluster, node_ids):
    """Return the settings that throttle replication now."""
    answers = eventually(lambda: described(cluster, node_ids), within_s=20, what="every broker tells its settings")
    return [
        (name, entry.value)
        for answer in answers
        for name, entry in answer.items()
        if ".replication.throttled." in name and entry.value not in ("", None, UNLIMITED)
    ]


def described(cluster, node_ids):
    """Return the settings of brokers and the topic; None while one is not known, or its connection is replaced."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0})
    resources = [ConfigResource(ResourceType.BROKER, str(node_id)) for node_id in node_ids]
    resources.append(ConfigResource(ResourceType.TOPIC, "test-topic"))
    try:
        # A broker is asked itself, and librdkafka waits in vain for one that the other did not know yet.
        if not set(node_ids) <= set(admin.list_topics(timeout=10).brokers):
            return None
        return [admin.describe_configs([each])[each].result() for each in resources]
    except KafkaException:
        return None


def test_two_brokers_become_three_and_two_again_under_a_writer_also_after_a_kill(fresh):
    pids = started(fresh)
    with Writer(fresh.bootstrap_servers, "test-topic") as writer:
        killed(fresh, "scale", "--brokers", "3", "--replication-factor", "3", "--throttle", "256k")
        other = fresh.run("scale", "--brokers", "4", "--yes", "--json")
        assert (other.status, other.error["code"]) == (8, "unfinished_scale")

        back = fresh.run("scale", "--abort", "--dry-run", "--json", check=True).document
        assert (back["brokers_after"], back["copied_replicas"]) == (2, 0)

        fresh.run("scale", "--brokers", "3", "--yes", check=True)
        everywhere = {name: ([3], "2") for name in ("test-topic", "__consumer_offsets")}
        eventually(lambda: replicated(fresh) == everywhere, within_s=30, what="three replicas, two of them in sync")

        fresh.run("scale", "--replication-factor", "2", "--yes", check=True)
        twice = {name: ([2], "1") for name in everywhere}
        eventually(lambda: replicated(fresh) == twice, within_s=30, what="two replicas, one of them in sync")
        assert throttles(fresh, (1, 2, 3)) == []
        eventually(lambda: evenly(placed(fresh)) == ([2, 3, 3], [1, 1, 2]), within_s=30, what="an even placement")

        before = assigned(fresh)
        killed(fresh, "topics", "reassign", "test-topic", "--assignment", rotated(fresh), "--throttle", "256k")
        undone = fresh.run("topics", "reassign", "--abort", "--yes", "--json", check=True).document
        assert (undone["is_undone"], throttles(fresh, (1, 2, 3)), journal(fresh)) == (True, [], {})
        eventually(lambda: assigned(fresh) == before, within_s=30, what="every replica where it was")

        fresh.run("scale", "--brokers", "2", "--yes", check=True)
        eventually(
            lambda: [replicas for replicas, _ in placed(fresh)] == [4, 4, 0], within_s=30, what="no third broker"
        )
        assert throttles(fresh, (1, 2)) == []

    assert {name: fresh.pid(name) for name in pids} == pids
    assert brokers(fresh) == ["broker-1", "broker-2"]
    assert writer.lost(read_log(fresh.bootstrap_servers, "test-topic")) == {}
    voter = fresh.run("scale", "--brokers", "1", "--yes", "--json")
    assert (voter.status, voter.error["code"]) == (8, "voters")


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_twenty_kills_at_random_moments_are_finished_or_undone_by_the_next_call(fresh):
    chosen = random.Random(20261126)
    pids = started(fresh)
    with Writer(fresh.bootstrap_servers, "test-topic") as writer:
        for turn in range(20):
            before = 2 if turn % 2 == 0 else 3
            after = 5 - before
            # Every other pair of turns changes the number of replicas too.
            factor = ("--replication-factor", str(after)) if turn % 4 < 2 else ()
            number = ("--brokers", str(after), *factor)
            killed(fresh, "scale", *number, "--throttle", "512k", after_s=chosen.uniform(0.3, 15))
            is_undone = bool(journal(fresh)) and not journal(fresh)["is_removing"] and turn % 4 == 0
            if is_undone:
                fresh.run("scale", "--abort", "--yes", check=True)
                assert len(brokers(fresh)) == before
            fresh.run("scale", *number, "--yes", check=True)
            assert throttles(fresh, range(1, after + 1)) == []
            assert journal(fresh) == {}
            if factor:
                has = {name: ([after], str(after - 1)) for name in ("test-topic", "__consumer_offsets")}
                eventually(lambda has=has: replicated(fresh) == has, within_s=30, what=f"{after} replicas")

    assert {name: fresh.pid(name) for name in pids} == pids
    assert writer.lost(read_log(fresh.bootstrap_servers, "test-topic")) == {}


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_twenty_killed_reassignments_are_finished_or_undone_by_the_next_call(fresh):
    chosen = random.Random(20261126)
    started(fresh)
    kills = 0
    with Writer(fresh.bootstrap_servers, "test-topic") as writer:
        fresh.run("scale", "--brokers", "3", "--yes", check=True)
        for turn in range(20):
            before, wanted = assigned(fresh), rotated(fresh)
            command = ("topics", "reassign", "test-topic", "--assignment", wanted, "--throttle", "512k")
            kills += killed(fresh, *command, after_s=chosen.uniform(0.3, 8))
            is_undone = bool(journal(fresh)) and turn % 3 == 0
            if is_undone and turn % 2 == 0:
                # The undoing is killed too.
                killed(fresh, "topics", "reassign", "--abort", after_s=chosen.uniform(0.3, 2))
            ending = ("--abort",) if is_undone else ("test-topic", "--assignment", wanted)
            fresh.run("topics", "reassign", *ending, "--yes", check=True)
            assert throttles(fresh, (1, 2, 3)) == []
            assert journal(fresh) == {}
            goal = before if is_undone else [[int(each) for each in one.split(":")] for one in wanted.split(",")]
            eventually(lambda goal=goal: assigned(fresh) == goal, within_s=10, what="every replica where it belongs")

    assert kills >= 10
    assert writer.lost(read_log(fresh.bootstrap_servers, "test-topic")) == {}
