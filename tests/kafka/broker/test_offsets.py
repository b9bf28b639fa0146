"""Offsets on real brokers, and the lag that comes of them."""

import os
import subprocess
import time

import pytest
from confluent_kafka import Producer

from kraftd.health.lag.lag import group_lag
from kraftd.health.lag.time_lag import MIN_WIDTH_S, RELATIVE_ERROR, group_wait, looked_up, lookup_time_s, observed
from kraftd.health.lag.unread import Unread
from kraftd.host.environment import inherited_environment
from kraftd.kafka.log import IsolationLevel
from kraftd.render.kafka_tools import find_tool, tool_command
from kraftd.runtime.jars import JarSet
from tests.kafka.broker.library import (
    KafkaProducer,
    OffsetSpec,
    TopicPartition,
    UnknownTopicOrPartitionError,
    commit,
    offsets_at,
    partitions_of,
    produce,
    start_offsets,
)
from tests.kafka.runtimes import runtime_of

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

KAFKA_VERSION = "3.9.2"


def test_commits_ends_and_starts_are_exact(admin, nodes, topic, bare):
    produce(nodes, topic, {0: 5, 1: 3})
    commit(bare, "exact", {(topic.name, 0): 2, (topic.name, 1): 3})
    bare.delete_records({TopicPartition(topic.name, 0): 1})

    groups = admin.groups().groups
    partitions = partitions_of(admin, topic.name)

    committed = admin.committed([groups["exact"]]).values["exact"]
    assert committed == {(topic.name, 0): 2, (topic.name, 1): 3}
    assert admin.end_offsets(partitions).values == {(topic.name, index): end for index, end in enumerate([5, 3, 0, 0])}
    assert start_offsets(admin, partitions).values[topic.name, 0] == 1


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


def test_offsets_at_a_time_bracket_the_records_age(admin, nodes, topic):
    produce(nodes, topic, {0: 2})
    partitions = partitions_of(admin, topic.name)
    now_s = time.time()

    assert offsets_at(admin, partitions, now_s - 60.0).values == {(topic.name, 0): 0}
    assert offsets_at(admin, partitions, now_s + 60.0).values == {}


def begin(producer, topic, records):
    producer.begin_transaction()
    for _ in range(records):
        producer.produce(topic.name, b"x", partition=0)
    producer.flush(20)


def test_a_lag_counts_what_transactions_leave_to_read_and_the_open_one_is_named(admin, nodes, topic):
    producer = Producer({"bootstrap.servers": nodes.bootstrap_servers, "transactional.id": topic.name})
    producer.init_transactions(20)
    begin(producer, topic, 3)
    producer.commit_transaction(20)
    begin(producer, topic, 2)
    producer.abort_transaction(20)
    begun_s = time.time()
    begin(producer, topic, 4)
    partitions = partitions_of(admin, topic.name)
    key = (topic.name, 0)

    end = admin.end_offsets(partitions).values[key]
    stable = admin.end_offsets(partitions, IsolationLevel.READ_COMMITTED).values[key]
    found = {offset: admin.batches_from([(partitions[0], offset)]).values[key] for offset in (0, 2, 3, 5, stable)}
    lags = {offset: Unread(offset).after(each, offset, end, 1).lag(offset, end) for offset, each in found.items()}
    opened = admin.open_transactions(partitions, admin.brokers()).values
    producer.abort_transaction(20)

    # Three records and a marker, two aborted ones and a marker, four that are open.
    assert (end, stable) == (11, 7)
    assert lags == {0: 3, 2: 1, 3: 0, 5: 0, stable: 0}
    assert list(opened) == [key]
    assert (opened[key].start_offset, opened[key].transactional_id) == (7, topic.name)
    assert begun_s - 5 < opened[key].began_at_s < time.time() + 1


def test_log_directories_tell_their_size_and_room(admin, nodes, topic):
    produce(nodes, topic, {0: 5})

    found = admin.log_dirs(admin.brokers())

    assert (set(found.values), found.failures) == ({1, 2}, {})
    for (log_dir,) in found.values.values():
        assert 0 < log_dir.usable_bytes < log_dir.total_bytes
        assert log_dir.failure is None
    assert found.values[1][0].replica_bytes[topic.name, 0] > 0


def test_lag_is_that_of_kafkas_own_tool(admin, nodes, topic, bare):
    produce(nodes, topic, {0: 9, 1: 4, 2: 6})
    commit(bare, "lag-behind", {(topic.name, 0): 2, (topic.name, 1): 4})
    commit(bare, "lag-overtaken", {(topic.name, 2): 1, (topic.name, 3): 0})
    bare.delete_records({TopicPartition(topic.name, 2): 3})

    groups = admin.groups().groups
    committed = admin.committed(groups.values()).values
    partitions = partitions_of(admin, topic.name)
    ends, starts = admin.end_offsets(partitions).values, start_offsets(admin, partitions).values
    lags = {name: group_lag(committed[name], ends, starts, existing=ends.keys()) for name in committed}

    ours = {
        (name, lag.topic, lag.partition): lag.offset_lag
        for name in ("lag-behind", "lag-overtaken")
        for lag in lags[name].partitions
    }
    assert ours == _lag_by_tool(nodes.bootstrap_servers, "lag-behind", "lag-overtaken")
    assert [lag.lag for lag in lags["lag-overtaken"].partitions] == [3, 0]


def _lag_by_tool(bootstrap_servers, *groups):
    """Return what consumer-groups says, by group, topic and partition."""
    runtime = runtime_of(KAFKA_VERSION, JarSet.TOOLS)
    tool = find_tool("consumer-groups", KAFKA_VERSION)
    given = ["--describe", *(part for group in groups for part in ("--group", group))]
    command = tool_command(
        tool,
        tool.arguments(given, bootstrap_servers),
        java=runtime.java.executable,
        java_major=runtime.java.major,
        classpath=runtime.classpath,
        logging_option="-Dunused=true",
    )
    output = subprocess.run(
        command, env=inherited_environment(os.environ), capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in output.splitlines() if line.startswith(groups)]
    return {(row[0], row[1], int(row[2])): int(row[5]) for row in rows}


def test_the_age_of_an_unread_record_is_found_by_asking_for_times_alone(admin, nodes, topic):
    ages_s = [86_400.0, 7200.0, 7000.0, 600.0, 30.0]
    written_s = time.time()
    producer = KafkaProducer(bootstrap_servers=nodes.bootstrap_servers.split(","))
    for age_s in ages_s:
        producer.send(topic.name, b"x", partition=0, timestamp_ms=round((written_s - age_s) * 1000)).get(20)
    producer.close()
    (partition, *_) = partitions_of(admin, topic.name)

    timeline = observed((), written_s, len(ages_s))
    questions = 0
    while True:
        found = [group_wait(timeline, committed, len(ages_s), 0, written_s) for committed in range(len(ages_s) + 1)]
        asked_s = lookup_time_s(found, written_s)
        if asked_s is None:
            break
        answer = offsets_at(admin, [partition], asked_s).values.get(partition.key)
        timeline = looked_up(timeline, asked_s, answer, len(ages_s))
        questions += 1

    for age, true_s in zip(found, [*ages_s, 0.0], strict=True):
        assert age.at_least_s <= true_s <= age.at_most_s
        assert age.at_most_s - age.at_least_s <= 2 * max(MIN_WIDTH_S, RELATIVE_ERROR * age.at_most_s)
    assert questions < 40
