from dataclasses import replace
from datetime import UTC
from io import StringIO

import pytest

from kraftd.cli.output import operations_table, started, status_head, status_table, status_view, stopped
from kraftd.cli.terminal import Console
from kraftd.health.programs.alerts import Alerts
from kraftd.health.programs.backups import BackupHistory, BackupOutcome, backup_view
from kraftd.health.programs.ladder import LogRecovery, Rung
from kraftd.health.programs.operations import Operation, OperationState
from kraftd.health.programs.state import ServiceState
from kraftd.health.programs.verdict import judge
from kraftd.health.report.health import health_document, status_document
from kraftd.operate.start.start import StartResult
from kraftd.operate.stop.execute import Stopped
from kraftd.operate.stop.stop import StopResult
from kraftd.plan.kinds import ScheduledBackups
from kraftd.plan.program import Kind
from tests.plans import plan_of
from tests.unit.health.views import full_snapshot, program, snapshot

HOURLY = ScheduledBackups("every 1h", "/backups")
MADE = BackupHistory(0.0).begun(900.0, 7, 1.0).succeeded(910.0, "b1", 2048)


def printed(*renderables, show=None):
    """Return what people read, without styles."""
    console = Console(file=StringIO(), width=300, highlight=False)
    for renderable in renderables:
        console.print(renderable)
    if show is not None:
        show(console)
    return console.file.getvalue()


def document(*programs):
    look = snapshot(*programs)
    return status_document(plan_of(), look, judge(look), "daemon")


def rows(*programs):
    return [line.split() for line in printed(status_table(document(*programs), 300)).splitlines()]


def test_the_status_table_has_a_line_for_each_program():
    head, first, second = rows(program("broker-1"), program("producer", ServiceState.DOWN, "it ended"))

    assert head == ["NAME", "KIND", "STATE", "PID", "UPTIME", "RESTARTS", "ADDRESS", "REASON"]
    assert first == ["broker-1", "broker", "READY", "4711", "12s", "0", "127.0.0.1:9092"]
    assert second[:3] == ["producer", "app", "DOWN"]
    assert second[-2:] == ["it", "ended"]


def test_the_rungs_are_shown_on_request():
    recovering = replace(
        program("broker-1", ServiceState.STARTING, "refused"), rung=Rung.LISTENING, recovery=LogRecovery(12, 309)
    )

    shown = printed(status_view(document(recovering, program("broker-2")), 300, rungs=True))

    assert "listening, logs recovered 12 of 309" in shown
    assert "The cluster's rung: quorum" in shown
    assert "RUNG" not in printed(status_view(document(recovering), 300))


def test_what_waits_for_its_restart_says_for_how_long():
    waiting = replace(
        program("producer", ServiceState.BACKOFF, "the port is taken"), next_restart_at="1970-01-01T00:16:52.400Z"
    )

    assert " ".join(rows(waiting)[1]).endswith("restart in 12 s: the port is taken")


@pytest.mark.parametrize(
    ("uptime_s", "shown"),
    [(None, "-"), (0.4, "0s"), (59.9, "59s"), (60, "1m00s"), (3599, "59m59s"), (3600, "1h00m"), (90061, "1d01h")],
)
def test_an_uptime_is_shown_in_its_two_largest_units(uptime_s, shown):
    assert rows(replace(program("broker-1"), uptime_s=uptime_s))[1][4] == shown


def test_what_does_not_run_has_no_pid():
    assert rows(replace(program("broker-1"), pid=None))[1][3] == "-"


def test_a_long_reason_is_one_short_line():
    (line,) = [row for row in rows(program("broker-1", ServiceState.DOWN, "x" * 200 + "\nsecond")) if "DOWN" in row]

    assert line[-1] == "x" * 97 + "..."


def test_a_reason_that_looks_like_markup_is_shown_as_it_is():
    assert "[bold]oops[/x]" in printed(
        status_table(document(program("broker-1", ServiceState.DOWN, "[bold]oops[/x]")), 300)
    )


def columns(width, *programs):
    return [column.header for column in status_table(document(*programs), width).columns]


@pytest.mark.parametrize(
    ("width", "left_out"),
    [
        (120, []),
        (80, ["REASON"]),
        (60, ["KIND", "RESTARTS", "REASON"]),
        (40, ["KIND", "RESTARTS", "ADDRESS", "REASON"]),
        (24, ["KIND", "PID", "UPTIME", "RESTARTS", "ADDRESS", "REASON"]),
    ],
)
def test_a_narrow_terminal_shows_fewer_columns_and_each_of_them_whole(width, left_out):
    programs = (program("controller-101", ServiceState.DOWN, "x" * 50), program("broker-1"))

    shown = columns(width, *programs)

    assert [name for name in columns(300, *programs) if name not in shown] == left_out
    console = Console(file=StringIO(), width=width, highlight=False)
    console.print(status_table(document(*programs), width))
    assert "…" not in console.file.getvalue()


def test_a_reason_without_a_column_is_below_the_table_once():
    stopped_one = program("producer", ServiceState.STOPPED, "stopped by 'kraftd stop'")
    look = document(program("broker-1", ServiceState.DOWN, "it ended"), stopped_one)

    wide, narrow = (printed(status_view(look, width)) for width in (300, 70))

    assert wide.splitlines()[-1] == "  broker-1 is DOWN: it ended"
    assert narrow.splitlines()[-2:] == ["  broker-1 is DOWN: it ended", "  producer: stopped by 'kraftd stop'"]


def test_alerts_are_one_line_below_the_reasons():
    newest = full_snapshot()
    shown = health_document(plan_of(), newest, judge(newest, ()), 1000.0)

    assert printed(status_view(shown, 300)).splitlines()[-1] == "  Alerts: BrokerDown (critical)"
    assert "Alerts" not in printed(status_view(replace(shown, alerts=Alerts(())), 300))


@pytest.mark.parametrize(
    ("history", "line"),
    [
        (BackupHistory(400.0), "  Backup (every 1h): none yet, next in 50 min"),
        (MADE, "  Backup (every 1h): 1 min 30 s ago, next in 58 min 20 s"),
        (MADE.begun(990.0, 8, 1.0), "  Backup (every 1h): 1 min 30 s ago, one is under way"),
        (
            MADE.begun(95.0, 8, 1.0).ended(96.0, BackupOutcome.FAILED, "no room"),
            "  Backup (every 1h): 1 min 30 s ago, next is due; the last one failed: no room",
        ),
        (
            MADE.kept_too_many("older ones stay"),
            "  Backup (every 1h): 1 min 30 s ago, next in 58 min 20 s; older ones stay",
        ),
    ],
)
def test_scheduled_backups_are_one_line(history, line):
    newest = replace(snapshot(program("broker-1")), backup=backup_view(HOURLY, history, 1000.0, UTC), taken_at_s=1000.0)
    shown = health_document(plan_of(), newest, judge(newest, ()), 1000.0)

    assert printed(status_view(shown, 300)).splitlines()[-1] == line


def test_the_head_tells_the_verdict_and_who_saw_it():
    assert printed(status_head(document(program("broker-1")))).strip() == (
        "Cluster local: ok · Kafka 3.9.2 · 127.0.0.1:9092,127.0.0.1:9093 · as seen by the daemon"
    )


def test_a_start_tells_where_everything_is_and_what_to_try():
    result = StartResult(plan_of(), ("broker-1",), (), ("slow [disk]",), 2.61)

    text = printed(show=lambda console: started(console, result, "kraftd -c local"))

    assert "The cluster local is ready after 2.6 s: 2 brokers, Kafka 3.9.2" in text
    assert "Note: slow [disk]" in text
    assert "127.0.0.1:9092,127.0.0.1:9093" in text
    assert "http://127.0.0.1:8002/" in text
    assert "127.0.0.1:9999, 127.0.0.1:10000" in text
    assert """curl -H 'Content-Type: application/json' -d '{"key":"Hello Kafka!"}' 127.0.0.1:8001/send""" in text
    assert "kraftd -c local status" in text


def test_a_second_start_says_that_nothing_changed():
    result = StartResult(plan_of(), (), (), (), 0.1)

    assert "already running" in printed(show=lambda console: started(console, result, "kraftd"))


@pytest.mark.parametrize(
    ("new", "head"), [(("producer",), "Started producer in 0.5 s\n"), ((), "Already running: producer\n")]
)
def test_a_start_by_name_claims_nothing_of_the_others(new, head):
    result = StartResult(plan_of(), new, (), (), 0.5, ("producer",))

    text = printed(show=lambda console: started(console, result, "kraftd"))

    assert text.startswith(head)
    assert "is ready" not in text


def test_a_single_broker_is_one():
    result = StartResult(plan_of("[cluster]\nbrokers = 1"), ("broker-1",), (), (), 1.0)

    assert ": 1 broker, Kafka" in printed(show=lambda console: started(console, result, "kraftd"))


def test_a_cluster_without_a_producer_suggests_no_message():
    result = StartResult(plan_of("[producer]\nenabled = false"), ("broker-1",), (), (), 1.0)

    assert "curl" not in printed(show=lambda console: started(console, result, "kraftd"))


STOPPED = (
    Stopped("producer", Kind.APP, None, None, 0.1),
    Stopped("broker-1", Kind.BROKER, clean=True, killed=None, took_s=0.5),
)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (StopResult("local", STOPPED, whole_cluster=True, took_s=1.84), "Stopped the cluster local in 1.8 s"),
        (StopResult("local", STOPPED, whole_cluster=False, took_s=1.0), "Stopped producer, broker-1 in 1.0 s"),
        (StopResult("local", (), whole_cluster=True, took_s=0.0), "The cluster local is not running"),
        (StopResult("local", (), whole_cluster=False, took_s=0.0), "None of the programs was running"),
    ],
)
def test_a_stop_tells_what_was_stopped(result, text):
    assert printed(show=lambda console: stopped(console, result)).strip() == text


@pytest.mark.parametrize(
    ("killed", "why"), [("its time was up", "its time was up"), (None, "it did not close its logs")]
)
def test_an_unclean_end_is_told_with_what_it_means(killed, why):
    unclean = Stopped("broker-1", Kind.BROKER, clean=False, killed=killed, took_s=0.5)
    result = StopResult("local", (unclean,), whole_cluster=True, took_s=1.0)

    assert f"broker-1 did not shut down cleanly ({why}): " in printed(show=lambda console: stopped(console, result))


def test_a_status_that_the_command_observed_shows_what_takes_long():
    running = Operation("backup restore", OperationState.RUNNING, "b1 from /backups", None, pid=7)
    look = replace(snapshot(program("broker-1")), operations=(running,))

    text = printed(status_view(status_document(plan_of(), look, judge(look), "command"), 120))

    assert "backup restore, running: b1 from /backups" in text


def test_the_commands_in_the_reasons_of_a_status_are_of_this_very_cluster():
    look = replace(snapshot(program("broker-1")), supervised=False)

    text = printed(
        status_view(status_document(plan_of(), look, judge(look), "command"), 200, command="kraftd --state-dir /s")
    )

    assert "'kraftd --state-dir /s start' brings supervision back" in text


def test_the_lines_of_an_error_are_one_line_of_the_operations():
    failed = Operation("apply", OperationState.DONE, "x", None, error="cannot finish: before x,\n  a: no\n  b: no")

    text = printed(operations_table([failed], 1000.0, "kraftd"))

    assert "x; cannot finish: before x, a: no b: no" in text


def test_the_command_that_finishes_an_operation_is_of_this_very_cluster():
    left = Operation(
        "scale", OperationState.RESUMABLE, "", None, resume="kraftd scale --brokers 3", undo="kraftd scale --brokers 2"
    )
    look = replace(snapshot(program("broker-1")), operations=(left,))
    shown = status_document(plan_of(), look, judge(look), "command")
    command = "kraftd --state-dir /s"

    for text in (
        printed(operations_table([left], 1000.0, command)),
        printed(status_view(shown, 300, command=command)),
    ):
        assert "'kraftd --state-dir /s scale --brokers 3' finishes it" in text
        assert "'kraftd --state-dir /s scale --brokers 2' gives it up" in text
