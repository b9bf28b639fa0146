"""A broker that runs and answers nothing comes back without a person, and nothing acknowledged is lost."""

import contextlib
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


@contextlib.contextmanager
def kept_frozen(pid):
    """Stop a process again whenever it is continued, until it is gone."""
    ended = threading.Event()

    def keep_frozen():
        with contextlib.suppress(ProcessLookupError):
            while not ended.wait(0.01):
                os.kill(pid, signal.SIGSTOP)

    freezer = threading.Thread(target=keep_frozen)
    freezer.start()
    try:
        yield
    finally:
        ended.set()
        freezer.join()


@pytest.mark.soak
def test_a_broker_that_stays_frozen_is_ended_and_restarted(fresh):
    fresh.settings |= SETTINGS
    fresh.start()
    with Writer(fresh.bootstrap_servers, "test-topic") as writer:
        with kept_frozen(pid := fresh.pid("broker-2")):
            eventually(lambda: fresh.program("broker-2")["pid"] not in {pid, None}, within_s=120, what="a new broker-2")
        eventually(fresh.in_sync, within_s=60, what="every replica in sync")

    assert "SIGKILL" in hung(fresh)[-1]
    assert fresh.program("broker-2")["restarts"] == 1
    assert writer.lost(read_log(fresh.bootstrap_servers, "test-topic")) == {}


@pytest.mark.soak
def test_the_only_broker_is_ended_too_where_it_stays_frozen(fresh):
    fresh.settings |= SETTINGS | {"cluster.brokers": 1}
    fresh.start()

    with kept_frozen(pid := fresh.pid("broker-1")):
        eventually(lambda: fresh.program("broker-1")["pid"] not in {pid, None}, within_s=120, what="a new broker-1")

    eventually(lambda: fresh.program("broker-1")["ready"], within_s=60, what="it serves again")
    assert fresh.program("broker-1")["restarts"] == 1
