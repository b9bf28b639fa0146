"""A cluster that serves follows its configuration, and is restarted node by node, while records are written."""

import contextlib
import signal
import threading
import time
from collections import defaultdict

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from tests.harness import brokers_alone, eventually
from tests.kafka.writers import Writer, read_log

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

TOPIC = "test-topic"
NODES = ("broker-1", "broker-2", "broker-3", "controller-101")
WITHOUT_LEADER_S = 10.0
"""A leader moves in milliseconds; the brokers' metadata and this machine may be late."""

SETTING = '[broker.config]\n"log.retention.ms" = 7200000\n'


def test_a_broker_joins_a_setting_changes_and_a_killed_rolling_restart_goes_on(fresh):
    fresh.config = fresh.state_dir.parent / "kraftd.toml"
    fresh.config.write_text(brokers_alone(2, TOPIC))
    fresh.start()
    before = pids(fresh, "broker-1", "broker-2", "controller-101")

    fresh.config.write_text(brokers_alone(3, TOPIC) + SETTING)
    assert " apply'" in str(fresh.start("--json").document["notes"])
    applied = fresh.run("apply", "--json", check=True).document
    assert {each["name"]: each["action"] for each in applied["changes"]} == {
        "broker-1": "settings",
        "broker-2": "settings",
        "broker-3": "start",
        "controller-101": "next_start",
        "kraftd": "restart",
    }
    assert pids(fresh, *before) == before
    assert [retention_ms(fresh, broker) for broker in (1, 2, 3)] == ["7200000"] * 3
    assert fresh.run("apply", "--json", check=True).document["is_changed"] is False

    before = pids(fresh, *NODES)
    with Writer(fresh.bootstrap_servers, TOPIC) as writer, leaders_watched(fresh) as without_leader_s:
        command = fresh.spawn("restart", "--rolling")
        eventually(lambda: sum(is_gone(fresh, name, pid) for name, pid in before.items()) == 1, within_s=60)
        command.send_signal(signal.SIGKILL)
        command.communicate(timeout=10)
        rolled = fresh.run("restart", "--rolling", "--json", check=True).document

    after = pids(fresh, *NODES)
    assert all(after[name] != before[name] for name in NODES)
    assert len(rolled["restarted"]) == 3
    assert without_leader_s == [] or max(without_leader_s) < WITHOUT_LEADER_S
    log = read_log(fresh.bootstrap_servers, TOPIC)
    assert len(writer.acknowledged) > 100
    assert writer.lost(log) == {}
    # It is read from the file now, and what was set while they ran is forgotten.
    assert [retention_ms(fresh, broker) for broker in (1, 2, 3)] == ["7200000"] * 3
    assert {"rolling.json", "overrides.json"} & {path.name for path in fresh.state_dir.iterdir()} == set()


def pids(cluster, *names):
    return {name: cluster.pid(name) for name in names}


def is_gone(cluster, name, pid):
    try:
        return cluster.pid(name) != pid
    except LookupError:
        return True


def retention_ms(cluster, broker):
    return eventually(lambda: told_retention_ms(cluster, broker), within_s=20, what=f"broker {broker} answers")


def told_retention_ms(cluster, broker):
    """Return what a broker says; None while librdkafka does not know it, or replaces its connection to it."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0})
    # A broker is asked itself, and librdkafka waits in vain for one that the other did not know yet.
    if broker not in admin.list_topics(timeout=10).brokers:
        return None
    (described,) = admin.describe_configs([ConfigResource(ResourceType.BROKER, str(broker))]).values()
    try:
        return described.result()["log.retention.ms"].value
    except KafkaException:
        return None


@contextlib.contextmanager
def leaders_watched(cluster):
    """Yield how long partitions were without a leader, each time, which is complete at the end.

    That of a partition which still has none ends there.
    """
    found, since_s, stop = [], defaultdict(lambda: None), threading.Event()

    def watch():
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0})
        while not stop.wait(0.2):
            with contextlib.suppress(KafkaException):
                for number, partition in admin.list_topics(TOPIC, timeout=2).topics[TOPIC].partitions.items():
                    if partition.leader < 0:
                        since_s[number] = since_s[number] or time.monotonic()
                    elif since_s[number]:
                        found.append(time.monotonic() - since_s[number])
                        since_s[number] = None

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()
        found += [time.monotonic() - each_s for each_s in since_s.values() if each_s]
