"""What the other tests rely on: ports of their own, and an end of everything that they start."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from kraftd.host import logs
from tests import forked
from tests.harness import OFFSETS, PORTS, eventually, free_port_offset
from tests.integration.formatted import format_cluster

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


def test_a_console_is_read_from_before_the_daemon_began_a_new_day(cluster):
    console = cluster.state_dir / "logs" / "kraftd" / "console.log"
    console.parent.mkdir(parents=True)
    console.write_text("yesterday\n")
    logs.number_current(console)
    logs.archive_numbered(console, time.time())
    console.write_text("today\n")

    assert cluster.console("kraftd") == "yesterday\ntoday"


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


@pytest.mark.parametrize(
    "command", ["version", "--help", "status nobody --json", "plan", "logs", "nosuchcommand", "top"]
)
def test_a_forked_command_ends_as_one_that_is_a_process(cluster, tmp_path, command):
    format_cluster(cluster)
    arguments = cluster.arguments(*command.split())
    process = subprocess.run(arguments, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, check=False)

    assert forked.run(arguments, cwd=tmp_path, environ=os.environ, timeout_s=30) == (
        process.returncode,
        process.stdout,
        process.stderr,
    )


def test_a_forked_command_has_the_surroundings_that_it_is_given(cluster, tmp_path):
    format_cluster(cluster)
    shows = cluster.arguments("exec", "--", "/bin/sh", "-c", "pwd; echo $GIVEN$TZ; cat; ls /proc/$$/fd; exit 3")

    status, output, complaint = forked.run(
        shows, cwd=tmp_path, environ={"GIVEN": "only this", "TZ": "Asia/Tokyo"}, timeout_s=30
    )

    assert (status, output.decode().split("\n"), complaint) == (
        3,
        [str(tmp_path), "only thisAsia/Tokyo", "0", "1", "2", ""],
        b"",
    )


def test_a_signal_for_the_group_of_the_tests_reaches_no_forked_command(cluster, tmp_path):
    format_cluster(cluster)
    shows = cluster.arguments("exec", "--", sys.executable, "-c", "import os; print(os.getpgrp())")

    _status, group, _complaint = forked.run(shows, cwd=tmp_path, environ=os.environ, timeout_s=30)

    assert int(group) != os.getpgrp()


def test_a_forked_command_that_is_left_ends(cluster, tmp_path):
    format_cluster(cluster)
    waits = cluster.arguments("logs", "producer", "--follow")

    with forked.forked(waits, cwd=tmp_path, environ=os.environ, streams=(None, None, None)) as command:
        assert psutil.pid_exists(command.pid)
        with pytest.raises(TimeoutError):
            command.wait(0.5)

    eventually(lambda: not psutil.pid_exists(command.pid), within_s=30, what="it has ended")
