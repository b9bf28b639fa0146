import os
from datetime import UTC, datetime

import pytest

from kraftd.daemon.log_rotation import LogRotator
from kraftd.host.logs import log_files, tail
from tests.clocks import ManualClock
from tests.plans import plan_of

NOON_S = datetime(2026, 1, 2, 12, tzinfo=UTC).timestamp()
EARLIER_S, DAY_S = NOON_S - 60, 86_400


class Supervisord:
    """Opens logs anew as supervisord does."""

    def __init__(self, *logs):
        self.asked = 0
        self._logs = logs

    def reopen(self):
        self.asked += 1
        for log in self._logs:
            log.touch()


@pytest.fixture
def plan(tmp_path):
    return plan_of("[logs]\nkeep = 3\n", state_dir=tmp_path / "s")


@pytest.fixture
def clock():
    return ManualClock(NOON_S)


def write(path, text, *, at_s=EARLIER_S):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (at_s, at_s))


def kinds(log):
    """Return what there is of a log, oldest first."""
    return ["gz" if each.is_compressed else "raw" if each.archived else each.path.suffix for each in log_files(log)]


def test_what_its_writer_has_rotated_is_kept_and_compressed_but_for_the_newest(plan, clock):
    log = plan.layout.logs("broker-1") / "server.log"
    rotator = LogRotator(plan, clock, Supervisord().reopen)
    write(log, "current\n")
    for number in (3, 2, 1):
        write(log.with_name(f"server.log.{number}"), f"{number}\n", at_s=EARLIER_S - number)

    rotator.look()
    rotator.look()

    assert kinds(log) == ["gz", "gz", "raw", ".log"]
    assert tail(log, 9) == ["3", "2", "1", "current"]


@pytest.mark.parametrize("name", ["server.log", "controller.log", "state-change.log", "gc.log", "console.log"])
def test_as_many_rotated_files_are_kept_as_are_asked_for(plan, clock, name):
    log = plan.layout.logs("broker-1") / name
    rotator = LogRotator(plan, clock, Supervisord(log).reopen)
    for number in range(6):
        write(log, "x\n")
        write(log.with_name(f"{name}.{number % 5}"), f"{number}\n", at_s=EARLIER_S + number)
        rotator.look()

    assert tail(log, 9) == ["3", "4", "5", "x"]
    assert len(list(log.parent.iterdir())) == 4


def test_supervisords_own_log_and_that_of_the_daemon_are_compressed_too(plan, clock):
    rotator = LogRotator(plan, clock, Supervisord().reopen)
    for log in (plan.layout.supervisord_log, plan.layout.console("kraftd")):
        for number in (2, 1):
            write(log.with_name(f"{log.name}.{number}"), f"{number}\n", at_s=EARLIER_S - number)

        rotator.look()

        assert kinds(log) == ["gz", "raw"]


def test_a_console_of_an_earlier_day_gets_a_new_file_once(plan, clock):
    log = plan.layout.console("producer")
    supervisord = Supervisord(log)
    rotator = LogRotator(plan, clock, supervisord.reopen)
    write(log, "2026-01-01 23:59:59,000 yesterday\n2026-01-02 00:00:01,000 today\n")

    rotator.look()
    clock.advance(5)
    rotator.look()

    assert (kinds(log), supervisord.asked) == (["raw", ".log"], 1)
    assert (log.read_text(), len(tail(log, 9))) == ("", 2)


@pytest.mark.parametrize(
    ("text", "at_s"),
    [
        ("2026-01-02 00:00:01,000 today\n", EARLIER_S),
        ("", EARLIER_S - DAY_S),
        ("no time\n", EARLIER_S),
    ],
)
def test_a_console_of_today_and_an_empty_one_stay(plan, clock, text, at_s):
    log = plan.layout.console("producer")
    supervisord = Supervisord(log)
    write(log, text, at_s=at_s)

    LogRotator(plan, clock, supervisord.reopen).look()

    assert (kinds(log), supervisord.asked) == ([".log"], 0)


def test_a_console_without_times_is_as_old_as_its_last_line(plan, clock):
    log = plan.layout.console("broker-1")
    write(log, "[0.004s][error] a JVM's\n", at_s=EARLIER_S - DAY_S)

    LogRotator(plan, clock, Supervisord(log).reopen).look()

    assert kinds(log) == ["raw", ".log"]


def test_a_console_whose_lines_always_begin_with_an_old_day_is_rotated_once_a_day(plan, clock):
    log = plan.layout.console("producer")
    rotator = LogRotator(plan, clock, Supervisord(log).reopen)
    for _ in range(4):
        write(log, "2020-01-01 00:00:00 the past\n")
        rotator.look()

    assert kinds(log) == ["raw", ".log"]

    clock.advance(DAY_S)
    rotator.look()
    rotator.look()
    assert kinds(log) == ["gz", "raw", ".log"]


def test_nothing_is_rotated_for_a_new_day_where_that_is_not_wanted(tmp_path, clock):
    plan = plan_of("[logs]\ndaily = false\n", state_dir=tmp_path / "s")
    log = plan.layout.console("producer")
    write(log, "2026-01-01 00:00:00,000 yesterday\n", at_s=EARLIER_S - DAY_S)

    LogRotator(plan, clock, Supervisord(log).reopen).look()

    assert kinds(log) == [".log"]


def test_supervisord_is_asked_again_while_it_writes_to_a_renamed_file(plan, clock):
    log = plan.layout.console("producer")
    away, supervisord = Supervisord(), Supervisord(log)
    write(log, "2026-01-01 23:00:00,000 yesterday\n")
    LogRotator(plan, clock, away.reopen).look()
    [renamed] = log_files(log)

    # Of another run: the daemon has no memory of it.
    rotator = LogRotator(plan, clock, supervisord.reopen)
    rotator.look()
    assert supervisord.asked == 0
    os.utime(renamed.path, (NOON_S + 1, NOON_S + 1))
    rotator.look()
    rotator.look()

    assert (away.asked, supervisord.asked) == (1, 1)
    assert kinds(log) == ["raw", ".log"]


def test_a_link_in_place_of_a_console_stays(plan, clock, tmp_path):
    log = plan.layout.console("producer")
    write(tmp_path / "elsewhere", "2026-01-01 23:00:00,000 yesterday\n", at_s=EARLIER_S - DAY_S)
    log.parent.mkdir(parents=True)
    log.symlink_to(tmp_path / "elsewhere")

    LogRotator(plan, clock, Supervisord(log).reopen).look()

    assert log.is_symlink()


def test_reports_of_crashed_jvms_are_bounded(plan, clock):
    logs = plan.layout.logs("broker-1")
    for pid in range(6):
        write(logs / f"hs_err_pid{pid}.log", "crash", at_s=EARLIER_S + pid)

    LogRotator(plan, clock, Supervisord().reopen).look()

    assert sorted(path.name for path in logs.iterdir()) == [f"hs_err_pid{pid}.log" for pid in (3, 4, 5)]


def test_what_the_system_refuses_is_logged_once_and_all_else_is_done(plan, clock, caplog):
    refused, done = plan.layout.logs("broker-1") / "server.log", plan.layout.logs("broker-2") / "server.log"
    for log in (refused, done):
        for number in (2, 1):
            write(log.with_name(f"server.log.{number}"), f"{number}\n", at_s=EARLIER_S - number)
    rotator = LogRotator(plan, clock, Supervisord().reopen)
    rotator.look()
    write(refused.with_name("server.log.1"), "3\n")
    # A directory under the name of the file that is written first cannot be replaced, by no user.
    [_, newest, _] = log_files(refused)
    (refused.parent / f".{newest.path.name}.gz").mkdir()

    rotator.look()
    rotator.look()

    assert (kinds(refused), kinds(done)) == (["gz", "raw", "raw"], ["gz", "raw"])
    assert tail(refused, 9) == ["2", "1", "3"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
