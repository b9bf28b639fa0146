import pytest

from kraftd.supervisord.log import Exit, last_exits, spawned_pids

STAMP = "2026-11-22 16:00:00"


def exits_of(*lines):
    return last_exits(f"{STAMP},123 {line}" for line in lines)


@pytest.mark.parametrize(
    ("line", "status", "signal", "text"),
    [
        ("INFO exited: broker-1 (exit status 143; expected)", 143, None, "exit status 143"),
        ("WARN exited: broker-1 (exit status 1; not expected)", 1, None, "exit status 1"),
        ("WARN exited: broker-1 (terminated by SIGKILL; not expected)", None, "SIGKILL", "signal SIGKILL"),
        (
            "WARN exited: broker-1 (terminated by SIGSEGV (core dumped); not expected)",
            None,
            "SIGSEGV",
            "signal SIGSEGV",
        ),
        ("WARN exited: broker-1 (terminated by signal 64; not expected)", None, "64", "signal 64"),
        ("INFO stopped: broker-1 (exit status 0)", 0, None, "exit status 0"),
        ("WARN stopped: broker-1 (terminated by SIGTERM)", None, "SIGTERM", "signal SIGTERM"),
    ],
)
def test_a_line_of_the_log_tells_how_a_program_ended(line, status, signal, text):
    found = exits_of(line)["broker-1"]

    assert (found.at, found.status, found.signal) == (f"{STAMP},123", status, signal)
    assert str(found) == text


def test_the_last_exit_of_each_program_counts():
    found = exits_of(
        "INFO exited: broker-1 (exit status 1; not expected)",
        "INFO exited: broker-2 (exit status 2; not expected)",
        "INFO exited: broker-1 (exit status 3; not expected)",
    )

    assert {name: each.status for name, each in found.items()} == {"broker-1": 3, "broker-2": 2}


@pytest.mark.parametrize(
    "line",
    [
        "INFO spawned: 'broker-1' with pid 4711",
        "INFO success: broker-1 entered RUNNING state, process has stayed up for > than 1 seconds (startsecs)",
        "INFO waiting for broker-1 to stop",
        "INFO gave up: broker-1 entered FATAL state, too many start retries too quickly",
    ],
)
def test_other_lines_tell_of_no_exit(line):
    assert exits_of(line) == {}


def test_a_line_that_only_quotes_an_exit_tells_of_none():
    assert last_exits(["exited: broker-1 (exit status 1; not expected)"]) == {}


def test_an_exit_has_a_status_or_a_signal():
    assert str(Exit(STAMP, 0, None)) == "exit status 0"


def test_an_earlier_supervisords_exits_are_none_of_this_ones():
    found = last_exits(
        [
            "2026-11-22 16:00:00,000 WARN exited: broker-1 (terminated by SIGKILL; not expected)",
            "2026-11-22 16:01:00,000 INFO supervisord started with pid 4711",
            "2026-11-22 16:02:00,000 WARN exited: broker-2 (exit status 1; not expected)",
        ]
    )

    assert list(found) == ["broker-2"]


def test_the_pids_are_those_of_every_run_also_under_earlier_supervisords():
    lines = (
        "INFO spawned: 'broker-1' with pid 11",
        "INFO spawned: 'consumer' with pid 12",
        "INFO supervisord started with pid 1",
        "INFO spawned: 'broker-1' with pid 13",
        "INFO spawnerr: can't find command 'broker-1' with pid 14",
    )

    assert spawned_pids((f"{STAMP},123 {line}" for line in lines), {"broker-1", "broker-2"}) == {11, 13}
