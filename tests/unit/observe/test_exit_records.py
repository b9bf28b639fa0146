import os
import resource
import socket
import time
from dataclasses import replace

import pytest

from kraftd.health.programs.causes import diagnose
from kraftd.health.programs.disks import DiskSpace
from kraftd.health.programs.ladder import ProcessFact
from kraftd.health.programs.state import LastExit
from kraftd.observe.exits import KernelKills, cause_of, exit_records, with_causes, with_machine
from kraftd.units import timestamp
from tests.clocks import ManualClock
from tests.plans import plan_of

STARTED_AT_S = 1_767_225_600.0
ENDED = ProcessFact("EXITED", None, STARTED_AT_S)


def ended_after(seconds, status=1):
    return LastExit(timestamp(STARTED_AT_S + seconds), status, None)


@pytest.fixture
def plan(tmp_path):
    return plan_of(state_dir=tmp_path / "s")


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "Europe/Berlin"])
def test_exits_are_read_from_supervisords_log_in_utc(plan, monkeypatch, zone):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    write(plan.layout.supervisord_log, "2026-06-01 12:00:00,057 WARN exited: broker-1 (exit status 1; not expected)")

    ended = exit_records(plan)["broker-1"]

    monkeypatch.undo()
    time.tzset()
    assert ended.at == "2026-06-01T12:00:00.057Z"
    assert (ended.status, ended.signal, ended.cause) == (1, None, None)


@pytest.mark.parametrize(
    ("free_bytes", "lines", "code"),
    [
        (0, [], "disk_full"),
        (0, ["java.net.BindException: Address already in use"], "port_taken"),
        (10 * 1024**3, [], ""),
    ],
)
def test_an_exit_that_no_log_tells_of_is_that_of_a_full_disk(plan, free_bytes, lines, code):
    def spaces(_):
        return (DiskSpace(str(plan.layout.state_dir), free_bytes, 10 * 1024**3),)

    cause = with_machine(plan, "broker-1", diagnose("exit status 1", lines), spaces)

    assert (cause.code, cause.retry_helps) == (code, True)
    assert ("df -h" in cause.remedy) is (code == "disk_full")


def test_without_a_log_nothing_ended(plan):
    assert exit_records(plan) == {}


@pytest.mark.parametrize(
    ("spawn_error", "code", "remedy"),
    [
        ("Too many processes in process table to spawn 'producer'", "processes", "ulimit -u"),
        ("too many open files to spawn 'producer'", "open_files", "ulimit -n"),
        ("unknown error making dispatchers for 'producer': ENOENT", "", "Fix that"),
    ],
)
def test_a_program_that_could_not_be_spawned_says_so_whatever_ended_it_before(plan, spawn_error, code, remedy):
    unspawned = replace(ENDED, spawn_error=spawn_error)
    killed = LastExit("", None, "SIGKILL")

    for ended in (None, killed, ended_after(1)):
        cause = cause_of(plan, "producer", unspawned, ended)
        assert (cause.text, cause.code) == (f"supervisord cannot spawn it: {spawn_error}", code)
        assert cause.retry_helps
        assert remedy in cause.remedy
    assert with_causes({"producer": killed}, plan, {"producer": unspawned})["producer"] == killed


def test_a_signal_is_not_explained_by_the_logs(plan):
    write(plan.layout.console("producer"), "ERROR something else")

    cause = cause_of(plan, "producer", ENDED, LastExit("", None, "SIGKILL"))

    assert (cause.text, cause.retry_helps) == ("signal SIGKILL", True)


@pytest.mark.parametrize(
    ("counts", "code", "text"),
    [
        ([3, 4], "kernel_memory", "signal SIGKILL: the kernel ended it, because memory ran out"),
        ([3, 3], "killed", "signal SIGKILL"),
        ([3, None], "", "signal SIGKILL"),
        ([None, 4], "", "signal SIGKILL"),
    ],
)
def test_the_kernels_counter_tells_whether_memory_ran_out(plan, counts, code, text):
    kills = KernelKills(iter(counts).__next__, ManualClock())
    ended = LastExit("2026-01-01T00:00:00.100Z", None, "SIGKILL")

    # A second look at the same exit does not count again, nor does one of the same second.
    causes = [
        cause_of(plan, "broker-1", ENDED, each, kills)
        for each in (ended, ended, replace(ended, at=ended.at[:-4] + "900Z"))
    ]

    assert {(cause.code, cause.text, cause.retry_helps) for cause in causes} == {(code, text, True)}


@pytest.mark.parametrize(("after_s", "code"), [(1, "kernel_memory"), (7, "kernel_memory"), (12, "killed")])
def test_what_the_kernel_ended_long_before_an_exit_was_something_else(plan, after_s, code):
    clock, counts = ManualClock(), [3]
    kills = KernelKills(lambda: counts[-1], clock)

    counts.append(4)
    for _ in range(after_s):
        clock.advance(1.0)
        kills.sample()

    ended = LastExit("2026-01-01T00:00:12.100Z", None, "SIGKILL")
    assert cause_of(plan, "broker-1", ENDED, ended, kills).code == code


def test_a_taken_port_is_told_with_its_holder(plan):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listener = replace(plan.program("producer").listeners[0], port=taken.getsockname()[1])
        apps = tuple(replace(app, listeners=(listener,)) if app.name == "producer" else app for app in plan.apps)
        write(plan.layout.console("producer"), "error: cannot listen: Address already in use")

        cause = cause_of(replace(plan, apps=apps), "producer", ENDED, ended_after(1.0))

    assert cause.remedy.startswith(f"port {listener.port} is held by pid {os.getpid()} ")


def test_too_many_open_files_are_told_with_the_limit(plan):
    write(plan.layout.supervisord_pid, str(os.getpid()))
    write(plan.layout.console("broker-1"), "Too many open files")

    cause = cause_of(plan, "broker-1", ENDED, ended_after(1.0))

    assert cause.remedy.startswith(f"The limit is {resource.getrlimit(resource.RLIMIT_NOFILE)[0]} open files. ")


def test_an_exit_that_sigterm_asked_for_is_not_explained_by_the_logs(plan):
    write(plan.layout.console("producer"), "ERROR something else")

    cause = cause_of(plan, "producer", ENDED, ended_after(1.0, status=143))

    assert (cause.text, cause.retry_helps) == ("exit status 143", True)


def test_an_exit_of_its_own_is_explained_by_the_logs(plan):
    write(plan.layout.console("producer"), "ModuleNotFoundError: No module named 'x'")

    cause = cause_of(plan, "producer", ENDED, ended_after(1.0))

    assert cause.text == "exit status 1: ModuleNotFoundError: No module named 'x'"
    assert not cause.retry_helps


def test_after_two_minutes_a_start_is_over_and_nothing_forbids_another(plan):
    write(plan.layout.console("broker-1"), "Too many open files")

    assert not cause_of(plan, "broker-1", ENDED, ended_after(119.0)).retry_helps
    assert cause_of(plan, "broker-1", ENDED, ended_after(121.0)).retry_helps


def test_a_program_without_a_record_does_not_run(plan):
    assert cause_of(plan, "producer", ENDED, None).text == "it does not run (EXITED)"


def test_only_programs_that_do_not_run_are_explained(plan):
    for name in ("producer", "consumer"):
        write(plan.layout.console(name), "ERROR why")
    records = {name: ended_after(1.0) for name in ("producer", "consumer", "stranger", "unseen")}
    facts = {"producer": ENDED, "consumer": ProcessFact("RUNNING", 7, 0.0), "stranger": ENDED}

    told = with_causes(records, plan, facts)

    assert {name: record.cause for name, record in told.items()} == {
        "producer": "ERROR why",
        "consumer": None,
        "stranger": None,
        "unseen": None,
    }


def test_a_cause_that_says_no_more_than_the_exit_is_none(plan):
    told = with_causes({"producer": ended_after(1.0, status=3)}, plan, {"producer": ENDED})

    assert told["producer"].cause is None
