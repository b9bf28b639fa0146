"""What is killed comes back, and nothing that was acknowledged is lost."""

import json
import os
import signal
import socket
import time

import pytest

from tests.harness import eventually
from tests.kafka.writers import Writer, read_log

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

NODES = ("broker-1", "broker-2", "controller-101")
PROGRAMS = (*NODES, "producer", "consumer", "kraftd")


@pytest.fixture(scope="module")
def crashing(cluster):
    """The cluster, which other modules get back whole."""
    yield cluster
    make_whole(cluster)


@pytest.fixture
def healthy(crashing):
    """Return the cluster with everything up, whatever the test before did to it."""
    make_whole(crashing)
    return crashing


def make_whole(cluster):
    cluster.start()
    eventually(lambda: cluster.status()["ready"], within_s=60, what="everything ready")


@pytest.mark.perf
def test_every_killed_program_comes_back_while_records_flow_and_none_is_lost(healthy):
    with Writer(healthy.bootstrap_servers, "test-topic") as writer:
        for name in PROGRAMS:
            old = healthy.kill(name)
            eventually(lambda name=name, old=old: healthy.pid(name) != old, within_s=5, what=f"a new {name}")
            eventually(healthy.in_sync, within_s=30, what=f"all in sync after {name}")
        eventually(lambda: healthy.status()["ready"], within_s=30, what="everything ready")

    log = read_log(healthy.bootstrap_servers, "test-topic")
    assert len(writer.acknowledged) > 100
    assert writer.lost(log) == {}


@pytest.mark.perf
def test_a_killed_broker_is_a_process_again_at_once_and_the_status_says_how_it_ended(healthy):
    old = healthy.kill("broker-1")

    eventually(lambda: healthy.pid("broker-1") != old, within_s=5)
    eventually(healthy.in_sync, within_s=30, what="every partition fully in sync")

    node = eventually(lambda: ready_node(healthy, "broker-1"), within_s=10)
    assert node["restarts"] >= 1
    assert node["last_exit"]["signal"] == "SIGKILL"


def test_a_wait_for_in_sync_ends_once_a_killed_broker_is_in_every_isr_again(healthy):
    healthy.kill("broker-2")
    eventually(lambda: healthy.program("broker-2")["rung"] != "in-sync", within_s=30, what="the kill is seen")

    healthy.run("wait", "--for", "broker-2:in-sync", "--timeout", "60s", check=True)

    assert healthy.program("broker-2")["rung"] == "in-sync"
    eventually(healthy.in_sync, within_s=30, what="the other broker knows it too")


def test_a_stolen_port_that_is_given_back_needs_no_person(healthy):
    place = ("127.0.0.1", int(healthy.program("producer")["listeners"][0].rpartition(":")[2]))
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        healthy.kill("producer")
        eventually(lambda: thief.bind(place) is None, within_s=30)
        thief.listen()
        told = eventually(lambda: waiting_node(healthy, "producer", restarts=3), within_s=60, what="a growing pause")
        time.sleep(5)

    assert (told["last_exit"]["status"], told["last_exit"]["signal"]) == (1, None)
    assert "Address already in use" in told["reason"]
    assert f"port {place[1]} is held by pid {os.getpid()} " in told["reason"]
    eventually(lambda: healthy.program("producer")["ready"], within_s=60, what="the producer serves again")


def waiting_node(cluster, name, *, restarts):
    node = cluster.program(name)
    return node if node["service_state"] == "BACKOFF" and node["restarts"] >= restarts else None


def test_both_brokers_killed_at_once_come_back_with_everything_acknowledged(healthy):
    with Writer(healthy.bootstrap_servers, "test-topic") as writer:
        eventually(lambda: len(writer.acknowledged) > 50, within_s=20)
        for name in ("broker-1", "broker-2"):
            healthy.kill(name)
        eventually(healthy.in_sync, within_s=60, what="all in sync")

    log = read_log(healthy.bootstrap_servers, "test-topic")
    assert writer.lost(log) == {}


def test_a_stop_within_the_start_of_a_killed_broker_is_quick_and_loses_nothing(healthy):
    with Writer(healthy.bootstrap_servers, "test-topic") as writer:
        eventually(lambda: len(writer.acknowledged) > 50, within_s=20)
        old = healthy.kill("broker-2")
        eventually(lambda: healthy.pid("broker-2") != old, within_s=30, what="a new broker-2")
        stopped = healthy.stop("--json")
        # The writer's last records are answered only then, or after a minute.
        healthy.start()

    assert stopped.took_s < 60  # Kafka's shutdown within its start may wait 300 s
    eventually(healthy.in_sync, within_s=60, what="all in sync")
    assert len(writer.acknowledged) > 50
    assert writer.lost(read_log(healthy.bootstrap_servers, "test-topic")) == {}


def test_what_the_user_stopped_stays_stopped(healthy):
    assert healthy.stop("consumer").status == 0

    time.sleep(3)

    assert healthy.program("consumer")["service_state"] == "STOPPED"
    eventually(lambda: healthy.run("status").status == 0, within_s=30, what="the rest is well")
    healthy.start("consumer")
    assert healthy.program("consumer")["ready"] is True


def test_a_killed_consumer_is_taken_out_of_its_group_by_the_next_one(healthy):
    member = healthy.state_dir / "config" / "consumer" / "member.json"
    killed, old = json.loads(member.read_text())["member"], healthy.kill("consumer")
    eventually(lambda: healthy.pid("consumer") != old, within_s=30, what="a new consumer")

    eventually(
        lambda: f"Removed the previous process from the group: {killed}" in healthy.console("consumer"), within_s=30
    )
    eventually(lambda: healthy.program("consumer")["ready"], within_s=30, what="the new consumer reads")
    assert json.loads(member.read_text())["member"] != killed


def test_stopping_the_last_in_sync_replica_is_refused_and_forced(healthy):
    assert healthy.run("stop", "broker-1").status == 0

    refused = healthy.run("stop", "broker-2", "--json")

    assert refused.status == 8
    assert "broker-2" in refused.error["message"]
    assert healthy.program("broker-2")["ready"] is True
    healthy.start("broker-1")
    eventually(healthy.in_sync, within_s=60, what="all in sync")
    assert healthy.run("restart", "broker-2").status == 0


def test_a_frozen_broker_is_not_ready_and_stops_all_the_same(healthy):
    pid = healthy.kill("broker-2", signal.SIGSTOP)
    try:
        eventually(lambda: not healthy.program("broker-2")["ready"], within_s=30, what="broker-2 unready")
        assert healthy.run("status").status == 1
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("dead", [("broker-1",), ("controller-101",), ("broker-1", "controller-101")])
def test_a_degraded_cluster_stops_completely_and_starts_with_its_records(healthy, dead):
    sent = healthy.send({"dead": list(dead)})
    # Without the daemon nothing brings the dead back before the stop.
    os.kill(healthy.pid("kraftd"), signal.SIGSTOP)
    for name in dead:
        healthy.kill(name)

    stopped = healthy.run("stop", "--json")

    assert stopped.status == 0, stopped.stderr
    assert healthy.processes() == []
    assert stopped.took_s < 60
    healthy.start()
    log = read_log(healthy.bootstrap_servers, "test-topic")
    assert json.loads(log[sent["partition"], sent["offset"]]) == {"dead": list(dead)}


def test_without_supervisord_the_cluster_serves_and_start_takes_it_over(healthy):
    sent = healthy.send({"unsupervised": True})
    before = healthy.pid("broker-1")
    healthy.supervisord().kill()

    status = eventually(lambda: unsupervised(healthy), within_s=30, what="unsupervised")
    assert status.status == 1
    assert healthy.pid("broker-1") == before
    assert healthy.send({"still": "serving"})["offset"] >= 0

    again = healthy.start("--json")

    assert again.document["status"] == "ok"
    assert healthy.pid("broker-1") != before
    log = read_log(healthy.bootstrap_servers, "test-topic")
    assert json.loads(log[sent["partition"], sent["offset"]]) == {"unsupervised": True}


def test_without_supervisord_stop_leaves_nothing(healthy):
    healthy.supervisord().kill()

    stopped = healthy.run("stop", "--json")

    assert stopped.status == 0
    assert stopped.document["unclean"] == []
    assert healthy.processes() == []


def unsupervised(cluster):
    done = cluster.run("status", "--json")
    return done if done.document["status"] == "unsupervised" else None


def ready_node(cluster, name):
    node = cluster.program(name)
    return node if node["ready"] else None
