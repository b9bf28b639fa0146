"""Lag while records are written, members come and go, and brokers are killed: never negative, never invented."""

import itertools
import threading
import time

import pytest
from confluent_kafka import Consumer, Producer

from kraftd.clock import SystemClock
from kraftd.health.lag.selection import selector
from kraftd.kafka.admin import KafkaAdmin
from kraftd.kafka.model import KafkaAccessError
from kraftd.observe.measurement import Measurement
from kraftd.plan.kinds import Selection
from kraftd.plan.plan import Topic
from tests.harness import eventually
from tests.kafka.broker.nodes import TIMEOUT_S, running_nodes

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

LOAD_S, SOAK_S = 40.0, 600.0
KILLED_EVERY_S, DOWN_S = 14.0, 6.0
"""In the shorter time too each broker is killed, and comes back."""
STAYS_S = 4.0
TOPIC = Topic("load", ((1, 2), (2, 1), (1, 2), (2, 1)))
GROUP = "load"


@pytest.fixture
def nodes(tmp_path):
    with running_nodes(tmp_path) as started:
        yield started


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
            leaves_s = time.monotonic() + STAYS_S
            while time.monotonic() < leaves_s and not self._stop.is_set():
                consumer.poll(0.1)
            consumer.close()


class Observer:
    """Measures as the daemon does, again and again."""

    def __init__(self, admin):
        self._admin = admin
        self._measurement = Measurement(admin, SystemClock(), selector(Selection()))

    def look(self):
        """Return the group's lag, its waits, and whether all ends could be read; None where it cannot be asked."""
        try:
            metadata = self._admin.metadata([TOPIC.name])
            groups = self._admin.groups(metadata.brokers).groups
            topics = [each for each in metadata.topics.values.values() if each.name == TOPIC.name]
            if GROUP not in groups or not topics:
                return None
            found = self._measurement.measure({GROUP: groups[GROUP]}, topics)
        except KafkaAccessError:
            return None
        if GROUP not in found.lags:
            return None
        return found.lags[GROUP], found.time_lags[GROUP], not found.offsets.ends.failures


class Kills:
    """One thread that kills one broker after the other, and starts each again."""

    def __init__(self, nodes):
        self._nodes = nodes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.count = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(90.0)

    def _work(self):
        for name in itertools.cycle(("broker-2", "broker-1")):
            if self._stop.wait(KILLED_EVERY_S - DOWN_S):
                return
            self._nodes.kill(name)
            self.count += 1
            self._stop.wait(DOWN_S)
            self._nodes.start(name)


@pytest.mark.parametrize("load_s", [LOAD_S, pytest.param(SOAK_S, marks=[pytest.mark.soak, pytest.mark.timeout(1200)])])
def test_lag_under_load_is_never_that_of_a_group_ahead_of_the_log(nodes, load_s):
    with KafkaAdmin(nodes.access, timeout_s=TIMEOUT_S) as admin:
        (outcome,) = admin.create_topics([TOPIC], limit_s=20.0)
        assert outcome.failure is None
        observer = Observer(admin)
        seen = []
        with Load(nodes.bootstrap_servers):
            eventually(observer.look)
            started_s = time.monotonic()
            with Kills(nodes) as kills:
                while time.monotonic() < started_s + load_s:
                    seen.append(observer.look())
                    time.sleep(0.02)
            complete = eventually(lambda: (found := observer.look()) and found[2] and found[0])

    looks = [found for found in seen if found is not None]
    assert len(looks) > load_s / 4
    assert kills.count >= load_s // (KILLED_EVERY_S * 1.5)
    for lag, time_lags, _ in looks:
        for partition in lag.partitions:
            assert not partition.ahead_of_end
            assert partition.lag is None or partition.lag >= 0
        # The topic was created with this test: no record can be older.
        assert all(0 <= age.at_least_s < load_s + 120 for age in time_lags.values())
    assert complete.total.lag is not None
    assert complete.total.committed > 0
