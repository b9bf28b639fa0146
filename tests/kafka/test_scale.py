"""Brokers come and go under a writer: nothing is lost, and what was killed is finished or undone by the next call."""

import json
import os
import random
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
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


def killed(cluster, number, *arguments, after_s=0.0):
    """Begin a scale and kill it, by default as soon as it has throttled its copies."""
    command = cluster.spawn("scale", "--brokers", str(number), "--yes", *arguments)
    if after_s:
        time.sleep(after_s)
    else:
        eventually(
            lambda: journal(cluster).get("broker_throttles") or command.poll() is not None,
            within_s=150,
            what="the throttle in the journal",
        )
        assert command.poll() is None, command.communicate()
        eventually(lambda: throttles(cluster, (1, 2, 3)), within_s=10, what="the throttle")
    command.kill()
    command.communicate()


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
    """Return the numbers of replicas that partitions have, and min.insync.replicas, of each topic that is not ours."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0})
    topics = {name: topic for name, topic in admin.list_topics(timeout=10).topics.items() if name != "__kraftd_probe"}
    resources = {name: ConfigResource(ResourceType.TOPIC, name) for name in topics}
    answers = admin.describe_configs(list(resources.values()))
    return {
        name: (
            sorted({len(partition.replicas) for partition in topic.partitions.values()}),
            answers[resources[name]].result()["min.insync.replicas"].value,
        )
        for name, topic in topics.items()
    }


def brokers(cluster):
    return [node["name"] for node in cluster.status()["nodes"] if node["name"].startswith("broker-")]


def throttles(cluster, node_ids):
    """Return the settings that throttle replication now."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0})
    # A broker is asked itself, and librdkafka waits in vain for one that the other did not know yet.
    eventually(lambda: set(node_ids) <= set(admin.list_topics(timeout=10).brokers), within_s=20, what="all are known")
    resources = [ConfigResource(ResourceType.BROKER, str(node_id)) for node_id in node_ids]
    resources.append(ConfigResource(ResourceType.TOPIC, "test-topic"))
    answers = [admin.describe_configs([each])[each].result() for each in resources]
    return [
        (name, entry.value)
        for answer in answers
        for name, entry in answer.items()
        if ".replication.throttled." in name and entry.value not in ("", None, UNLIMITED)
    ]


def test_two_brokers_become_three_and_two_again_under_a_writer_also_after_a_kill(fresh):
    pids = started(fresh)
    with Writer(fresh.bootstrap_servers, "test-topic") as writer:
        killed(fresh, 3, "--replication-factor", "3", "--throttle", "256k")
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
        eventually(lambda: evenly(placed(fresh)) == ([2, 3, 3], [1, 1, 2]), within_s=10, what="an even placement")

        fresh.run("scale", "--brokers", "2", "--yes", check=True)
        eventually(
            lambda: [replicas for replicas, _ in placed(fresh)] == [4, 4, 0], within_s=10, what="no third broker"
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
            killed(fresh, after, "--throttle", "512k", after_s=chosen.uniform(0.3, 15))
            is_undone = bool(journal(fresh)) and not journal(fresh)["is_removing"] and turn % 4 == 0
            if is_undone:
                fresh.run("scale", "--abort", "--yes", check=True)
                assert len(brokers(fresh)) == before
            fresh.run("scale", "--brokers", str(after), "--yes", check=True)
            assert throttles(fresh, range(1, after + 1)) == []
            assert journal(fresh) == {}

    assert {name: fresh.pid(name) for name in pids} == pids
    assert writer.lost(read_log(fresh.bootstrap_servers, "test-topic")) == {}
