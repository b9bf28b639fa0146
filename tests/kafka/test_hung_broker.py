"""A broker that runs and answers nothing comes back without a person, and nothing acknowledged is lost."""

import json
import os
import signal
import threading

import pytest

from tests.harness import NO_APPS, eventually
from tests.kafka.writers import Writer, read_log

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

SETTINGS = {"watchdog.node_silent_s": 4, "cluster.heap": "512m", **NO_APPS}


def hung(cluster):
    """Return what the watchdog did to broker-2, in order."""
    return [each["text"] for each in events(cluster) if (each["kind"], each["program"]) == ("hung", "broker-2")]


def events(cluster):
    return [json.loads(line) for line in cluster.run("events", "--json", check=True).stdout.splitlines()]


def test_a_frozen_broker_is_continued_and_loses_no_record(fresh):
    fresh.settings |= SETTINGS
    fresh.start()
    with Writer(fresh.bootstrap_servers, "test-topic") as writer:
        pid = fresh.kill("broker-2", signal.SIGSTOP)
        eventually(lambda: not fresh.program("broker-2")["ready"], within_s=20, what="the freeze shows")
        eventually(lambda: fresh.program("broker-2")["ready"], within_s=60, what="it serves again")
        eventually(fresh.in_sync, within_s=40, what="every replica in sync")
        before = len(writer.acknowledged)
        eventually(lambda: len(writer.acknowledged) > before + 50, within_s=30)

    assert fresh.pid("broker-2") == pid
    # More than once where the machine was too busy for it.
    assert hung(fresh)
    assert all("continued it" in text for text in hung(fresh))
    assert writer.lost(read_log(fresh.bootstrap_servers, "test-topic")) == {}


@pytest.mark.soak
def test_a_broker_that_stays_frozen_is_ended_and_restarted(fresh):
    fresh.settings |= SETTINGS
    fresh.start()
    ended = threading.Event()
    with Writer(fresh.bootstrap_servers, "test-topic") as writer:
        pid = fresh.pid("broker-2")

        def keep_frozen():
            try:
                while not ended.wait(0.01):
                    os.kill(pid, signal.SIGSTOP)
            except ProcessLookupError:
                pass

        freezer = threading.Thread(target=keep_frozen)
        freezer.start()
        try:
            eventually(lambda: fresh.program("broker-2")["pid"] not in {pid, None}, within_s=120, what="a new broker-2")
        finally:
            ended.set()
            freezer.join()
        eventually(fresh.in_sync, within_s=60, what="every replica in sync")

    assert "SIGKILL" in hung(fresh)[-1]
    assert fresh.program("broker-2")["restarts"] == 1
    assert writer.lost(read_log(fresh.bootstrap_servers, "test-topic")) == {}
