"""The status page's stream, `top`, `explain` and `why` on real brokers: well, with one killed, with all gone."""

import fcntl
import http.client
import json
import os
import pty
import select
import struct
import subprocess
import termios
import time
from contextlib import closing

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.harness import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


def health(cluster):
    return json.loads(cluster.get("kraftd", "/health")[1])


def texts(done):
    return [f"{fact['about']} {fact['text']}" for fact in done.document["facts"]]


def read_group(cluster):
    """Wait until the consumer's group has committed."""
    cluster.send({"hello": "group"})
    eventually(
        lambda: any(
            each["group"] == "test-group" and each["lag"] is not None and each["committed_partitions"]
            for each in health(cluster)["groups"] or ()
        ),
        within_s=40,
        what="the lag of test-group",
    )


def looks(cluster, seconds):
    """Return the looks that one page is sent in a time."""
    connection = http.client.HTTPConnection("127.0.0.1", 8000 + cluster.offset, timeout=10)
    connection.request("GET", "/events")
    response = connection.getresponse()
    assert response.getheader("content-type").startswith("text/event-stream")
    found = []
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        line = response.readline().decode()
        if line.startswith("data: "):
            found.append(json.loads(line.removeprefix("data: ")))
    connection.close()
    return found


@pytest.mark.perf
def test_the_stream_brings_every_look_whatever_other_pages_do_not_read(cluster):
    idle = []
    for _ in range(20):
        connection = http.client.HTTPConnection("127.0.0.1", 8000 + cluster.offset, timeout=10)
        connection.request("GET", "/events")
        idle.append(connection)

    found = looks(cluster, 2.5)
    for connection in idle:
        connection.close()

    assert len(found) >= 2
    assert all(0 <= look["age_s"] < 2 for look in found)
    assert all("broker-2" in look["html"] for look in found)


@pytest.mark.perf
def test_an_open_page_does_not_hold_up_the_end_of_the_daemon(cluster):
    connection = http.client.HTTPConnection("127.0.0.1", 8000 + cluster.offset, timeout=10)
    connection.request("GET", "/events")
    connection.getresponse().readline()
    began_s = time.monotonic()

    cluster.run("restart", "kraftd", check=True)
    connection.close()

    assert time.monotonic() - began_s < 10
    eventually(lambda: cluster.get("kraftd", "/readyz")[0] == 200, within_s=20, what="the new daemon has looked")


def test_a_lag_is_explained_down_to_its_partitions(cluster):
    read_group(cluster)

    done = cluster.run("explain", "lag", "test-group", "--json", check=True)

    found = texts(done)
    assert found[0].startswith("group test-group is ")
    assert "1 member; broker-" in found[1]
    assert any(text.startswith("partition test-topic-") and "committed at" in text for text in found)


def test_a_marker_of_a_transaction_is_no_lag_and_a_hostile_name_is_shown_escaped(cluster):
    hostile, shown = "esc\x1b[2J\ntwo", r"esc\x1b[2J\ntwo"
    zero = TopicPartition("test-topic", 0)
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers, "transactional.id": "marked"})
    producer.init_transactions(20)
    with closing(Consumer({"bootstrap.servers": cluster.bootstrap_servers, "group.id": hostile})) as consumer:
        before = consumer.get_watermark_offsets(zero, timeout=20)[1]
        producer.begin_transaction()
        producer.produce("test-topic", b"{}", partition=0)
        producer.commit_transaction(20)
        # The coordinator writes the marker after it has answered.
        eventually(lambda: consumer.get_watermark_offsets(zero, timeout=20)[1] == before + 2, within_s=20)
        consumer.commit(offsets=[TopicPartition("test-topic", 0, before + 1)], asynchronous=False)

    def partition():
        group = next((each for each in health(cluster)["groups"] or () if each["group"] == hostile), None)
        return next((each for each in group["partitions"] if each["committed"] is not None), None) if group else None

    eventually(lambda: (partition() or {}).get("lag") == 0, within_s=60, what="the marker is known as one")
    assert partition()["offset_lag"] == 1
    assert cluster.run("lag", check=True).stdout.count(shown) == 1
    assert f"group {shown} is " in cluster.run("explain", "lag", shown, check=True).stdout
    assert cluster.run("lag", "-g", shown, "--json", check=True).document["groups"][0]["group"] == hostile


def test_a_group_that_there_is_not_gets_the_nearest_name(cluster):
    read_group(cluster)

    for arguments in (("explain", "lag", "test-grup"), ("lag", "--group", "test-grup")):
        done = cluster.run(*arguments, "--json")

        assert (done.status, done.error["message"]) == (4, "cannot find the group test-grup")
        assert done.error["hint"].startswith("Did you mean test-group? ")


def test_a_killed_broker_says_how_it_ended_and_that_it_is_started_again(cluster):
    cluster.kill("broker-2")
    found = eventually(
        lambda: [
            text
            for text in texts(cluster.run("why", "broker-2", "--json", check=True))
            if "restarted" in text or "SIGKILL" in text
        ],
        within_s=30,
        what="the exit in the answer",
    )
    assert any("SIGKILL" in text for text in found)

    def ready():
        after = texts(cluster.run("why", "broker-2", "--json", check=True))
        return after if after[0] == "broker-2 is READY" else None

    after = eventually(ready, within_s=60, what="the broker is ready again")
    assert any("ago: restarted, " in text for text in after)


def lag_without_brokers(cluster):
    """Return what is said of the lag, once the daemon knows that it has nobody to ask."""
    lag = texts(cluster.run("explain", "lag", "test-group", "--json", check=True))
    return lag if lag[1].endswith("groups and lag could not be read: no broker answers") else None


def test_with_all_brokers_gone_the_lag_is_not_known_and_the_brokers_say_why(cluster):
    read_group(cluster)
    cluster.run("stop", "broker-1", "broker-2", "--force", check=True)
    try:
        lag = eventually(
            lambda: lag_without_brokers(cluster),
            within_s=30,
            what="the groups are not known, because no broker answers",
        )
        why = texts(cluster.run("why", "broker-1", "--json", check=True))
        shown = cluster.run("top").stdout
        page = cluster.get("kraftd", "/")[1]
    finally:
        cluster.start()

    assert lag[0] == "group test-group its lag is not known"
    assert any(text.startswith("broker-1 is STOPPED") for text in lag)
    assert why[1].startswith("broker-1 should not run: set by 'stop' ")
    assert "Groups are not known: no broker answers" in shown
    assert 'data-status="down"' in page


def test_a_frozen_broker_is_the_reason_and_not_the_daemon_that_waits_for_it(cluster):
    read_group(cluster)
    with cluster.frozen("broker-2"):
        eventually(lambda: health(cluster)["status"] == "degraded", within_s=30, what="the frozen broker is seen")
        done = cluster.run("explain", "lag", "test-group", "--json", check=True)
        # On a busy machine something else may be degraded first.
        eventually(
            lambda: "no answer within 2 s" in texts(cluster.run("why", "broker-2", "--json", check=True))[0],
            what="the reason of the frozen broker",
        )

    assert done.document["source"] == "daemon"


def test_without_the_daemon_the_answer_comes_from_what_else_there_is(cluster):
    questions = (("explain", "lag", "test-group", "--json"), ("why", "broker-1", "--json"), ("top", "--once"))
    with cluster.frozen("kraftd"):
        # Side by side: each waits some seconds for the daemon.
        commands = [cluster.spawn(*arguments) for arguments in questions]
        lag, why, top = [command.communicate(timeout=60)[0] for command in commands]

    lag, why = json.loads(lag), json.loads(why)
    assert (lag["source"], why["source"]) == ("command", "command")
    assert lag["facts"][1]["text"] == "is the source of the lag of groups, and does not answer"
    assert why["facts"][0]["text"] == "is READY"
    assert "The daemon does not answer" in top


def test_top_shows_the_whole_cluster_once_where_no_terminal_is(cluster):
    read_group(cluster)

    done = cluster.run("top", check=True)

    for word in ("broker-1", "controller-101", "test-group", "test-topic", "quorum leader"):
        assert word in done.stdout
    assert cluster.run("top", "--json", check=True).document["brokers"][0]["up"] is True


@pytest.mark.parametrize(("arguments", "word"), [(("top",), b"PROGRAM"), (("lag", "--watch"), b"KEEPS UP")])
def test_a_live_view_ends_with_q_and_gives_the_terminal_back(cluster, arguments, word):
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 200, 0, 0))
    before = termios.tcgetattr(terminal)
    command = subprocess.Popen(
        cluster.arguments(*arguments),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm"},
    )
    try:
        read_until(controller, word)
        os.write(controller, b"q")
        read_until(controller, b"\x1b[?25h")
        assert command.wait(10) == 0
    finally:
        command.kill()
        command.wait(10)

    assert termios.tcgetattr(terminal) == before
    os.close(controller)
    os.close(terminal)


def read_until(descriptor, word):
    """Return what a terminal was sent, up to a word."""
    found = b""
    deadline_s = time.monotonic() + 20
    while word not in found:
        assert time.monotonic() < deadline_s, found
        if select.select([descriptor], [], [], 0.2)[0]:
            found += os.read(descriptor, 65536)
    return found
