import json
import signal
import threading

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.harness import eventually
from tests.kafka.app_processes import Apps

pytestmark = pytest.mark.kafka


@pytest.fixture
def apps(cluster, tmp_path):
    own = Apps(tmp_path, cluster.bootstrap_servers, cluster.topic)
    yield own
    own.kill()


def values_at(cluster, places):
    """Return the value at each (partition, offset), read by a client of this test's own."""
    settings = {"bootstrap.servers": cluster.bootstrap_servers, "group.id": "test-reader", "enable.auto.commit": False}
    reader = Consumer(settings)
    try:
        lowest = {}
        for partition, offset in places:
            lowest[partition] = min(offset, lowest.get(partition, offset))
        reader.assign([TopicPartition(cluster.topic, partition, offset) for partition, offset in lowest.items()])
        missing, found = set(places), {}
        while missing:
            message = reader.poll(30)
            assert message is not None, f"not in the log: {sorted(missing)[:5]}"
            place = (message.partition(), message.offset())
            if place in missing:
                missing.discard(place)
                found[place] = message.value()
        return found
    finally:
        reader.close()


def test_what_is_posted_is_in_the_log_byte_for_byte_and_on_the_page_also_later(apps, cluster):
    producer, consumer = apps.start_ready("producer"), apps.start_ready("consumer")
    body = b' {"key" : "Hello Kafka!", "n": 23958446825181076828, "n": 1.10}\n'
    status, answer = producer.request("/send", body)
    sent = json.loads(answer)
    assert (status, sent["status"], sent["topic"]) == (200, "sent", cluster.topic)
    place = (sent["partition"], sent["offset"])
    assert values_at(cluster, [place]) == {place: body}

    def on_page(app):
        return f"{place[0]}:{place[1]}" in app.request("/")[1].decode()

    eventually(lambda: on_page(consumer))
    assert consumer.json("/api/messages?limit=1")["messages"][0]["value"] == body.decode()
    assert consumer.stop()[0] == 0
    again = apps.start_ready("consumer")
    assert on_page(again), "the group has nothing new to read, the page shows the end of the log"


@pytest.mark.perf
def test_an_idle_app_ends_within_a_second(apps):
    for module in ("producer", "consumer"):
        status, took_s = apps.start_ready(module).stop()
        assert status == 0
        assert took_s < 1.0


def test_a_killed_consumer_skips_nothing_and_a_stopped_one_repeats_nothing(apps, cluster):
    producer = apps.start_ready("producer")
    first = apps.start_ready("consumer")
    sent = producer.json("/send?partition=0", b'"before"')
    eventually(lambda: any(m["offset"] == sent["offset"] for m in first.json("/api/messages")["messages"]))
    first.stop(signal.SIGKILL)
    later = producer.json("/send?partition=0", b'"while away"')
    second = apps.start_ready("consumer")

    def places():
        return {(m["partition"], m["offset"]) for m in second.json("/api/messages?limit=1000")["messages"]}

    eventually(lambda: {(0, sent["offset"]), (0, later["offset"])} <= places())


@pytest.mark.perf
def test_every_200_is_in_the_log_when_the_producer_is_stopped_under_load(apps, cluster):
    producer = apps.start_ready("producer")
    acknowledged = {}
    stopped = threading.Event()

    def write(writer):
        for number in range(100_000):
            body = json.dumps(f"{writer}-{number}").encode()
            try:
                status, answer = producer.request("/send", body)
            except OSError:
                return
            if status != 200:
                return
            sent = json.loads(answer)
            acknowledged[sent["partition"], sent["offset"]] = body
            if len(acknowledged) > 200:
                stopped.set()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    assert stopped.wait(20)
    status, took_s = producer.stop()
    for writer in writers:
        writer.join(20)
    assert (status, took_s < 2.0) == (0, True)
    assert values_at(cluster, acknowledged) == acknowledged


@pytest.mark.perf
def test_without_kafka_the_producer_answers_soon_and_both_apps_still_end_at_once(apps):
    nowhere = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "KAFKA_DELIVERY_TIMEOUT_MS": "2000"}
    producer = apps.start("producer", **nowhere)
    consumer = apps.start("consumer", **nowhere)
    for app in (producer, consumer):
        eventually(app.is_alive)
        assert app.request("/readyz")[0] == 503
    status, answer = producer.request("/send", b"{}")
    problem = json.loads(answer)
    assert (status, problem["code"]) in {(503, "brokers_down"), (504, "delivery_timeout")}
    for app in (producer, consumer):
        assert app.stop()[1] < 2.0
