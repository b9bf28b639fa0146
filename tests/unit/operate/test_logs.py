import contextlib
from dataclasses import replace

import pytest
from supervisor.loggers import RotatingFileHandler

from kraftd.operate.context import this_command_context
from kraftd.operate.logs import follow, last_log_lines
from tests.clocks import ManualClock
from tests.plans import plan_of

PROGRAM = "producer"


class EndedError(Exception):
    """The last step was done."""


class StepClock(ManualClock):
    """Does the next step of a test between two looks at the logs."""

    def __init__(self, steps):
        super().__init__()
        self._steps = iter((*steps, None))

    def sleep(self, seconds):
        super().sleep(seconds)
        step = next(self._steps)
        if step is None:
            raise EndedError
        step()


class Log:
    """A program's console, written and rotated by supervisord's own handler."""

    def __init__(self, path, most_bytes=100, backups=3):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._handler = RotatingFileHandler(str(path), maxBytes=most_bytes, backupCount=backups)

    def write(self, text):
        self._handler.stream.write(text.encode())
        self._handler.stream.flush()
        self._handler.doRollover()

    def close(self):
        self._handler.close()


@pytest.fixture
def plan(tmp_path):
    return plan_of(state_dir=tmp_path / "s")


@pytest.fixture
def log(plan):
    log = Log(plan.layout.console(PROGRAM))
    yield log
    log.close()


def followed(plan, *steps, lines=0):
    """Return what is told while the steps are done, each between two looks."""
    told = []
    command_context = replace(this_command_context(), clock=StepClock(steps))
    with contextlib.suppress(EndedError):
        told.extend(line.text for line in follow(plan, (PROGRAM,), lines, command_context))
    return told


def numbered(first, last):
    return "".join(f"line {number}\n" for number in range(first, last))


def lines_of(text):
    return text.splitlines()


def test_what_is_written_between_the_last_look_and_a_rotation_is_told(plan, log):
    log.write("before\n")

    told = followed(
        plan, lambda: log.write("first\n"), lambda: log.write("x" * 100 + "\n"), lambda: log.write("last\n")
    )

    assert told == ["first", "x" * 100, "last"]


def test_several_rotations_between_two_looks_lose_no_line(plan, log):
    def write_much():
        for number in range(30):
            log.write(f"line {number}\n")

    assert followed(plan, write_much) == lines_of(numbered(0, 30))
    assert log.path.with_name("console.log.2").exists()


def test_a_line_that_is_cut_by_a_rotation_is_told_as_one(plan, log):
    told = followed(plan, lambda: log.write("x" * 99 + "a"), lambda: log.write("b\nnext\n"))

    assert told == ["x" * 99 + "ab", "next"]


def test_a_file_that_was_rotated_away_is_followed_by_the_oldest_that_is_kept(plan, log):
    def write_much():
        for number in range(200):
            log.write(f"line {number}\n")

    told = followed(plan, write_much)

    oldest_first = [log.path.with_name(f"console.log.{number}") for number in (3, 2, 1)]
    kept = lines_of("".join(path.read_text() for path in (*oldest_first, log.path)))
    assert told[-len(kept) :] == kept
    # Its own end, which only the open file still has.
    assert told[0] == "line 0"
    assert len(set(told)) == len(told) < 200


def test_a_log_that_is_removed_and_made_again_is_told_without_the_older_ones(plan, log):
    log.write(numbered(0, 20))
    log.write("current\n")

    def make_again():
        log.path.unlink()
        log.path.write_text("anew\n")

    assert followed(plan, make_again) == ["anew"]


def test_a_truncated_log_is_told_from_its_beginning(plan, log):
    log.write("long enough\n")

    assert followed(plan, lambda: log.path.write_text("anew\n")) == ["anew"]


def test_a_log_that_comes_later_is_told_from_its_beginning(plan):
    path = plan.layout.console(PROGRAM)

    def write():
        path.parent.mkdir(parents=True)
        path.write_text("first\nsecond\n")

    assert followed(plan, write) == ["first", "second"]


def test_the_last_lines_come_first_and_none_of_them_twice(plan, log):
    log.write("one\ntwo\nthree\n")

    assert followed(plan, lambda: log.write("four\n"), lines=2) == ["two", "three", "four"]


def test_as_many_last_lines_are_told_as_are_asked_for(plan):
    text = numbered(0, 100_000)
    path = plan.layout.console(PROGRAM)
    path.parent.mkdir(parents=True)
    path.write_text(text)

    assert [line.text for line in last_log_lines(plan, (PROGRAM,), 100_000)] == lines_of(text)
    assert followed(plan, lines=99_999) == lines_of(text)[1:]
