"""Records, transactions and commits of other clients: the consumer app shows what can be shown, and goes on."""

import json
import struct

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from kafka import KafkaProducer

from tests.harness import eventually
from tests.kafka.app_processes import Apps, own_topic

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

POISON, DAMAGED, ABORTED, COMMITTED_ELSEWHERE = range(4)
"""The partitions, by what is in them."""
COORDINATOR_MOVES = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)
LENGTH_FROM = 8
BATCH_HEADER_BYTES = 12
RECORDS_FROM = 61
"""Behind the fields that the broker reads."""


class NotUtf8(str):
    """A header name that only a client in another language can write."""

    def encode(self, *_arguments: str) -> bytes:
        return b"caf\xe9"


def write(servers, topic, partition, values, **settings):
    """Write values as one batch and return its first offset."""
    offsets = []
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 100, "compression.type": "gzip", **settings})
    for value in values:
        producer.produce(topic, value, partition=partition, on_delivery=lambda _, sent: offsets.append(sent.offset()))
    assert producer.flush(20) == 0
    return min(offsets)


def write_poison(servers, topic):
    producer = KafkaProducer(bootstrap_servers=servers, compression_type="gzip")
    headers = [("good", b"1"), (NotUtf8("name"), b"2"), ("a\0b", b"3")]
    # A short value would not be compressed, and the broker would replace what is not UTF-8.
    producer.send(topic, b"x" * 600, partition=POISON, headers=headers).get(20)
    producer.close()


def abort(servers, topic, partition, number):
    producer = Producer({"bootstrap.servers": servers, "transactional.id": topic})
    producer.init_transactions(20)
    producer.begin_transaction()
    for _ in range(number):
        producer.produce(topic, b"aborted", partition=partition)
    producer.flush(20)
    producer.abort_transaction(20)


def damage(cluster, topic, partition, offset, *, has_length=True):
    """Change the records, or the length, of the batch at an offset on every disk, and return what the batch is then."""
    damaged = b""
    for path in cluster.state_dir.glob(f"data/*/{topic}-{partition}/*.log"):
        log, place = bytearray(path.read_bytes()), 0
        while place < len(log):
            first, length = struct.unpack(">qi", log[place : place + BATCH_HEADER_BYTES])
            following = place + BATCH_HEADER_BYTES + length
            if first == offset and not has_length:
                log[place + LENGTH_FROM : place + BATCH_HEADER_BYTES] = bytes(4)
            elif first == offset:
                at = slice(place + RECORDS_FROM, following)
                log[at] = bytes(byte ^ 0x5A for byte in log[at])
                damaged = bytes(log[place:following])
            place = following
        path.write_bytes(log)
    return damaged


def commit_with_foreign_metadata(servers, topic, group, partition, offset):
    client = Consumer({"bootstrap.servers": servers, "group.id": group, "enable.auto.commit": False})
    place = TopicPartition(topic, partition, offset, metadata="+1/nonode@nohost/<0.1>")
    client.commit(offsets=[place], asynchronous=False)
    client.close()


def behind(servers, topic, group):
    """Return how many offsets the group has not committed, by partition; none while its coordinator moves."""
    client = Consumer({"bootstrap.servers": servers, "group.id": group, "isolation.level": "read_uncommitted"})
    try:
        places = [TopicPartition(topic, number) for number in range(4)]
        committed = {found.partition: found.offset for found in client.committed(places, timeout=10)}
        ends = {place.partition: client.get_watermark_offsets(place, timeout=10)[1] for place in places}
        return {number: end - max(0, committed[number]) for number, end in ends.items()}
    except KafkaException as error:
        if error.args[0].code() not in COORDINATOR_MOVES:
            raise
        return {}
    finally:
        client.close()


@pytest.fixture(scope="module")
def odd(cluster, tmp_path_factory):
    """Apps on a topic with all of it."""
    servers = cluster.bootstrap_servers
    # An entry for each batch in the index of offsets, so that each can be found though the one before it has no length.
    topic = own_topic(servers, compression_type="producer", index_interval_bytes="0")
    apps = Apps(tmp_path_factory.mktemp("apps"), servers, topic)
    write_poison(servers, topic)
    values = [b"damaged" * 50] * 37
    firsts = [write(servers, topic, DAMAGED, values, **{"compression.type": kind}) for kind in ("gzip", "none")]
    batches = {first: damage(cluster, topic, DAMAGED, first) for first in firsts}
    damage(cluster, topic, DAMAGED, write(servers, topic, DAMAGED, [b"lost"] * 3), has_length=False)
    write(servers, topic, ABORTED, [b"readable"] * 3)
    abort(servers, topic, ABORTED, 120)
    for partition in (POISON, DAMAGED, COMMITTED_ELSEWHERE):
        write(servers, topic, partition, [b"after"])
    commit_with_foreign_metadata(servers, topic, apps.group, COMMITTED_ELSEWHERE, 1)
    yield apps, batches
    apps.kill()


def messages(app, query="limit=1000"):
    return {(found["partition"], found["offset"]): found for found in app.json(f"/api/messages?{query}")["messages"]}


def test_commands_name_what_is_damaged_and_read_all_else(cluster, tmp_path):
    servers, group, (whole, damaged) = cluster.bootstrap_servers, f"before-{tmp_path.name}", (0, 1)
    topic = own_topic(servers, compression_type="producer", index_interval_bytes="0")
    write(servers, topic, whole, [b"whole"] * 3)
    write(servers, topic, damaged, [b"first"])
    for kind, has_length in (("gzip", True), ("none", True), ("none", False)):
        first = write(servers, topic, damaged, [b"damaged" * 50] * 3, **{"compression.type": kind})
        damage(cluster, topic, damaged, first, has_length=has_length)
    write(servers, topic, damaged, [b"after"])
    commit_with_foreign_metadata(servers, topic, group, damaged, 1)
    target = str(tmp_path / "backups")

    tail = cluster.spawn("--json", "tail", topic, "--offset", "earliest")
    refused = cluster.run("--json", "backup", "create", target, "--topic", topic)
    made = cluster.run("--json", "backup", "create", target, "--topic", topic, "--skip-damaged", check=True)
    printed, _ = tail.communicate(timeout=60)

    assert (refused.status, refused.error["code"]) == (1, "unreadable_records")
    gap = refused.error["details"]["gap"]
    assert (gap["partition"], gap["begin"], gap["end"]) == (damaged, 1, 4)
    # The second one made a backup of its own: of the first nothing is left.
    assert len(list((tmp_path / "backups").glob("*Z"))) == 1
    assert (made.document["backup"]["records"], len(made.document["backup"]["gaps"])) == (5, 3)
    lines = printed.splitlines()
    records = [json.loads(line)["value"] for line in lines if line.startswith('{"topic"')]
    error = json.loads("\n".join(line for line in lines if not line.startswith('{"topic"')))["error"]
    assert sorted(records) == ["after", "first", "whole", "whole", "whole"]
    assert (tail.returncode, error["code"]) == (1, "unreadable_records")
    assert [(gap["begin"], gap["end"]) for gap in error["details"]["gaps"]] == [(1, 4), (4, 7), (7, 10)]
    explained = eventually(
        lambda: [line for line in facts(cluster, group) if "cannot be read from offset 1 to 3" in line]
    )
    assert f"--topic {topic} --partition {damaged} --to 4" in explained[0]


def facts(cluster, group):
    """Return what is said of a group's lag; nothing before the daemon has seen it."""
    done = cluster.run("--json", "explain", "lag", group)
    return [each["text"] for each in done.document["facts"]] if done.status == 0 else []


EVERYTHING = {
    *((POISON, offset) for offset in (0, 1)),
    *((DAMAGED, offset) for offset in (0, 37, 74, 77)),
    *((ABORTED, offset) for offset in (0, 1, 2)),
    (COMMITTED_ELSEWHERE, 0),
}


def await_everything(app):
    try:
        eventually(lambda: set(messages(app)) == EVERYTHING)
    except AssertionError as error:
        raise AssertionError(f"only {sorted(messages(app))}:\n{app.log.read_text()}") from error


def test_everything_readable_is_shown_and_the_rest_passed_also_after_a_restart(odd):
    apps, batches = odd
    first = apps.start_ready("consumer")
    await_everything(first)
    eventually(lambda: set(behind(apps.bootstrap_servers, apps.topic, apps.group).values()) == {0})
    metrics = first.request("/metrics")[1].decode()
    assert "\nkafka_consumer_undecodable_records_total 3.0\n" in metrics
    assert f'kafka_consumer_records_total{{partition="{COMMITTED_ELSEWHERE}"}}' not in metrics, "it was read again"
    assert first.stop()[0] == 0

    again = apps.start_ready("consumer")
    await_everything(again)
    assert again.is_alive()

    headers = messages(again)[POISON, 0]["headers"]
    assert [(found["name"], found["value"]) for found in headers] == [("good", "1"), ("caf\ufffd", "2"), ("a", "3")]
    assert again.request(f"/api/messages/{POISON}/0/raw") == (200, b"x" * 600)
    for offset in (0, 20, 36, 37, 73):
        status, answer = again.request(f"/api/messages/{DAMAGED}/{offset}/raw")
        assert (status, json.loads(answer)["code"]) == (502, "undecodable_record")
        batch = batches[offset // 37 * 37]
        assert again.request(f"/api/messages/{DAMAGED}/{offset}/batch") == (200, batch)
    for kind in ("raw", "batch"):
        status, answer = again.request(f"/api/messages/{DAMAGED}/75/{kind}")
        assert (status, json.loads(answer)["code"]) == (502, "undecodable_record")
    of_damaged = {place for place in EVERYTHING if place[0] == DAMAGED}
    assert set(messages(again, f"partition={DAMAGED}&offset=0")) == of_damaged
    assert set(messages(again, f"partition={ABORTED}&offset=2")) == {(ABORTED, 2)}
    assert messages(again, f"partition={ABORTED}&offset=5") == {}
