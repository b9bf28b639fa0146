"""Scratch processes end with whoever started them, or with the next one who comes."""

import signal
import socket
import subprocess
import sys

import pytest

from kraftd.clock import SystemClock
from kraftd.errors import KraftdError
from kraftd.host.jvm import temporary_directory
from kraftd.host.lock import acquire
from kraftd.host.processes import describe, is_alive
from kraftd.plan.program import java_marker
from kraftd.runtime.archive import archives_dir
from kraftd.runtime.scratch_node import NODE, ScratchProcess, has_abandoned, scratch_directory
from kraftd.runtime.training import end_abandoned_training
from tests.harness import eventually
from tests.integration.stand_ins import java_in

pytestmark = pytest.mark.integration

WAIT = "import time; time.sleep(60)"
PARENT = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {WAIT!r}]).pid, flush=True); {WAIT}"

KRAFTD = f"""
import sys, time
from pathlib import Path
from kraftd.clock import SystemClock
from kraftd.runtime.scratch_node import ScratchProcess
with ScratchProcess([sys.executable, "-c", {WAIT!r}], Path(sys.argv[1]), SystemClock()) as process:
    print(process.identity.pid, flush=True)
    time.sleep(60)
"""


def left_in(directory, scratch):
    """Leave a process of a scratch directory, and return it once its command line shows that it is one."""
    process = subprocess.Popen([java_in(directory), "-c", WAIT, *java_marker(f"{scratch}/{NODE}").arguments])
    # Just after it was spawned, a process has no command line, or still its parent's.
    eventually(lambda: (found := describe(process.pid)) and WAIT in found.command, within_s=30, what="it runs")
    return process


def socket_of(pid):
    """Listen as a JVM does to which a command is sent, and return the path; one that is killed leaves the socket."""
    path = temporary_directory() / f".java_pid{pid}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
    return path


def test_a_process_that_outlived_its_kraftd_is_ended_by_the_next(tmp_path):
    abandoned = tmp_path / "scratch-abandoned"
    abandoned.mkdir()
    with left_in(tmp_path, abandoned) as process:
        path = socket_of(process.pid)
        with scratch_directory(tmp_path):
            assert not path.exists()

        assert process.wait(10) == -9


def abandoned(cache):
    """Leave what a kill -9 of a training leaves: its directory, and its JVM, which is returned."""
    directory = archives_dir(cache) / "scratch-abandoned"
    directory.mkdir(parents=True)
    return left_in(cache, directory)


def test_the_next_command_ends_a_training_whose_kraftd_was_killed(tmp_path):
    with abandoned(tmp_path) as process:
        end_abandoned_training(tmp_path)

        assert process.wait(10) == -9
    assert not has_abandoned(archives_dir(tmp_path))


def test_a_training_that_goes_on_is_left_alone(tmp_path):
    with abandoned(tmp_path) as process:
        with acquire(archives_dir(tmp_path) / "lock", command="setup", clock=SystemClock(), timeout_s=1):
            end_abandoned_training(tmp_path)

            assert (process.poll(), has_abandoned(archives_dir(tmp_path))) == (None, True)
        process.kill()


def test_a_cache_without_trainings_is_not_touched(tmp_path):
    end_abandoned_training(tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_who_ends_kraftd_ends_its_scratch_process_too(tmp_path, number):
    with subprocess.Popen(
        [sys.executable, "-c", KRAFTD, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as kraftd:
        child = describe(int(kraftd.stdout.readline()))
        kraftd.send_signal(number)

        assert kraftd.wait(20) == (-number if number is signal.SIGINT else 128 + number)
    eventually(lambda: not is_alive(child))


def test_a_scratch_process_takes_its_children_with_it(tmp_path):
    console = tmp_path / "console.log"
    with ScratchProcess([sys.executable, "-c", PARENT], tmp_path, SystemClock()):
        eventually(lambda: console.read_text().endswith("\n"))
        child = describe(int(console.read_text()))
        assert WAIT in child.command

    eventually(lambda: not is_alive(child))


def test_a_killed_scratch_process_leaves_no_socket_behind(tmp_path):
    with ScratchProcess([sys.executable, "-c", WAIT], tmp_path, SystemClock()) as process:
        path = socket_of(process.identity.pid)

    assert not path.exists()


def test_a_process_that_ends_early_is_told_with_its_last_words(tmp_path):
    command = [sys.executable, "-c", "print('no such option'); raise SystemExit(3)"]

    with (
        pytest.raises(KraftdError, match=r"it ended with status 3; its output ends with\n  no such option"),
        ScratchProcess(command, tmp_path, SystemClock()) as process,
    ):
        process.wait_for_port(1, 20)
