"""The end of a real daemon, whose cluster does not run."""

import contextlib
import signal
import socket
import subprocess

import pytest

from tests.harness import eventually
from tests.integration.formatted import format_cluster

pytestmark = pytest.mark.integration

CANNOT_LISTEN = 3


@pytest.fixture
def plan(cluster):
    return format_cluster(cluster)


@contextlib.contextmanager
def daemon(cluster, plan):
    """Run the daemon, and yield its process; standard error is a file beside the state directory."""
    argv = [cluster.python, "-m", "kraftd.daemon", "--state-dir", str(plan.layout.state_dir)]
    with (
        (cluster.state_dir.parent / "stderr").open("wb") as stderr,
        subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=stderr) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def test_a_daemon_that_is_asked_to_end_does_so_in_order(cluster, plan):
    with daemon(cluster, plan) as process:
        eventually(
            lambda: socket.create_connection(("127.0.0.1", plan.daemon.port)).close() is None,
            within_s=40,
            what="it serves",
        )
        assert plan.layout.heartbeat.exists()

        process.send_signal(signal.SIGTERM)
        status = process.wait(20)

    assert (status, plan.layout.heartbeat.exists()) == (0, False)
    assert "Traceback" not in (cluster.state_dir.parent / "stderr").read_text()


def test_a_daemon_whose_port_is_taken_ends_and_says_so(cluster, plan):
    with socket.create_server(("127.0.0.1", plan.daemon.port)), daemon(cluster, plan) as process:
        status = process.wait(40)

    said = (cluster.state_dir.parent / "stderr").read_text()
    assert status == CANNOT_LISTEN
    assert "address already in use" in said
    assert "Traceback" not in said
