"""Lag while records are written, members come and go, and a broker is killed: never negative, never invented."""

import threading
import time

import pytest
from confluent_kafka import Consumer, Producer

from kraftd.broker.admin import KafkaAdmin
from kraftd.broker.errors import KafkaAccessError
from kraftd.spec.plan import Topic
from kraftd.watch.lag import group_lag
from tests.kafka.broker.nodes import TIMEOUT_S, Nodes, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

LOAD_S = 20.0
TOPIC = Topic("load", ((1, 2), (2, 1), (1, 2), (2, 1)))
GROUP = "load"


@pytest.fixture
def nodes(tmp_path):
    started = Nodes(tmp_path)
    try:
        started.start(*started.names)
        yield started
    finally:
        started.end()


class Load:
    """One thread that writes, and two that read and now and then leave their group."""

    def __init__(self, bootstrap_servers):
        self._settings = {"bootstrap.servers": bootstrap_servers}
        self._stop = threading.Event()
        work = [self._write, self._read, self._read]
        self._threads = [threading.Thread(target=target, daemon=True) for target in work]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(30.0)

    def _write(self):
        producer = Producer(self._settings)
        while not self._stop.wait(0.005):
            for _ in range(10):
                producer.produce(TOPIC.name, b"x")
            producer.poll(0)
        producer.flush(10)

    def _read(self):
        settings = self._settings | {
            "group.id": GROUP,
            "auto.offset.reset": "earliest",
            "auto.commit.interval.ms": 10,
        }
        while not self._stop.is_set():
            consumer = Consumer(settings)
            consumer.subscribe([TOPIC.name])
            leaves_s = time.monotonic() + 4.0
            while time.monotonic() < leaves_s and not self._stop.is_set():
                consumer.poll(0.1)
            consumer.close()


def observe(admin):
    """Return the group's lag and whether all of its parts could be read; None where no broker answers."""
    try:
        metadata = admin.metadata([TOPIC.name])
        groups = admin.groups(metadata.brokers).groups
    except KafkaAccessError:
        return None
    if GROUP not in groups or TOPIC.name not in metadata.topics.values:
        return None
    partitions = metadata.topics.values[TOPIC.name].partitions
    committed = admin.committed([groups[GROUP]])
    ends, starts = admin.end_offsets(partitions), admin.start_offsets(partitions)
    if GROUP not in committed.values:
        return None
    existing = {partition.key for partition in partitions}
    lag = group_lag(committed.values[GROUP], ends.values, starts.values, existing=existing)
    return lag, not ends.failures


def test_lag_under_load_is_never_that_of_a_group_ahead_of_the_log(nodes):
    with KafkaAdmin(nodes.bootstrap_servers.split(","), timeout_s=TIMEOUT_S) as admin:
        (outcome,) = admin.create_topics([TOPIC], limit_s=20.0)
        assert outcome.failure is None
        seen = []
        with Load(nodes.bootstrap_servers):
            wait_until(lambda: observe(admin))
            started_s = time.monotonic()
            kill_at_s = started_s + LOAD_S / 3
            while time.monotonic() < started_s + LOAD_S:
                if kill_at_s is not None and time.monotonic() > kill_at_s:
                    nodes.kill("broker-2")
                    kill_at_s = None
                seen.append(observe(admin))
                time.sleep(0.02)
            complete = wait_until(lambda: (found := observe(admin)) and found[1] and found[0])

    lags = [found[0] for found in seen if found is not None]
    assert len(lags) > 20
    for lag in lags:
        for partition in lag.partitions:
            assert not partition.ahead_of_end
            assert partition.lag is None or partition.lag >= 0
    assert complete.total.lag is not None
    assert complete.total.committed > 0
