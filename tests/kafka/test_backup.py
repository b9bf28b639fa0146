"""Backups of the session's cluster, and their restores into it, interrupted ones too."""

import json
import random
import shutil
import signal
import time

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.harness import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

TOPIC, BULK, GROUP = "backup-odd", "backup-bulk", "backup-group"
BULK_RECORDS = 120_000
PARTITIONS = 3
TRIES = 3
"""How often a command is begun that is to be killed: on a slow machine it may end before the moment is seen."""


@pytest.fixture(scope="module")
def admin(cluster):
    client = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
    yield client
    for future in client.delete_topics([TOPIC, BULK]).values():
        future.exception()


@pytest.fixture(scope="module")
def filled(cluster, admin):
    """Two topics: one of few odd records, with transactions; one with so many that a command takes a second."""
    new = [NewTopic(TOPIC, PARTITIONS, 2, config={"retention.ms": "-1"}), NewTopic(BULK, PARTITIONS, 2)]
    for future in admin.create_topics(new).values():
        future.result()
    write_odd_records(cluster)
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers, "queue.buffering.max.messages": BULK_RECORDS})
    values = [{"value": b"%0200d" % number} for number in range(BULK_RECORDS)]
    for partition in range(PARTITIONS):
        producer.produce_batch(BULK, values[partition::PARTITIONS], partition)
    assert producer.flush(60) == 0
    commit(admin, {0: 4, 1: 2})
    # The coordinator writes the last marker after it has answered.
    eventually(lambda: sum(map(len, read(cluster, TOPIC).values())) == 8, what="every transaction has ended")
    return cluster


def write_odd_records(cluster):
    plain = Producer({"bootstrap.servers": cluster.bootstrap_servers})
    odd = [
        (b"k", b"v", [("h", b"\x00\xff"), ("h", None)]),
        (None, b"", []),
        (b"", None, []),
        (b"\xff", b"\x00" * 9, []),
    ]
    for number, (key, value, headers) in enumerate(odd):
        plain.produce(TOPIC, value, key, 0, timestamp=1_600_000_000_000 + number, headers=headers)
    assert plain.flush(30) == 0
    transactional = Producer({"bootstrap.servers": cluster.bootstrap_servers, "transactional.id": "backup-test"})
    transactional.init_transactions(30)
    for end in (transactional.commit_transaction, transactional.abort_transaction, transactional.commit_transaction):
        transactional.begin_transaction()
        for partition in (0, 1):
            transactional.produce(TOPIC, end.__name__.encode(), b"t", partition, timestamp=1_600_000_001_000)
        transactional.flush(30)
        end(30)


def commit(admin, offsets):
    partitions = [TopicPartition(TOPIC, partition, offset) for partition, offset in offsets.items()]
    admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP, partitions)])[GROUP].result()


def committed(admin):
    found = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP)])[GROUP].result().topic_partitions
    return {each.partition: each.offset for each in found if each.topic == TOPIC}


def read(cluster, topic):
    """Return every record that is not aborted, by partition: key, value, headers, time and, last, the offset."""
    settings = {"group.id": "backup-reader", "enable.auto.commit": False, "enable.partition.eof": True}
    consumer = Consumer(
        {"bootstrap.servers": cluster.bootstrap_servers, "isolation.level": "read_committed", **settings}
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    found = {partition: [] for partition in range(PARTITIONS)}
    ended, deadline_s = set(), time.monotonic() + 30
    while len(ended) < PARTITIONS and time.monotonic() < deadline_s:
        for each in consumer.consume(5000, 0.2):
            if each.error() is None:
                facts = (each.key(), each.value(), each.headers(), each.timestamp(), each.offset())
                found[each.partition()].append(facts)
            elif each.error().code() == KafkaError._PARTITION_EOF:
                ended.add(each.partition())
    consumer.close()
    return found


def without_offsets(records):
    return {partition: [each[:-1] for each in found] for partition, found in records.items()}


def delete(cluster, admin, *topics):
    for future in admin.delete_topics(list(topics)).values():
        future.result()
    eventually(
        lambda: not any(set(topics) & set(each.topics) for each in cluster.metadata()), what="no broker knows them"
    )


def killed(process, is_time):
    """Kill a command once it is time; return whether it was killed, and had not ended before."""
    try:
        eventually(lambda: process.poll() is not None or is_time(), within_s=60, what="the moment to kill")
    finally:
        process.kill()
        output, complaint = process.communicate(timeout=30)
    assert process.returncode in (0, -signal.SIGKILL), output + complaint
    return process.returncode != 0


def test_a_topic_is_restored_record_for_record_with_its_settings_and_commits(filled, admin, tmp_path):
    target = str(tmp_path / "t")
    before = read(filled, TOPIC)
    created = filled.run("backup", "create", target, "--topic", TOPIC, "--json", check=True).document
    refused = filled.run("backup", "restore", target, "--yes", "--json")
    delete(filled, admin, TOPIC)

    restored = filled.run("backup", "restore", target, "--yes", "--json", check=True).document

    assert created["backup"]["records"] == restored["written"] == 8
    assert (refused.status, refused.error["code"]) == (8, "topic_not_empty")
    after = read(filled, TOPIC)
    assert without_offsets(after) == without_offsets(before)
    assert [each[-1] for each in after[0]] == list(range(6))
    # Partition 1 had a record, a marker, the aborted record, its marker: offset 2 was before the second record.
    assert committed(admin) == {0: 4, 1: 1}
    described = filled.run("kafka", "topics", "--describe", "--topic", TOPIC, check=True).stdout
    assert "retention.ms=-1" in described
    assert "cleanup.policy" not in described
    assert filled.run("backup", "restore", target, "--topic", "nothing", "--json").status == 4


def test_an_incremental_backup_reads_only_what_is_new(filled, tmp_path):
    target = str(tmp_path / "t")
    full = filled.run("backup", "create", target, "--topic", TOPIC, "--json", check=True).document["backup"]
    producer = Producer({"bootstrap.servers": filled.bootstrap_servers})
    producer.produce(TOPIC, b"new", partition=2)
    assert producer.flush(30) == 0

    second = filled.run("backup", "create", target, "--topic", TOPIC, "--incremental", "--json", check=True).document

    assert (second["backup"]["parent"], second["backup"]["records"]) == (full["id"], 1)
    verified = filled.run("backup", "verify", target, "--json", check=True).document
    assert verified["records"] == full["records"] + 1
    assert filled.run("backup", "prune", target, "--keep", "1").status == 0


@pytest.mark.timeout(600)
def test_a_schedule_makes_whole_backups_also_where_the_daemon_is_killed(filled, tmp_path):
    target, settings = tmp_path / "t", filled.settings
    scheduled = {"schedule": "every 1s", "target": target, "topics": f'["{TOPIC}"]'}
    filled.settings = {**settings, **{f"backup.{key}": value for key, value in scheduled.items()}}
    recorded = filled.state_dir / "backups.json"
    try:
        filled.run("apply", "--json", check=True)
        eventually(lambda: backup_names(target), within_s=180, what="the first scheduled backup")
        eventually(lambda: json.loads(recorded.read_text())["ended_s"] is None, within_s=180, what="one under way")
        filled.kill("kraftd")
        before = backup_names(target)
        eventually(lambda: backup_names(target) - before, within_s=180, what="a backup of the next daemon")
        eventually(lambda: health_backup(filled)["outcome"] == "succeeded", within_s=180, what="its result")
    finally:
        filled.settings = settings
        filled.run("apply", "--json", check=True)

    verified = filled.run("backup", "verify", str(target), "--json", check=True).document
    operations = filled.run("operations", "--json", check=True).document["operations"]
    assert ("scheduled backup", "done", "succeeded") in {
        (each["operation"], each["state"], each["outcome"]) for each in operations
    }
    assert set(verified["backups"]) == backup_names(target)
    assert verified["records"] > 0
    assert health_backup(filled) is None


def backup_names(target):
    return {path.parent.name for path in target.glob("*Z*/manifest.json") if not path.parent.name.endswith(".partial")}


def health_backup(cluster):
    """Return the scheduled backups as the daemon tells them, once it does."""
    return json.loads(eventually(lambda: cluster.get("kraftd", "/health")[1], within_s=60, what="health"))["backup"]


def test_killed_backups_and_restores_are_finished_by_the_next_call(filled, admin, tmp_path):
    target = tmp_path / "t"
    before = read(filled, BULK)
    arguments = ("backup", "create", str(target), "--topic", BULK, "--json")

    def begun():
        shutil.rmtree(target, ignore_errors=True)
        return filled.spawn(*arguments)

    assert any(killed(begun(), lambda: list(target.glob("*.partial/topics/*/*/*.records"))) for _ in range(TRIES))
    assert filled.run("backup", "list", str(target), "--json", check=True).document["backups"] == []

    filled.run(*arguments, check=True)

    assert [path.name.endswith("Z") for path in target.iterdir() if path.is_dir()] == [True]
    restore = ("backup", "restore", str(target), "--yes", "--json")

    def begun_anew():
        delete(filled, admin, BULK)
        return filled.spawn(*restore)

    assert any(killed(begun_anew(), lambda: 0 < written(filled) < BULK_RECORDS) for _ in range(TRIES))
    other = filled.run("backup", "restore", str(tmp_path / "other"), "--yes", "--json")
    resumption = filled.run(*restore, check=True)
    resumed = resumption.document
    assert other.status in (4, 8)
    assert resumed["resumed"] is True
    assert "100% of" in resumption.stderr
    assert 0 < resumed["written"] <= BULK_RECORDS
    assert without_offsets(read(filled, BULK)) == without_offsets(before)


@pytest.mark.soak
@pytest.mark.timeout(1500)
def test_twenty_restores_killed_at_random_moments_are_finished_by_the_next_call(filled, admin, tmp_path):
    chosen = random.Random(20261126)
    target = str(tmp_path / "t")
    filled.run("backup", "create", target, "--topic", BULK, "--topic", TOPIC, "--json", check=True)
    before = {topic: without_offsets(read(filled, topic)) for topic in (BULK, TOPIC)}
    arguments = ("backup", "restore", target, "--yes", "--json")
    began_s = time.monotonic()
    delete(filled, admin, BULK, TOPIC)
    filled.run(*arguments, check=True)
    whole_s = time.monotonic() - began_s
    kills = 0
    for _ in range(20):
        delete(filled, admin, BULK, TOPIC)
        # Some are killed again, so that a restore that was interrupted is interrupted too.
        for _ in range(chosen.choice((1, 1, 2, 3))):
            command = filled.spawn(*arguments)
            time.sleep(chosen.uniform(0.2, whole_s))
            command.kill()
            command.communicate()
            kills += command.returncode == -signal.SIGKILL
        ended = filled.run(*arguments)
        assert ended.status == 0 or ended.error["code"] == "topic_not_empty", ended
        assert {topic: without_offsets(read(filled, topic)) for topic in (BULK, TOPIC)} == before
        assert committed(admin) == {0: 4, 1: 1}
    assert kills >= 20


def written(cluster):
    """Return how many records the bulk topic has."""
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap_servers, "group.id": "backup-reader"})
    try:
        if BULK not in consumer.list_topics(timeout=10).topics:
            return 0
        return sum(
            consumer.get_watermark_offsets(TopicPartition(BULK, partition), 5)[1] for partition in range(PARTITIONS)
        )
    except KafkaException:
        return 0  # its leaders are not known yet
    finally:
        consumer.close()
