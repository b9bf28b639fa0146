"""What the other tests rely on: ports of their own, and an end of everything that they start."""

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.harness import OFFSETS, PORTS, eventually, free_port_offset

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]

GUARDED = """
import os, subprocess, sys
from kraftd.host.environment import inherited_environment
from tests.guard import Guard
guard = Guard()
sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
children = [
    subprocess.Popen(sleep, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
    for environment in (None, inherited_environment(os.environ))
]
print(*[child.pid for child in children], flush=True)
input()
guard.close()
"""


def test_no_two_offsets_share_a_port():
    ports = [{port + offset for port in PORTS} for offset in OFFSETS]

    assert [pair for pair in itertools.combinations(ports, 2) if pair[0] & pair[1]] == []


def test_test_processes_that_run_at_the_same_time_take_different_offsets():
    script = "from tests.harness import free_port_offset; print(free_port_offset(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        theirs = int(other.stdout.readline())
        assert theirs != free_port_offset()
        other.communicate("\n")


@pytest.mark.parametrize("how", ["killed", "at its end"])
def test_what_a_test_process_started_ends_with_it(how):
    with subprocess.Popen(
        [sys.executable, "-c", GUARDED], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as guarded:
        pids = [int(word) for word in guarded.stdout.readline().split()]
        assert len(pids) == 2
        assert all(psutil.pid_exists(pid) for pid in pids)
        if how == "killed":
            os.kill(guarded.pid, signal.SIGKILL)
        guarded.communicate("\n")

    eventually(lambda: not any(map(psutil.pid_exists, pids)), within_s=30, what="nothing is left")
