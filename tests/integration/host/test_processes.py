import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from kraftd.host.processes import ExitWatch, Process, describe, find_by_marker, is_alive, send_signal
from kraftd.plan.program import python_marker
from tests.harness import eventually

pytestmark = pytest.mark.integration


@pytest.fixture
def spawn():
    children = []

    def one(*arguments):
        children.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *arguments]))
        return children[-1]

    yield one
    for child in children:
        child.kill()
        child.wait()


def described(child):
    """Wait out the moment between fork and exec, in which the child still has its parent's command line."""
    eventually(lambda: (process := describe(child.pid)) and "time.sleep(60)" in " ".join(process.command))
    return describe(child.pid)


def test_a_process_is_known_by_pid_start_and_command(spawn):
    child = spawn("a b")

    process = described(child)

    assert (process.pid, process.command[-1]) == (child.pid, "a b")
    assert abs(process.started_at_s - time.time()) < 10
    assert is_alive(process)


def test_another_incarnation_of_a_pid_is_not_the_same_process(spawn):
    earlier = replace(described(spawn()), incarnation=1.0)

    assert not is_alive(earlier)
    assert not send_signal(earlier, signal.SIGKILL)
    assert describe(earlier.pid) is not None


def test_a_process_stays_itself_when_the_wall_clock_is_set(spawn, clock_that_is_set):
    child = spawn()
    with clock_that_is_set():
        process = described(child)

    now = describe(child.pid)
    assert process.started_at_s < now.started_at_s
    assert process == now
    assert is_alive(process)
    assert send_signal(process, signal.SIGTERM)
    assert child.wait(timeout=10) == -signal.SIGTERM


def test_a_process_that_the_system_hides_is_none_of_ours(monkeypatch):
    """A stale pid may be that of another user by now, whose files in /proc hidepid=1 lets nobody read."""

    def hidden(path):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))

    monkeypatch.setattr(Path, "read_bytes", hidden)

    assert describe(1) is None
    assert not is_alive(Process(1, 5.0, 0.0))


def test_the_name_of_a_program_may_hold_what_ends_it_in_the_process_table(tmp_path):
    program = tmp_path / "a) Z 1 ("
    program.symlink_to(shutil.which("sleep"))
    with subprocess.Popen([program, "60"]) as child:
        process = describe(child.pid)
        assert process is not None
        assert is_alive(process)
        child.kill()


def test_a_process_of_which_only_the_exit_status_is_left_does_not_run(spawn):
    child = spawn()
    process = described(child)

    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert describe(child.pid) is None
    assert not is_alive(process)
    child.wait()
    assert describe(child.pid) is None
    assert not send_signal(process, signal.SIGTERM)


def test_a_signal_reaches_the_process(spawn):
    child = spawn()

    assert send_signal(described(child), signal.SIGTERM)
    assert child.wait(timeout=10) == -signal.SIGTERM


def test_processes_are_found_by_their_markers(spawn, tmp_path):
    one, two, none = (python_marker(f"{tmp_path}/a=b/{name}") for name in ("one", "two", "none"))
    children = [spawn(*one.arguments), spawn("more", *two.arguments, "more"), spawn(f"{none.arguments[1]}-and-more")]
    for child in children:
        described(child)

    found = find_by_marker((one, two, none))

    assert {marker: process.pid for marker, process in found.items()} == {one: children[0].pid, two: children[1].pid}


def test_of_several_processes_with_one_marker_the_oldest_is_the_program(spawn, tmp_path):
    marker = python_marker(f"{tmp_path}/producer")
    program = described(spawn(*marker.arguments))
    for _ in range(3):
        time.sleep(0.02)
        described(spawn(*marker.arguments))

    assert find_by_marker((marker,)) == {marker: program}


def test_an_exit_ends_the_wait_and_is_told_once(spawn):
    one, other = spawn(), spawn()
    watch = ExitWatch()
    watch.watch((one.pid, other.pid))

    one.kill()
    began_s = time.monotonic()

    assert watch.wait(10.0) == (one.pid,)
    assert time.monotonic() - began_s < 5
    assert watch.wait(0.0) == ()
    watch.close()


def test_what_is_no_longer_watched_is_not_told(spawn):
    one = spawn()
    watch = ExitWatch()
    watch.watch((one.pid,))
    watch.watch(())

    one.kill()
    one.wait()

    assert watch.wait(0.05) == ()
    watch.watch((one.pid,))
    assert watch.wait(0.05) == ()
    watch.close()


def test_watching_leaks_no_descriptor(spawn):
    pids = [spawn().pid for _ in range(3)]
    before = psutil.Process().num_fds()
    watch = ExitWatch()

    for _ in range(20):
        watch.watch(pids)
        watch.watch(pids[:1])
    watch.close()

    assert psutil.Process().num_fds() == before


def test_a_wait_is_ended_from_another_thread(spawn):
    watch = ExitWatch()
    watch.watch((spawn().pid,))
    began_s = time.monotonic()
    waking = threading.Timer(0.05, watch.wake)
    waking.start()

    ended = watch.wait(10.0)

    waking.join()
    assert ended == ()
    assert time.monotonic() - began_s < 5.0
    assert watch.wait(0.05) == ()
    watch.close()


@pytest.fixture(params=[errno.ENOSYS, errno.EPERM, errno.EMFILE], ids=errno.errorcode.get)
def no_pidfds(request, monkeypatch):
    """Refuse pidfds as an old kernel does, a sandbox, or a process that has too many files open."""

    def refused(_pid):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(os, "pidfd_open", refused)


@pytest.mark.usefixtures("no_pidfds")
def test_where_the_system_gives_no_pidfd_the_watch_only_waits(spawn):
    child = spawn()
    watch = ExitWatch()

    watch.watch((child.pid,))

    assert (watch.is_prompt, watch.wait(0.0)) == (False, ())
    watch.watch(())
    assert watch.is_prompt
    watch.close()


@pytest.mark.usefixtures("no_pidfds")
def test_where_the_system_gives_no_pidfd_a_signal_reaches_the_process_all_the_same(spawn):
    child = spawn()

    assert send_signal(described(child), signal.SIGTERM)
    assert child.wait(timeout=10) == -signal.SIGTERM
