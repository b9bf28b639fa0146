"""Starts that fail half way: the program, its reason, its log, what goes on running, and how to end that."""

import signal
import sys

import pytest

from kraftd.clock import SystemClock
from kraftd.host.lock import acquire
from tests.harness import cluster_in, eventually
from tests.integration.refusals import error_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

JAVA = """#!{python}
import sys, time
node = next(word for word in sys.argv if word.startswith("-Dkraftd.program=")).rpartition("/")[2]
print("[2999-01-01 00:00:00,000] " + {word!r}, flush=True)
logs = next(word for word in sys.argv if word.startswith("-Dkafka.logs.dir=")).partition("=")[2]
if {logged!r}:
    with open(logs + "/server.log", "a") as log:
        log.write({logged!r})
time.sleep({after_s})
sys.exit(1 if node == {failing!r} else time.sleep(60))
"""


@pytest.fixture
def started(tmp_path):
    """Yield how to make a cluster whose Java is a small program; nothing is left of it."""
    with cluster_in(tmp_path) as cluster:

        def with_java(*, failing="", word="hello", after_s=0.0, logged=""):
            home = tmp_path / "java"
            (home / "bin").mkdir(parents=True)
            (home / "release").write_text('JAVA_VERSION="25.0.2"\n')
            java = home / "bin" / "java"
            java.write_text(
                JAVA.format(python=sys.executable, failing=failing, word=word, after_s=after_s, logged=logged)
            )
            java.chmod(0o755)
            cluster.settings["java.home"] = home
            return cluster

        yield with_java
        assert cluster.run("stop").status == 0
        assert cluster.processes() == []


@pytest.mark.parametrize("after_s", [0.0, 1.5], ids=["at once", "later"])
def test_a_node_that_ends_is_named_with_its_last_words_its_log_and_the_next_step(started, after_s):
    cluster = started(failing="broker-2", word="ERROR No space left on device", after_s=after_s)

    done = cluster.run("start", "--json", timeout_s=60)

    error = error_of(done)
    assert (done.status, error["code"]) == (1, "start_failed")
    assert error["message"].startswith("cannot start broker-2: exit status 1: ")
    assert "No space left on device" in error["message"]
    assert "Free disk space" in error["hint"]
    assert error["details"]["log"] == f"{cluster.state_dir}/logs/broker-2/console.log"
    assert " logs broker-2" in error["hint"]
    assert "Still running: broker-1" in error["hint"]
    assert f"--state-dir {cluster.state_dir} stop' stops the cluster." in error["hint"]


def test_a_start_whose_time_is_up_says_what_it_waits_for_and_lets_it_go_on(started):
    cluster = started()

    done = cluster.run("start", "--json", "--timeout", "8s", timeout_s=60)

    error = error_of(done)
    assert (done.status, error["code"]) == (124, "timed_out")
    assert "within 8 s: still waiting for broker-1 (" in error["message"]
    assert "Still running: broker-1, broker-2" in error["hint"]
    assert cluster.pid("broker-1")


RECOVERING = """\
[2999-01-01 00:00:01,000] INFO Completed load of Log(dir=/srv/a-0) with 1 segments in 9ms (12/309 completed in /srv)
[2999-01-01 00:00:02,000] WARN Connection to node 2 could not be established. (org.apache.kafka.clients.NetworkClient)
"""


def test_a_slow_start_shows_its_rungs_and_each_wait_for_them_ends_as_it_should(started):
    cluster = started(logged=RECOVERING)

    done = cluster.run("start", "--timeout", "10s", timeout_s=60)

    assert done.status == 124
    assert "broker-1         starting  listening, logs recovered 12 of 309\n" in done.stderr
    assert "still waiting for broker-1 (listening, logs recovered 12 of 309: " in done.stderr
    assert "broker-1 logged: [2999-01-01 00:00:02,000] WARN Connection to node 2" in done.stderr
    status = cluster.run("status", "--json").document
    assert status["rung"] is None
    assert {node["name"]: (node["rung"], node["recovery"]) for node in status["nodes"]}["broker-2"] == (
        "listening",
        {"done": 12, "total": 309},
    )
    assert cluster.run("wait", "--for", "broker-1:listening", "--for", "kraftd:ready", "--timeout", "30s").status == 0
    late = cluster.run(
        "wait", "--for", "broker-1:recovered", "--for", "broker-2:spawned", "--timeout", "300ms", "--json"
    )
    error = error_of(late)
    assert (late.status, error["code"]) == (124, "timed_out")
    assert error["details"]["waiting_for"] == [{"name": "broker-1", "rung": "recovered"}]
    assert error["details"]["programs"] == {"broker-1": "listening"}
    assert "WARN Connection to node 2" in error["details"]["lines"]["broker-1"][0]


def test_ctrl_c_leaves_what_runs_and_says_so(started):
    cluster = started()
    command = cluster.spawn("start")
    eventually(lambda: cluster.pid("broker-2"), within_s=30)

    command.send_signal(signal.SIGINT)
    _, complaint = command.communicate(timeout=30)

    assert command.returncode == 130
    assert "kraftd: cannot finish: interrupted\n" in complaint
    assert "Still running: broker-1, broker-2, " in complaint
    assert "Traceback" not in complaint
    assert cluster.pid("broker-1")


def test_a_stop_makes_a_start_yield(started):
    cluster = started()
    command = cluster.spawn("start", "--json")
    eventually(lambda: cluster.pid("broker-2"), within_s=30)

    assert cluster.run("stop").status == 0

    output, _ = command.communicate(timeout=30)
    assert command.returncode == 1
    assert '"code": "yielded_to_stop"' in output
    assert cluster.processes() == []


def test_a_start_that_waits_for_its_turn_yields_to_a_stop_too(started):
    cluster = started()
    with acquire(cluster.state_dir / "lock", command="test", clock=SystemClock(), timeout_s=5):
        start = cluster.spawn("start", "--json")
        assert start.stderr.readline().startswith("Waiting for 'kraftd test'")
        stop = cluster.spawn("stop")
        eventually((cluster.state_dir / "generation").exists, within_s=20)

    output, _ = start.communicate(timeout=60)
    stop.communicate(timeout=60)
    assert (start.returncode, stop.returncode) == (1, 0)
    assert '"code": "yielded_to_stop"' in output
    assert cluster.processes() == []


def test_a_start_after_a_killed_supervisord_ends_what_it_left_and_begins_anew(started):
    cluster = started()
    cluster.run("start", "--timeout", "8s", timeout_s=60)
    left = cluster.pid("broker-1")
    cluster.supervisord().kill()

    done = cluster.run("start", "--timeout", "8s", timeout_s=60)

    assert "Ending programs that an earlier run left running: broker-1, broker-2, " in done.stderr
    assert cluster.pid("broker-1") != left


def test_a_port_taken_since_is_the_reason_that_is_given(started):
    cluster = started(failing="broker-1", word="ERROR Socket server failed to bind to 127.0.0.1:9092", after_s=0.2)

    done = cluster.run("start", timeout_s=60)

    assert done.status == 1
    assert "broker-1         failed    exit status 1: " in done.stderr
    assert "Another process listens on that port" in done.stderr


def test_a_restart_into_what_cannot_be_used_stops_nothing(started):
    cluster = started()
    cluster.run("start", "--timeout", "8s", timeout_s=60)
    before = {name: cluster.pid(name) for name in ("broker-1", "broker-2", "kraftd")}

    statuses = {
        setting: cluster.run("restart", "--set", f"{setting}={value}", timeout_s=60).status
        for setting, value in [
            ("cluster.heap", "9000g"),
            ("cluster.brokers", 1),
            ("java.home", "/nonexistent"),
            ("producer.port", 8002),
            ("disk.min_free", "900000g"),
        ]
    }

    assert statuses == {
        "cluster.heap": 2,
        "cluster.brokers": 6,
        "java.home": 5,
        "producer.port": 2,
        "disk.min_free": 8,
    }
    assert {name: cluster.pid(name) for name in before} == before
