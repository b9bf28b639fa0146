"""A third broker comes to a cluster of two: what exists stays as it is, and as available as it was."""

import contextlib
import os
import signal

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from tests.harness import brokers_alone, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

LIMIT_S = 40
"""Longer than a dead broker's session, which is how long its partitions have no new leader."""

ORDERS = '[[topic]]\nname = "orders"\n'


def test_a_third_broker_costs_no_topic_of_two_replicas_its_writes_when_one_dies(fresh):
    # supervisord would continue the daemon that is frozen below.
    fresh.settings["watchdog.enabled"] = "false"
    fresh.config = fresh.state_dir.parent / "kraftd.toml"
    fresh.config.write_text(brokers_alone(2))
    fresh.start()
    admin = AdminClient({"bootstrap.servers": fresh.bootstrap_servers, "log_level": 0})
    admin.create_topics([NewTopic("by-a-client", 4)])["by-a-client"].result()
    use(fresh)
    assert fresh.stop("--json").document["unclean"] == []

    fresh.config.write_text(brokers_alone(3) + ORDERS)
    notes = fresh.start("--json").document["notes"]
    assert [note for note in notes if note.startswith("topic ")] == []
    assert [min_isr(admin, topic) for topic in ("test-topic", "by-a-client")] == ["1", "1"]
    assert [min_isr(admin, topic) for topic in ("__consumer_offsets", "__transaction_state")] == ["1", "1"]
    assert min_isr(admin, "orders") == "2"

    with frozen(fresh.pid("kraftd")):
        fresh.kill("broker-2")
        use(fresh)


@contextlib.contextmanager
def frozen(pid):
    """Keep the daemon from starting again what the test kills."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def use(cluster):
    """Write to every partition with acks=all, in a transaction too, and commit a group's offsets."""
    writes = {
        "bootstrap.servers": cluster.bootstrap_servers,
        "acks": "all",
        "delivery.timeout.ms": LIMIT_S * 1000,
        "log_level": 0,
    }
    write(Producer(writes))
    transactional = Producer({**writes, "transactional.id": "t", "transaction.timeout.ms": LIMIT_S * 1000})
    transactional.init_transactions(LIMIT_S)
    transactional.begin_transaction()
    write(transactional)
    transactional.commit_transaction(LIMIT_S)
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap_servers, "group.id": "g", "log_level": 0})
    try:
        (committed,) = consumer.commit(offsets=[TopicPartition("test-topic", 0, 1)], asynchronous=False)
        assert committed.error is None
    finally:
        consumer.close()


def write(producer):
    refused = []
    for topic in ("test-topic", "by-a-client"):
        for partition in range(4):
            producer.produce(
                topic, b"x", partition=partition, on_delivery=lambda error, _: refused.append(error) if error else None
            )
    assert producer.flush(LIMIT_S) == 0
    assert refused == []


def min_isr(admin, topic):
    return eventually(lambda: told_min_isr(admin, topic), within_s=20, what=f"the settings of {topic}")


def told_min_isr(admin, topic):
    """Return what the brokers say; None while librdkafka replaces its connection to one."""
    (described,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    try:
        return described.result()["min.insync.replicas"].value
    except KafkaException:
        return None
