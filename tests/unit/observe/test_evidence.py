import os
import time
from datetime import UTC, datetime

import pytest

from kraftd.health.programs.causes import diagnose
from kraftd.observe.exits import last_records
from tests.plans import layout_at, plan_of

PLAN = plan_of()
BROKER = PLAN.program("broker-1")
PRODUCER = PLAN.program("producer")

SINCE_S = 1_767_225_600.0


def stamp(offset_s):
    return datetime.fromtimestamp(SINCE_S + offset_s, UTC).strftime("[%Y-%m-%d %H:%M:%S,000]")


@pytest.fixture(autouse=True, params=["UTC", "Asia/Tokyo", "America/New_York"])
def time_zone_of_the_command(request, monkeypatch):
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def layout(tmp_path):
    return layout_at(tmp_path / "s")


def write(path, *lines, at_s=SINCE_S + 5):
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
    write(
        layout.logs("broker-1") / "server.log",
        f"{stamp(-10)} ERROR old",
        "\tat the.old.Trace",
        f"{stamp(0)} INFO new",
        "\tat the.new.Trace",
    )

    records = last_records(layout, BROKER, SINCE_S)

    assert records == [f"{stamp(0)} INFO new\n\tat the.new.Trace"]


def test_a_file_that_was_last_written_before_the_run_says_nothing(layout):
    write(layout.console("broker-1"), "BindException", at_s=SINCE_S - 10)

    assert last_records(layout, BROKER, SINCE_S) == []


def test_an_error_of_an_earlier_run_does_not_explain_this_one(layout):
    write(layout.logs("broker-1") / "server.log", f"{stamp(-10)} ERROR old", f"{stamp(1)} INFO new")

    records = last_records(layout, BROKER, SINCE_S)

    assert diagnose("exit status 1", records).text == "exit status 1"


def test_without_a_known_start_every_line_counts(layout):
    write(layout.console("producer"), "one", "two")

    assert last_records(layout, PRODUCER, None) == ["one", "two"]


def test_what_was_never_written_has_no_lines(layout):
    assert last_records(layout, BROKER, SINCE_S) == []


def test_a_nodes_log_records_come_in_the_order_of_their_times_its_console_last(layout):
    write(layout.logs("broker-1") / "server.log", f"{stamp(1)} ERROR first", "\tat a.Trace", f"{stamp(3)} INFO third")
    write(layout.logs("broker-1") / "controller.log", f"{stamp(2)} INFO second", f"{stamp(4)} ERROR fourth")
    write(layout.console("broker-1"), "[0.004s][error] a JVM's", "last words")

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
    write(
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
