"""Scratch processes end with whoever started them, or with the next one who comes."""

import subprocess
import sys

import pytest

from kraftd.clock import SystemClock
from kraftd.errors import KraftdError
from kraftd.host.processes import describe, is_alive
from kraftd.host.scratch_node import NODE, ScratchProcess, scratch_directory

pytestmark = pytest.mark.integration

WAIT = "import time; time.sleep(60)"
PARENT = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {WAIT!r}]).pid, flush=True); {WAIT}"


def test_a_process_that_outlived_its_kraftd_is_ended_by_the_next(tmp_path):
    abandoned = tmp_path / "scratch-abandoned"
    abandoned.mkdir()
    command = [sys.executable, "-c", WAIT, f"-Dkraftd.program={abandoned}/{NODE}"]
    with subprocess.Popen(command) as process:
        with scratch_directory(tmp_path):
            pass

        assert process.wait(10) == -9


def wait_until(is_so) -> None:
    clock = SystemClock()
    deadline_s = clock.monotonic_s() + 20
    while not is_so():
        assert clock.monotonic_s() < deadline_s, "it does not come about"
        clock.sleep(0.01)


def test_a_scratch_process_takes_its_children_with_it(tmp_path):
    console = tmp_path / "console.log"
    with ScratchProcess([sys.executable, "-c", PARENT], tmp_path, SystemClock()):
        wait_until(lambda: console.read_text().endswith("\n"))
        child = describe(int(console.read_text()))
        assert WAIT in child.command

    wait_until(lambda: not is_alive(child))


def test_a_process_that_ends_early_is_told_with_its_last_words(tmp_path):
    command = [sys.executable, "-c", "print('no such option'); raise SystemExit(3)"]

    with (
        pytest.raises(KraftdError, match=r"it ended with status 3, and it says\n  no such option"),
        ScratchProcess(command, tmp_path, SystemClock()) as process,
    ):
        process.wait_for_port(1, 20)
