"""The control socket: where it is, and what becomes of a cluster that loses it."""

import os
import shutil
import signal
import stat
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kraftd.errors import FileAccessError
from kraftd.plan.layout import SOCKET_PATH_MAX_BYTES
from tests.harness import Cluster, eventually
from tests.integration.formatted import format_cluster
from tests.integration.stand_ins import stand_ins

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

NAMES = ("producer", "broker-1", "broker-2", "controller-101")


@pytest.fixture
def made(cluster):
    """Yield a cluster of stand-ins that runs."""
    with stand_ins(cluster) as running:
        running.set_desired(True, *NAMES)
        running.start(*NAMES)
        yield running


@pytest.fixture
def deep(tmp_path, monkeypatch):
    """Yield a cluster whose state directory has too long a path for a socket, and the temporary directory."""
    above = tmp_path / ("x" * SOCKET_PATH_MAX_BYTES)
    above.mkdir()
    # That of a test is too long itself.
    with tempfile.TemporaryDirectory(prefix="kraftd-", dir="/tmp") as temporary:
        monkeypatch.setenv("TMPDIR", temporary)
        yield Cluster(above / "s"), Path(temporary)


def pids(made):
    return {name: made.cluster.pid(name) for name in NAMES}


def seal(made):
    """Take the socket away so that supervisord cannot make it again."""
    run = made.plan.layout.socket.parent
    shutil.rmtree(run)
    run.write_text("no directory")


def answers(made):
    return made.process_table().unreachable is None


@pytest.mark.parametrize("lost", ["the socket", "its directory"])
def test_supervisord_makes_a_lost_socket_again(made, lost):
    before = pids(made)
    socket = made.plan.layout.socket
    socket.unlink() if lost == "the socket" else shutil.rmtree(socket.parent)

    eventually(lambda: answers(made), within_s=20)

    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    assert pids(made) == before
    assert "made the control socket again" in made.plan.layout.supervisord_log.read_text()


def test_a_socket_that_is_lost_again_and_again_leaves_no_descriptor_behind(made):
    supervisord = made.cluster.supervisord()
    before = supervisord.num_fds()
    for _ in range(3):
        made.plan.layout.socket.unlink()
        eventually(lambda: answers(made), within_s=20)

    assert supervisord.num_fds() <= before + 1  # the connection that asked last


def test_the_status_names_a_lost_socket_and_the_next_step(made):
    seal(made)

    done = made.cluster.run("status", "--json")

    assert (done.status, done.document["status"]) == (1, "unsupervised")
    assert f"{made.plan.layout.socket} does not answer" in done.document["reasons"][0]
    assert "kraftd start" in done.document["reasons"][0]
    assert made.process_table().supervised is False


def test_a_restart_ends_nothing_that_it_could_not_start(made):
    before = pids(made)
    seal(made)

    done = made.cluster.run("restart", "producer", "--json")

    assert (done.status, done.error["code"]) == (7, "unsupervised")
    assert " start'" in done.error["hint"]
    assert pids(made) == before


def test_a_restart_under_no_supervisord_ends_nothing(made):
    before = pids(made)
    os.kill(made.supervisor.pid(), signal.SIGKILL)
    eventually(lambda: made.process_table().supervisor is None, within_s=30)

    assert made.cluster.run("restart", "producer", "--json").error["code"] == "unsupervised"
    assert pids(made) == before


def test_a_cluster_without_its_socket_is_stopped(made):
    seal(made)

    assert made.cluster.run("stop").status == 0

    assert made.cluster.processes() == []


def test_a_frozen_supervisord_continues_when_a_command_needs_it(made):
    supervisord = made.cluster.supervisord()
    supervisord.suspend()

    made.cluster.run("restart", "producer", "--timeout", "8s")

    assert answers(made)
    eventually(lambda: made.runs("producer") == 2, within_s=20, what="the producer runs again")


@pytest.mark.perf
def test_a_frozen_supervisord_is_stopped_without_a_kill(made):
    made.cluster.supervisord().suspend()

    began_s = time.monotonic()
    assert made.cluster.run("stop").status == 0

    assert time.monotonic() - began_s < 15
    assert made.cluster.processes() == []


def test_a_socket_that_an_earlier_kraftd_put_elsewhere_is_asked_and_stopped(made, tmp_path):
    elsewhere = tmp_path / "xdg" / "supervisor.sock"
    elsewhere.parent.mkdir(mode=0o700)
    elsewhere.hardlink_to(made.plan.layout.socket)
    # Another file under the name, at no moment none, so that supervisord does not make a new socket there.
    other = tmp_path / "other"
    other.touch()
    other.replace(made.plan.layout.socket)
    recorded = replace(made.plan, layout=replace(made.plan.layout, socket=elsewhere))
    made.store.write_plan(recorded)

    eventually(lambda: made.cluster.run("status", "--json").document["status"] != "unsupervised")
    assert made.cluster.run("restart", "producer", "--timeout", "8s", "--json").error["code"] != "unsupervised"
    eventually(lambda: made.runs("producer") == 2, within_s=20, what="the producer runs again")
    assert made.cluster.run("stop").status == 0
    assert made.cluster.processes() == []
    assert not elsewhere.parent.exists()


def test_too_long_a_path_puts_the_socket_into_a_private_directory(deep, monkeypatch, tmp_path):
    cluster, temporary = deep
    with stand_ins(cluster) as made:
        directory = made.plan.layout.socket.parent
        made.start("producer")

        assert directory.parent == temporary
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        # A shell with another temporary directory finds it by the record.
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        assert made.cluster.run("status", "--json").document["status"] != "unsupervised"
        shutil.rmtree(directory)
        eventually(lambda: answers(made), within_s=20)
        assert made.cluster.run("stop").status == 0
        assert list(temporary.iterdir()) == []


def test_a_directory_of_another_user_is_not_used_for_the_socket(deep):
    cluster, temporary = deep
    temporary.chmod(0o1777)
    made_by_another = format_cluster(cluster).layout.socket.parent
    made_by_another.mkdir()
    made_by_another.chmod(0o777)

    with pytest.raises(FileAccessError, match="does not belong to this user alone"), stand_ins(cluster):
        pass
