import io

import pytest
from rich.console import Console

from kraftd.cli import reports
from kraftd.operate.start import StartResult
from kraftd.operate.stop import StopResult
from kraftd.operate.stopping import Stopped
from kraftd.spec.plan import Kind
from tests.plans import plan_of


def printed(print_on):
    output = io.StringIO()
    print_on(Console(file=output, width=200, soft_wrap=True))
    return output.getvalue()


def node(name, **values):
    defaults = {
        "name": name,
        "kind": "broker",
        "service_state": "READY",
        "pid": 4711,
        "uptime_s": 12.5,
        "restarts": 0,
        "listeners": ["127.0.0.1:9092"],
        "reason": None,
    }
    return {**defaults, **values}


def table(*nodes):
    text = printed(lambda console: console.print(reports.status_table({"nodes": nodes})))
    return [line.split() for line in text.splitlines()]


def test_the_table_has_a_row_for_each_program():
    rows = table(node("broker-1"), node("producer", kind="app", service_state="STOPPED", pid=None, uptime_s=None))

    assert rows[0] == ["NAME", "KIND", "STATE", "PID", "UPTIME", "RESTARTS", "ADDRESS", "REASON"]
    assert rows[1] == ["broker-1", "broker", "READY", "4711", "12s", "0", "127.0.0.1:9092"]
    assert rows[2] == ["producer", "app", "STOPPED", "-", "-", "0", "127.0.0.1:9092"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0s"), (59.9, "59s"), (60.0, "1m00s"), (3599.0, "59m59s"), (7384.0, "2h03m"), (90000.0, "1d01h")],
)
def test_an_uptime_is_told_in_its_two_largest_units(seconds, text):
    assert table(node("broker-1", uptime_s=seconds))[1][4] == text


def test_a_reason_is_no_markup_and_one_line_of_bounded_length():
    rows = table(node("broker-1", reason="[bold]it ended[/bold]\nsecond line"), node("broker-2", reason="x" * 500))

    assert " ".join(rows[1][7:]) == "[bold]it ended[/bold]"
    assert rows[2][7] == "x" * 97 + "..."


def test_the_head_says_the_verdict_and_who_looked():
    document = {
        "cluster": "local",
        "status": "degraded",
        "kafka_version": "3.9.2",
        "bootstrap_servers": "127.0.0.1:9092",
        "source": "daemon",
    }

    assert reports.status_head(document).plain == (
        "Cluster local: degraded · Kafka 3.9.2 · 127.0.0.1:9092 · as seen by the daemon"
    )


def start_result(*started, notes=(), toml=""):
    return StartResult(plan_of(toml), started, (), notes, 2.44)


def test_a_start_says_where_everything_is_and_what_to_try():
    text = printed(lambda console: reports.started(console, start_result("broker-1"), "kraftd -c local"))

    assert "The cluster local is ready after 2.4 s: 2 brokers, Kafka 3.9.2" in text
    for place in ("127.0.0.1:9092,127.0.0.1:9093", "http://127.0.0.1:8001/", "http://127.0.0.1:8000/health"):
        assert place in text
    assert """-d '{"key":"Hello Kafka!"}' 127.0.0.1:8001/send""" in text
    assert "  kraftd -c local stop\n" in text


def test_a_start_of_what_runs_says_so_with_its_notes():
    note = "the configuration [cluster] changed since the cluster was started"

    text = printed(lambda console: reports.started(console, start_result(notes=(note,)), "kraftd"))

    assert text.startswith("The cluster local runs already")
    assert f"Note: {note}\n" in text


def test_a_single_broker_is_one_and_without_a_producer_nothing_is_sent():
    result = start_result("broker-1", toml="[cluster]\nbrokers = 1\n[producer]\nenabled = false")

    text = printed(lambda console: reports.started(console, result, "kraftd"))

    assert "1 broker, Kafka" in text
    assert "curl" not in text


def stopped(name, *, clean=True, killed=None):
    return Stopped(name, Kind.BROKER, clean, killed, 1.0)


@pytest.mark.parametrize(
    ("programs", "whole", "text"),
    [
        ((), True, "The cluster local is not running\n"),
        ((), False, "Nothing of it was running\n"),
        ((stopped("broker-1"),), True, "Stopped the cluster local in 1.5 s\n"),
        ((stopped("broker-1"), stopped("broker-2")), False, "Stopped broker-1, broker-2 in 1.5 s\n"),
    ],
)
def test_a_stop_says_what_was_stopped(programs, whole, text):
    result = StopResult("local", programs, whole, 1.5)

    assert printed(lambda console: reports.stopped(console, result)) == text


@pytest.mark.parametrize(("killed", "why"), [("the quorum is lost", "the quorum is lost"), (None, "did not close")])
def test_an_unclean_stop_says_what_that_means(killed, why):
    result = StopResult("local", (stopped("broker-1", clean=False, killed=killed),), True, 15.2)

    text = printed(lambda console: reports.stopped(console, result))

    assert "broker-1 ended unclean (" in text
    assert why in text
    assert "loses nothing acknowledged" in text
