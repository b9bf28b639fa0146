"""Logs under a real supervisord: rotated by their size and for a new day, compressed, and followed, without a loss."""

import contextlib
import os
import shutil
import signal
import sys
import threading

import pytest

from kraftd.daemon.doors import reopen_logs
from kraftd.daemon.log_rotation import LogRotator
from kraftd.host.logs import LogReader, log_files, tail
from tests.clocks import ManualClock
from tests.harness import eventually
from tests.integration.stand_ins import stand_ins

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

DAY_S = 86_400
LATER_S = 4_000_000_000.0
"""Long after the day of the lines, and after the day of this test."""

BATCHES, LINES = 24, 1000
WRITER = f"""
import os, pathlib, sys, time
granted, done, supervisor = pathlib.Path("granted"), pathlib.Path("done"), os.getppid()

def wait():
    time.sleep(0.005)
    if os.getppid() != supervisor:
        sys.exit()

for batch in range({BATCHES}):
    while not granted.exists() or int(granted.read_text() or 0) < batch:
        wait()
    for number in range(batch * {LINES}, (batch + 1) * {LINES}):
        print("2026-01-01 00:00:00,000 line", number, "x" * 40, flush=True)
    done.write_text(str(batch))
while True:
    wait()
"""
"""Writes numbered lines as fast as it can, a batch for each number that it is granted; ends with its supervisord."""


@pytest.fixture
def writing(cluster):
    cluster.settings |= {"logs.max_size": "256k", "logs.keep": 1000}
    script = cluster.state_dir.parent / "writer.py"
    script.write_text(WRITER)
    with stand_ins(cluster, commands={"producer": (sys.executable, str(script))}) as made:
        made.supervisor.start(made.plan.program("producer").supervised_name)
        yield made


def numbers(lines):
    return [int(line.split()[3]) for line in lines]


def test_no_line_is_lost_by_rotations_of_both_kinds_or_by_following_them(writing):
    plan, clock = writing.plan, ManualClock(LATER_S)
    log, directory = plan.layout.console("producer"), plan.layout.config("producer")
    rotator = LogRotator(plan, clock, lambda: reopen_logs(plan, writing.supervisor))
    followed = []
    with contextlib.closing(LogReader(log)) as reader:
        reader.seek_last(0)
        for batch in range(BATCHES):
            (directory / "granted").write_text(str(batch))
            # While the batch is written; never so many that supervisord would drop a file that nobody has taken over.
            rotator.look()
            # A file is full after four batches: by then one in two was taken for the new day.
            clock.advance(DAY_S if batch % 6 == 0 else 0)
            if batch % 3 == 0:
                followed += reader.lines()
            done = directory / "done"
            eventually(lambda batch=batch, done=done: done.exists() and done.read_text() == str(batch), within_s=30)
        every = list(range(BATCHES * LINES))
        eventually(lambda: numbers(tail(log, 1)) == every[-1:], within_s=30, what="supervisord wrote all")
        followed += reader.lines()

    assert numbers(tail(log, BATCHES * LINES + 1, most_bytes=None)) == every
    assert numbers(followed) == every
    clock.advance(DAY_S)
    rotator.look()
    eventually(log.exists, within_s=30, what="supervisord opened it anew")
    rotator.look()
    *archived, newest, current = log_files(log)
    assert len(archived) >= 4
    assert {each.is_compressed for each in archived} == {True}
    assert (newest.is_compressed, current.is_current) == (False, True)
    assert {each.path.stat().st_mode & 0o777 for each in (*archived, newest, current)} == {0o600}
    # What is kept of all lines takes a fraction.
    assert sum(each.size_bytes for each in archived) < BATCHES * LINES * 70 / 3
    assert numbers(tail(log, BATCHES * LINES + 1, most_bytes=None)) == every


def test_a_log_that_cannot_be_opened_anew_ends_nothing_and_is_written_to_as_before(writing):
    plan, directory = writing.plan, writing.plan.layout.config("producer")
    log = plan.layout.console("producer")
    writing.start("consumer")
    shutil.rmtree(plan.layout.logs("consumer"))
    shutil.move(plan.layout.logs("producer"), directory / "elsewhere")

    reopen_logs(plan, writing.supervisor)
    eventually(lambda: "logreopen" in plan.layout.supervisord_log.read_text(), within_s=30)
    (directory / "granted").write_text("0")

    eventually(lambda: numbers(tail(directory / "elsewhere" / log.name, 1)) == [LINES - 1], within_s=30)
    assert set(writing.process_table().processes) >= {"producer", "consumer"}


@pytest.mark.parametrize("removed", ["logs/consumer", "logs"])
def test_a_program_whose_log_directory_was_removed_is_started_again(writing, removed):
    layout = writing.plan.layout
    writing.start("consumer")
    pid = writing.process("consumer").pid
    shutil.rmtree(layout.state_dir / removed)

    os.kill(pid, signal.SIGKILL)
    eventually(lambda: writing.process_table().facts["consumer"].pid is None, within_s=30)
    writing.start("consumer")

    assert writing.process("consumer").pid != pid
    assert {each.stat().st_mode & 0o777 for each in (layout.logs("consumer"), layout.logs("consumer").parent)} == {
        0o700
    }
    assert layout.console("consumer").is_file()


def test_the_command_tells_rotated_lines_and_follows_a_rotation(writing):
    plan, clock = writing.plan, ManualClock(LATER_S)
    log, directory = plan.layout.console("producer"), plan.layout.config("producer")
    rotator = LogRotator(plan, clock, lambda: reopen_logs(plan, writing.supervisor))
    (directory / "granted").write_text("1")
    eventually(lambda: tail(log, 1) and numbers(tail(log, 1)) == [2 * LINES - 1], within_s=30)
    told = []
    with writing.cluster.spawn("logs", "producer", "-f", "-n", "3") as following:
        thread = threading.Thread(target=lambda: told.extend(following.stdout))
        thread.start()
        eventually(lambda: len(told) == 3, within_s=30)
        for batch in range(2, 8):
            (directory / "granted").write_text(str(batch))
            rotator.look()
            clock.advance(DAY_S)
            eventually(
                lambda batch=batch: numbers(tail(log, 1)) == [(batch + 1) * LINES - 1],
                within_s=30,
                what="all is written",
            )
        eventually(lambda: len(told) >= 6 * LINES + 3, within_s=30, what="all is told")
        following.terminate()
        thread.join(30)
    kept = writing.cluster.run("logs", "producer", "--since", "2026-01-01T00:00:00Z", check=True).stdout.splitlines()
    found = writing.cluster.run("logs", "producer", "--grep", r"line \d{3,}7 ", "--json", check=True).document["lines"]

    # Each line of the command has the program, the file, and then what the program wrote.
    assert numbers(line.split(maxsplit=2)[2] for line in told) == list(range(2 * LINES - 3, 8 * LINES))
    assert numbers(line.split(maxsplit=2)[2] for line in kept) == list(range(8 * LINES))
    assert numbers(line["text"] for line in found) == list(range(1007, 8 * LINES, 10))
    assert {line["at"] for line in found} == {"2026-01-01T00:00:00.000Z"}
