"""The apps while Kafka breaks: what an answer says is true, and nothing that was acknowledged is lost."""

import json
import signal
import time

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.harness import eventually
from tests.kafka.app_processes import Apps, own_topic
from tests.kafka.writers import PostingWriters, read_log

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


@pytest.fixture
def broken(cluster, tmp_path):
    """The cluster, which may be broken and is whole again afterwards, and apps on a topic of their own."""
    apps = Apps(tmp_path, cluster.bootstrap_servers, own_topic(cluster.bootstrap_servers))
    yield cluster, apps
    apps.kill()
    eventually(lambda: cluster.status()["ready"], within_s=60)


def test_every_answer_is_true_while_a_broker_is_killed_and_all_are_away(broken):
    cluster, apps = broken
    producer = apps.start_ready("producer")
    consumer = apps.start_ready("consumer")
    writers = PostingWriters(producer)
    writers.start()
    eventually(lambda: len(writers.acknowledged) > 200)

    cluster.kill("broker-1")
    before = len(writers.acknowledged)
    eventually(lambda: len(writers.acknowledged) > before + 500, within_s=40)

    for name in ("broker-1", "broker-2"):
        cluster.kill(name, signal.SIGSTOP)
    time.sleep(8)
    assert producer.request("/healthz")[0] == 200
    for name in ("broker-1", "broker-2"):
        cluster.kill(name, signal.SIGCONT)
    before = len(writers.acknowledged)
    eventually(lambda: len(writers.acknowledged) > before + 500, within_s=60)
    writers.stop()

    log = read_log(cluster.bootstrap_servers, apps.topic)
    writers.check(log)
    last = producer.json("/send", b'"last"')
    eventually(lambda: (last["partition"], last["offset"]) in places(consumer), within_s=30)


def places(consumer):
    return {(m["partition"], m["offset"]) for m in consumer.json("/api/messages?limit=1000")["messages"]}


@pytest.mark.perf
def test_a_request_is_answered_in_time_while_all_brokers_are_away(broken):
    cluster, apps = broken
    producer = apps.start_ready("producer", KAFKA_DELIVERY_TIMEOUT_MS="3000")
    assert producer.request("/send", b"1")[0] == 200
    for name in ("broker-1", "broker-2"):
        cluster.kill(name, signal.SIGSTOP)
    began_s = time.monotonic()
    status, answer = producer.request("/send", b'"while away"')
    took_s = time.monotonic() - began_s
    problem = json.loads(answer)
    assert (status, problem["code"]) in {(504, "delivery_timeout"), (503, "brokers_down")}
    assert problem["retriable"] is True
    # librdkafka looks once a second for requests that timed out, and once a second for records that did.
    assert took_s < 3 + 2 + 0.5
    for name in ("broker-1", "broker-2"):
        cluster.kill(name, signal.SIGCONT)
    eventually(lambda: producer.request("/send", b'"back"')[0] == 200, within_s=40)


def test_a_topic_that_is_deleted_and_made_again_is_written_and_shown_again(cluster, tmp_path):
    topic = f"again-{time.monotonic_ns()}"
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
    make(admin, topic)
    apps = Apps(tmp_path, cluster.bootstrap_servers, topic)
    try:
        producer, consumer = apps.start_ready("producer"), apps.start_ready("consumer")
        for _ in range(5):
            first = producer.json("/send?partition=0", b'"first life"')
        eventually(lambda: (0, first["offset"]) in places(consumer))
        eventually(lambda: committed_offset(cluster, apps) == 5)

        for done in admin.delete_topics([topic]).values():
            done.result(20)
        eventually(lambda: producer.request("/readyz")[0] == 503, within_s=30)
        # The leader of a partition may learn of the deletion after the broker that was asked for the topic.
        eventually(lambda: refusal(producer) == (404, "not_written"), within_s=20, what="no broker takes a record")

        make(admin, topic)
        eventually(lambda: producer.request("/send?partition=0", b'"second life"')[0] == 200, within_s=40)
        eventually(lambda: "second life" in consumer.request("/")[1].decode(), within_s=40)
        # The log is shorter than what was committed of the one before.
        eventually(lambda: committed_offset(cluster, apps) in {1, 2}, within_s=20)
    finally:
        apps.kill()


def refusal(producer):
    """Return the status and the outcome of a record that is refused; no outcome where it is not."""
    status, answer = producer.request("/send", b"1")
    return status, json.loads(answer).get("outcome")


def committed_offset(cluster, apps):
    """Return what the group has committed of partition 0."""
    asking = Consumer({"bootstrap.servers": cluster.bootstrap_servers, "group.id": apps.group})
    try:
        return asking.committed([TopicPartition(apps.topic, 0)], timeout=10)[0].offset
    except KafkaException:
        return None
    finally:
        asking.close()


def received(consumer):
    """Return how many records came to the member, not counting those that are only read back for the page."""
    lines = consumer.request("/metrics")[1].decode().splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("kafka_consumer_records_total"))


@pytest.mark.parametrize(
    ("metadata", "expected"), [("kraftd:an-earlier-incarnation", 3), ("an-earlier-incarnation", 1), ("", 1)]
)
def test_only_an_offset_of_an_earlier_incarnation_of_the_topic_is_not_used(cluster, tmp_path, metadata, expected):
    apps = Apps(tmp_path, cluster.bootstrap_servers, own_topic(cluster.bootstrap_servers))
    late = Consumer({"bootstrap.servers": cluster.bootstrap_servers, "group.id": apps.group})
    try:
        producer = apps.start_ready("producer")
        for number in range(3):
            producer.json("/send?partition=0", b"%d" % number)
        late.commit(offsets=[TopicPartition(apps.topic, 0, 2, metadata=metadata)], asynchronous=False)
        consumer = apps.start_ready("consumer")
        producer.json("/send?partition=0", b'"last"')
        eventually(lambda: received(consumer) >= expected + 1)
        assert received(consumer) == expected + 1
    finally:
        late.close()
        apps.kill()


def test_a_topic_that_is_made_again_at_once_loses_no_record(cluster, tmp_path):
    topic = f"again-{time.monotonic_ns()}"
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
    make(admin, topic)
    apps = Apps(tmp_path, cluster.bootstrap_servers, topic)
    try:
        producer, consumer = apps.start_ready("producer"), apps.start_ready("consumer")
        for _ in range(2):
            producer.json("/send?partition=0", b'"first life"')
        eventually(lambda: received(consumer) == 2)
        for done in admin.delete_topics([topic]).values():
            done.result(20)
        make(admin, topic)
        for number in range(3):
            eventually(
                lambda n=number: producer.request("/send?partition=0", b'"second life %d"' % n)[0] == 200, within_s=40
            )
        eventually(lambda: all(f"second life {n}" in consumer.request("/")[1].decode() for n in range(3)), within_s=40)
        eventually(lambda: received(consumer) >= 5)
    finally:
        apps.kill()


def make(admin, topic):
    for done in admin.create_topics([NewTopic(topic, 2, 2)]).values():
        done.result(20)


@pytest.mark.soak
def test_every_answer_is_true_while_all_brokers_are_away_for_a_minute(broken):
    cluster, apps = broken
    producer, consumer = apps.start_ready("producer"), apps.start_ready("consumer")
    writers = PostingWriters(producer)
    writers.start()
    eventually(lambda: len(writers.acknowledged) > 200)
    for name in ("broker-1", "broker-2"):
        cluster.kill(name, signal.SIGSTOP)
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        assert producer.request("/healthz")[0] == consumer.request("/healthz")[0] == 200
        time.sleep(1)
    assert producer.request("/readyz")[0] == 503
    for name in ("broker-1", "broker-2"):
        cluster.kill(name, signal.SIGCONT)
    before = len(writers.acknowledged)
    eventually(lambda: len(writers.acknowledged) > before + 200, within_s=60)
    writers.stop()
    assert set(writers.unknown.values()) | set(writers.not_written.values()) <= {"delivery_timeout", "brokers_down"}
    writers.check(read_log(cluster.bootstrap_servers, apps.topic))
    last = producer.json("/send", b'"last"')
    eventually(lambda: (last["partition"], last["offset"]) in places(consumer), within_s=30)


def test_records_in_flight_when_kafka_is_away_are_failed_within_the_stop(broken):
    cluster, apps = broken
    producer = apps.start_ready("producer", APP_DRAIN_SECONDS="1")
    writers = PostingWriters(producer)
    writers.start()
    eventually(lambda: len(writers.acknowledged) > 50)
    for name in ("broker-1", "broker-2"):
        cluster.kill(name, signal.SIGSTOP)
    time.sleep(0.5)
    status, took_s = producer.stop()
    writers.stop()
    assert status == 0
    assert took_s < 15
    for name in ("broker-1", "broker-2"):
        cluster.kill(name, signal.SIGCONT)
    writers.check(read_log(cluster.bootstrap_servers, apps.topic))
