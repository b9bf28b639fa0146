"""A daemon of which one thread fails ends, comes back, and heals as before."""

import contextlib
import shutil
import sysconfig
import tempfile
import time
import venv
from pathlib import Path

import pytest

from tests.harness import cluster_in, eventually
from tests.kafka import planted

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

DEFECT = 70


@pytest.fixture(scope="module")
def failing():
    with tempfile.TemporaryDirectory(prefix="kraftd-") as name:
        directory = Path(name)
        (directory / "planted").mkdir()
        with cluster_in(directory, python=python_with_failures(directory / "python")) as running:
            running.start()
            yield running
            running.stop()
            assert running.processes() == []


def python_with_failures(directory):
    """Make a Python that has what this one has, and plants failures in the daemon."""
    venv.create(directory, symlinks=True)
    own = Path(sysconfig.get_path("purelib", "venv", {"base": str(directory)}))
    (own / "1-installed.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    (own / "2-planted.pth").write_text("import planted\n")
    shutil.copy(planted.__file__, own / "planted.py")
    return str(directory / "bin" / "python")


@contextlib.contextmanager
def ordered(cluster, place, kind):
    """Let a place in the daemon fail."""
    order = cluster.state_dir.parent / "planted" / place
    draft = order.with_suffix(".draft")
    draft.write_text(kind)
    draft.replace(order)
    try:
        yield
    finally:
        order.unlink(missing_ok=True)


def heals(cluster, program):
    """Kill a program, and return whether it comes back and its restarts go on being counted."""
    before = eventually(lambda: counted(cluster, program), within_s=60, what=f"{program} ready")["restarts"]
    old = cluster.kill(program)

    def again():
        # The daemon says what it saw last until it has asked the new process.
        node = counted(cluster, program)
        return node if node and node["pid"] != old else None

    return eventually(again, within_s=60, what=f"{program} ready again")["restarts"] == before + 1


def counted(cluster, program):
    """Return a ready program as the daemon sees it, which alone knows the restarts; None where it does not."""
    document = cluster.status()
    node = next(each for each in document["nodes"] if each["name"] == program)
    return node if document["source"] == "daemon" and node["ready"] else None


@pytest.mark.parametrize(
    ("place", "status", "program"),
    [
        ("watch", DEFECT, "broker-2"),
        ("collect", DEFECT, "producer"),
        ("kafka-io-kraftd", DEFECT, "broker-1"),
        ("http", 1, "consumer"),
    ],
)
def test_whichever_thread_fails_the_daemon_comes_back_and_heals(failing, place, status, program):
    assert heals(failing, program)
    old = failing.pid("kraftd")

    with ordered(failing, place, planted.ONCE):
        eventually(lambda: failing.pid("kraftd") != old, within_s=20, what="a new daemon")

    assert heals(failing, program)
    log = failing.console("kraftd")
    assert "Traceback" in log
    assert f"ZeroDivisionError: planted in {place}" in log
    assert failing.program("kraftd")["last_exit"]["status"] == status


def test_a_daemon_that_fails_again_and_again_is_restarted_after_pauses_and_heals(failing):
    eventually(lambda: failing.program("kraftd")["process_state"] == "RUNNING", within_s=60)
    old = failing.kill("producer")

    with ordered(failing, "collect", planted.ALWAYS):
        eventually(lambda: failing.program("kraftd")["process_state"] == "BACKOFF", within_s=60, what="a pause")
        eventually(lambda: failing.pid("producer") != old, within_s=60, what="a new producer")

    eventually(lambda: failing.status()["ready"], within_s=60, what="everything ready")


def test_while_the_loop_hangs_the_daemon_is_not_live(failing):
    eventually(lambda: failing.get("kraftd", "/livez")[0] == 200, within_s=20, what="a live daemon")

    with ordered(failing, "watch", planted.HANG):
        began_s = time.monotonic()
        eventually(lambda: failing.get("kraftd", "/livez")[0] == 503, within_s=30, what="a daemon that is not live")
        assert time.monotonic() - began_s > 5

    eventually(lambda: failing.get("kraftd", "/livez")[0] == 200, within_s=30, what="a live daemon again")
