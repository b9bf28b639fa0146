"""What is frozen comes back without a person, for `make soak`: whatever it was, nothing acknowledged is lost."""

import signal
import tempfile
from pathlib import Path

import psutil
import pytest

from tests.harness import cluster_in, eventually
from tests.kafka.writers import Writer, read_log

pytestmark = [pytest.mark.kafka, pytest.mark.soak, pytest.mark.timeout(600)]

SETTINGS = {
    "cluster.heap": "512m",
    "watchdog.node_silent_s": 10,
    "watchdog.app_silent_s": 8,
    "watchdog.daemon_silent_s": 12,
}
FROZEN_S = 60
NODES = ("broker-1", "broker-2", "controller-101")


@pytest.fixture(scope="module")
def watched():
    temporary = tempfile.TemporaryDirectory(prefix="kraftd-")
    with temporary as directory, cluster_in(Path(directory), settings=SETTINGS) as running:
        running.start()
        yield running
        running.stop()
        assert running.processes() == []


def active_controller(cluster):
    """Return the name of the node that leads the quorum; None while none does, or nobody knows."""
    quorum = cluster.run("health", "--json").document.get("quorum")
    leader = quorum and quorum["leader_id"]
    return leader and next(name for name in NODES if name.endswith(f"-{leader}"))


def pid_of(cluster, name):
    return cluster.supervisord().pid if name == "supervisord" else cluster.pid(name)


def runs(process):
    return process.status() != psutil.STATUS_STOPPED


@pytest.mark.parametrize(
    "what", ["active controller", "controller-101", "producer", "consumer", "kraftd", "supervisord"]
)
def test_a_frozen_program_goes_on_without_a_person_and_no_record_is_lost(watched, what):
    eventually(lambda: watched.status()["ready"], within_s=60, what="everything ready")
    name = eventually(lambda: active_controller(watched)) if what == "active controller" else what
    with Writer(watched.bootstrap_servers, watched.topic) as writer:
        process = psutil.Process(pid_of(watched, name))
        process.send_signal(signal.SIGSTOP)

        eventually(lambda: runs(process), within_s=FROZEN_S, what=f"{name} is continued")
        eventually(lambda: watched.status()["ready"], within_s=60, what="everything ready again")
        eventually(watched.in_sync, within_s=60, what="every replica in sync")
        before = len(writer.acknowledged)
        eventually(lambda: len(writer.acknowledged) > before + 50, within_s=30, what="records acknowledged again")

    assert pid_of(watched, name) == process.pid
    assert writer.lost(read_log(watched.bootstrap_servers, watched.topic)) == {}
    assert watched.send("x")["status"] == "sent"
