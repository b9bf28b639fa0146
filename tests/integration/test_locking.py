"""The lock and the records between processes, killed at any moment."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from kraftd.clock import SystemClock
from kraftd.errors import TimedOutError
from kraftd.host.events import EventLog, read_events
from kraftd.host.lock import acquire, try_acquire
from tests.harness import eventually
from tests.integration.formatted import format_cluster

pytestmark = pytest.mark.integration

HOLD = """
import sys, time
from pathlib import Path
from kraftd.clock import SystemClock
from kraftd.host.lock import acquire
with acquire(Path(sys.argv[1]), command="start", clock=SystemClock(), timeout_s=30):
    print("held", flush=True)
    input()
"""

TAKE_OFTEN = """
import sys
from pathlib import Path
from kraftd.clock import SystemClock
from kraftd.host.lock import acquire
for _ in range(200):
    with acquire(Path(sys.argv[1]), command="setup", clock=SystemClock(), timeout_s=30):
        pass
"""

WRITE = """
import sys
from pathlib import Path
from kraftd.host.files import write_atomically
print("writing", flush=True)
for number in range(1_000_000):
    write_atomically(Path(sys.argv[1]), f"{number % 10}" * 200_000)
"""

RECORD = """
import sys
from pathlib import Path
from kraftd.clock import SystemClock
from kraftd.host.events import EventLog
log = EventLog(Path(sys.argv[1]), sys.argv[2], SystemClock())
for number in range(300):
    log.record("tick", "x" * 500, program=sys.argv[3], number=number)
"""


def python(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.fixture
def holder(tmp_path):
    """Yield a process that holds the lock."""
    with python(HOLD, tmp_path / "state" / "lock") as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def take(tmp_path, timeout_s):
    return acquire(tmp_path / "state" / "lock", command="stop", clock=SystemClock(), timeout_s=timeout_s)


def test_the_second_holder_is_told_the_command_and_pid_of_the_first(tmp_path, holder):
    with pytest.raises(TimedOutError) as caught, take(tmp_path, 0.2):
        pass

    assert f"'kraftd start' (pid {holder.pid}) holds it" in str(caught.value)
    with try_acquire(tmp_path / "state" / "lock", command="daemon") as is_held:
        assert is_held is False


def test_a_holder_that_ends_hands_the_lock_on(tmp_path, holder):
    holder.communicate("\n")

    with take(tmp_path, 5.0):
        assert json.loads((tmp_path / "state" / "lock").read_text()) == {"pid": os.getpid(), "command": "stop"}


def test_a_killed_holder_releases_the_lock(tmp_path, holder):
    with pytest.raises(TimedOutError), take(tmp_path, 0.1):
        pass

    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()

    with take(tmp_path, 5.0), try_acquire(tmp_path / "state" / "lock", command="daemon") as is_held:
        assert is_held is False


def test_a_lock_whose_file_was_removed_is_taken_by_one_process_only(tmp_path, holder):
    path = tmp_path / "state" / "lock"
    waiter = python(HOLD, path)
    time.sleep(0.5)

    path.unlink()

    with waiter:
        assert waiter.stdout.readline() == "held\n"
        with pytest.raises(TimedOutError, match=f"pid {waiter.pid}"), take(tmp_path, 0.3):
            pass
        waiter.communicate("\n")


def test_a_lock_on_a_file_that_was_just_removed_counts_for_nothing(tmp_path, monkeypatch):
    path = tmp_path / "state" / "lock"
    flock, removed = fcntl.flock, []

    def last_holder_removes_it_first(descriptor, operation):
        if not removed:
            removed.append(path.unlink())
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", last_holder_removes_it_first)

    with take(tmp_path, 5.0), try_acquire(path, command="daemon") as is_held:
        assert is_held is False


def test_a_lock_whose_directory_comes_and_goes_is_taken_by_all_in_turn(tmp_path):
    command = [sys.executable, "-c", TAKE_OFTEN, str(tmp_path / "new" / "place" / "lock")]

    takers = [subprocess.Popen(command) for _ in range(3)]

    assert [taker.wait(60) for taker in takers] == [0, 0, 0]


def test_a_command_waits_for_another_one_and_says_for_whom(cluster):
    plan = format_cluster(cluster)
    with python(HOLD, plan.layout.lock) as other:
        other.stdout.readline()
        command = cluster.spawn("stop")
        assert command.stderr.readline() == f"Waiting for 'kraftd start' (pid {other.pid})\n"

        other.communicate("\n")
        command.communicate(timeout=30)

    assert command.returncode == 0


def test_a_command_gives_up_waiting_in_its_time(cluster):
    plan = format_cluster(cluster)
    with python(HOLD, plan.layout.lock) as other:
        other.stdout.readline()

        done = cluster.run("stop", "--json", "--timeout", "300ms")

        other.communicate("\n")
    assert (done.status, done.error["code"]) == (124, "locked")
    assert f"pid {other.pid}" in done.error["message"]


@pytest.mark.parametrize("command", ["stop", "start"])
def test_a_command_that_gave_up_waiting_does_not_tell_to_stop_what_runs(cluster, command):
    plan = format_cluster(cluster)
    marked = [sys.executable, "-c", "import time; time.sleep(60)", *plan.marker("producer").arguments]
    with python(HOLD, plan.layout.lock) as other, subprocess.Popen(marked) as producer:
        other.stdout.readline()

        done = cluster.run(command, "--json", "--timeout", "300ms")

        producer.kill()
        other.communicate("\n")
    assert (done.status, done.error["code"]) == (124, "locked")
    assert done.error["hint"] == "Wait for that command, or end it."


def test_a_reader_sees_the_old_text_or_the_new_also_of_a_killed_writer(tmp_path):
    path = tmp_path / "record.json"
    with python(WRITE, path) as writer:
        writer.stdout.readline()
        eventually(path.exists, within_s=30)
        seen = set()

        def are_there_several():
            seen.update(path.read_text() for _ in range(300))
            return len(seen) > 1

        eventually(are_there_several, within_s=30, what="the writer writes again")
        writer.kill()
    seen.add(path.read_text())

    assert {len(text) for text in seen} == {200_000}
    assert {len(set(text)) for text in seen} == {1}


def test_two_writers_of_events_lose_and_mix_nothing(tmp_path):
    writers = [python(RECORD, tmp_path, "commands", name) for name in ("one", "other")]
    for writer in writers:
        assert writer.wait(30) == 0
        writer.stdin.close()
        writer.stdout.close()
    EventLog(tmp_path, "daemon", SystemClock()).record("tick", "mine", program="third")

    events = read_events(tmp_path)

    assert [len([event for event in events if event.program == name]) for name in ("one", "other", "third")] == [
        300,
        300,
        1,
    ]
    assert [event.facts["number"] for event in events if event.program == "one"] == list(range(300))
    assert events == sorted(events, key=lambda event: event.at)
