import contextlib
import os
import re

import pytest
from supervisor.loggers import RotatingFileHandler

from kraftd.operate.diagnose.logs import LogFilter, follow, kept_lines
from tests.clocks import ManualClock
from tests.plans import plan_of

PROGRAM = "producer"
NOW_S = 1_767_225_600.0


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


def followed(plan, *steps, lines=0, wanted=None):
    """Return what is told while the steps are done, each between two looks."""
    told = []
    with contextlib.suppress(EndedError):
        for line in follow(plan, (PROGRAM,), wanted or LogFilter(last=lines), StepClock(steps)):
            told.append(line.text)  # noqa: PERF401 what was told before the end counts
    return told


def kept(plan, *names, with_further=False, **wanted):
    return list(kept_lines(plan, names, LogFilter(**wanted), with_further=with_further))


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

    assert [line.text for line in kept(plan, PROGRAM, last=100_000)] == lines_of(text)
    assert followed(plan, lines=99_999) == lines_of(text)[1:]
    assert followed(plan, lines=10**20) == lines_of(text)


def write(path, *lines, at_s=NOW_S):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    os.utime(path, (at_s, at_s))


@pytest.fixture
def three_logs(plan):
    """A broker's log and its collector's, and an app's console, at one time."""
    write(
        plan.layout.logs("broker-1") / "server.log",
        "[2026-01-01 00:00:01,000] ERROR first",
        "java.lang.IllegalStateException: why",
        "\tat a.Trace",
        "[2026-01-01 00:00:05,000] INFO fifth",
    )
    write(plan.layout.logs("broker-1") / "gc.log", "[2026-01-01T01:00:02.000+0100][gc] second")
    write(plan.layout.console("producer"), "2026-01-01 00:00:03,500 INFO web: third", "2026-01-01 00:00:04,000 fourth")
    return plan


def test_the_lines_of_all_programs_come_in_the_order_of_their_times(three_logs):
    found = kept(three_logs)

    assert [(line.program, line.text.rpartition(" ")[2]) for line in found] == [
        ("broker-1", "first"),
        ("broker-1", "why"),
        ("broker-1", "a.Trace"),
        ("producer", "third"),
        ("producer", "fourth"),
        ("broker-1", "fifth"),
    ]
    assert [line.at for line in found[:4]] == ["2026-01-01T00:00:01.000Z"] * 3 + ["2026-01-01T00:00:03.500Z"]


def test_the_collectors_lines_are_in_their_place_where_they_are_asked_for(three_logs):
    found = kept(three_logs, "broker-1", with_further=True)

    assert [line.file for line in found] == ["server.log"] * 3 + ["gc.log", "server.log"]


def test_a_line_without_a_time_belongs_to_the_one_before(three_logs):
    assert [line.text for line in kept(three_logs, "broker-1", until_s=NOW_S + 1)][1:] == [
        "java.lang.IllegalStateException: why",
        "\tat a.Trace",
    ]
    assert [line.text for line in kept(three_logs, since_s=NOW_S + 4)] == [
        "2026-01-01 00:00:04,000 fourth",
        "[2026-01-01 00:00:05,000] INFO fifth",
    ]


def test_what_continues_a_line_that_was_found_is_told_with_it(three_logs):
    def found(pattern):
        return [line.text.rpartition(" ")[2] for line in kept(three_logs, pattern=re.compile(pattern))]

    assert found("ERROR|web") == ["first", "why", "a.Trace", "third"]
    assert found("IllegalState") == ["why", "a.Trace"]
    assert found("nowhere") == []


def test_the_last_lines_are_those_that_were_found(three_logs):
    found = kept(three_logs, pattern=re.compile("INFO|fourth"), last=1)

    assert [line.text.rpartition(" ")[2] for line in found] == ["fourth", "fifth"]


@pytest.mark.parametrize(
    "stamp",
    [
        "2026-01-01 00:00:01,250 INFO supervisord",
        "[2026-01-01 00:00:01,250] INFO log4j",
        "[2026-01-01T00:00:01.250+0000][gc] JVM",
        "[2026-01-01T02:00:01.250+0200][gc] JVM elsewhere",
        "time=2026-01-01T00:00:01.250Z level=WARN prometheus",
        "ts=2026-01-01T00:00:01.250Z caller=main.go alertmanager",
        "logger=settings t=2026-01-01T00:00:01.25000001Z level=warn grafana",
    ],
)
def test_the_time_of_a_line_is_read_as_its_program_writes_it(plan, stamp):
    write(plan.layout.console("producer"), stamp)

    assert [line.at for line in kept(plan)] == ["2026-01-01T00:00:01.250Z"]


@pytest.mark.parametrize("text", ["2026-13-01 00:00:00,000 no month", "no time", "0000-01-01 00:00:00", "", "2026"])
def test_what_is_no_time_is_part_of_the_text(plan, text):
    write(plan.layout.console("producer"), text)

    assert [(line.at, line.text) for line in kept(plan, since_s=NOW_S)] == [(None, text)]
    assert kept(plan, since_s=NOW_S + 1) == []


def test_lines_before_the_first_time_are_as_old_as_that(plan):
    write(plan.layout.console("producer"), "a banner", "2026-01-01 00:00:03,000 INFO first", at_s=NOW_S + 60)

    assert len(kept(plan, until_s=NOW_S + 4)) == 2
    assert kept(plan, since_s=NOW_S + 4) == []


def test_what_is_written_from_now_on_is_told_though_it_has_no_time(plan, log):
    os.utime(log.path, (NOW_S, NOW_S))
    wanted = LogFilter(since_s=NOW_S + 3600, pattern=re.compile("[ab]"))

    assert followed(plan, lambda: log.write("a\nc\n"), lambda: log.write("b\n"), wanted=wanted) == ["a", "b"]
