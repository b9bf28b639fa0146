from pathlib import Path

import pytest

from kraftd.health.programs.ladder import (
    SERVES,
    Answer,
    LogRecovery,
    Rung,
    Silence,
    StartProgress,
    described,
    ladder_of,
    lagging_replicas,
    recovery_shown,
    rung_of,
    start_progress,
)
from tests.plans import plan_of
from tests.unit.health.views import topic

STARTS = Path(__file__).parent / "starts"
PLAN = plan_of()
BROKER, CONTROLLER, APP = (PLAN.program(name) for name in ("broker-1", "controller-101", "producer"))
SILENT = Answer(ready=False, reason="refused", silence=Silence.NOT_LISTENING)
LISTENS = Answer(ready=False, reason="loading")
LOADED = StartProgress(frozenset({Rung.LISTENING, Rung.RECOVERED}), LogRecovery(309, 309))
REGISTERED_ONLY = StartProgress(frozenset({Rung.LISTENING, Rung.REGISTERED}), LogRecovery(12, 309))
ALL = StartProgress(frozenset({Rung.LISTENING, Rung.RECOVERED, Rung.REGISTERED}), LogRecovery(309, 309))


def recorded(version):
    """Return the log of a broker that started after kill -9 with hundreds of replicas, shortened."""
    return (STARTS / f"recovery-{version}.log").read_text(encoding="utf-8").splitlines()


def rungs_seen(lines):
    """Return the rungs in the order in which the growing log proves them, each with the line that did."""
    found = [(rung_of(BROKER, SILENT, start_progress(BROKER, lines[: end + 1])), end) for end in range(len(lines))]
    return {rung: lines[end] for rung, end in reversed(found)}


def test_a_rung_is_read_from_the_line_that_proves_it():
    seen = rungs_seen(recorded("4.3.1"))

    assert set(seen) == {Rung.SPAWNED, Rung.LISTENING, Rung.RECOVERED, Rung.REGISTERED}
    assert "Awaiting socket connections on 127.0.0.1:10092" in seen[Rung.LISTENING]
    assert "Loaded 129 logs" in seen[Rung.RECOVERED]
    assert "Successfully registered broker 1" in seen[Rung.REGISTERED]


def test_who_registers_while_it_recovers_is_registered_once_it_has_recovered():
    seen = rungs_seen(recorded("3.9.2"))

    assert set(seen) == {Rung.SPAWNED, Rung.LISTENING, Rung.REGISTERED}
    assert "Loaded 309 logs" in seen[Rung.REGISTERED]


@pytest.mark.parametrize("version", ["3.9.2", "4.3.1"])
def test_a_rung_is_never_lost_as_the_log_grows(version):
    lines = recorded(version)
    ladder = ladder_of(BROKER)

    heights = [
        ladder.index(rung_of(BROKER, SILENT, start_progress(BROKER, lines[:end]))) for end in range(len(lines) + 1)
    ]

    assert heights == sorted(heights)


@pytest.mark.parametrize(("version", "total"), [("3.9.2", 309), ("4.3.1", 129)])
def test_the_recovery_of_logs_is_counted_though_its_lines_come_out_of_turn(version, total):
    lines = recorded(version)
    counts = [start_progress(BROKER, lines[: end + 1]).recovery for end in range(len(lines))]
    known = [count for count in counts if count is not None]

    assert known[-1] == LogRecovery(total, total)
    assert [count.done for count in known] == sorted(count.done for count in known)
    assert {count.total for count in known} == {total}
    assert str(known[-1]) == f"logs recovered {total} of {total}"


def test_a_recovery_is_seen_before_the_first_log_which_may_be_large_is_recovered():
    line = "INFO Recovering 609 logs from /s/data/broker-1 since no clean shutdown file was found"

    assert start_progress(BROKER, [line]) == StartProgress(frozenset({Rung.LISTENING}), LogRecovery(0, 609))


@pytest.mark.parametrize("version", ["3.9.2", "4.3.1"])
def test_the_end_of_a_log_proves_the_rungs_whose_lines_are_no_longer_in_it(version):
    lines = recorded(version)
    caught_up = next(at for at, line in enumerate(lines) if "STARTING to RECOVERY" in line)

    assert rung_of(BROKER, SILENT, start_progress(BROKER, lines[caught_up:])) is Rung.REGISTERED


@pytest.mark.parametrize(
    ("program", "answer", "progress", "rung"),
    [
        (BROKER, None, StartProgress(), Rung.SPAWNED),
        (BROKER, SILENT, StartProgress(frozenset({Rung.LISTENING})), Rung.LISTENING),
        (BROKER, SILENT, REGISTERED_ONLY, Rung.LISTENING),
        (BROKER, SILENT, LOADED, Rung.RECOVERED),
        (BROKER, SILENT, ALL, Rung.REGISTERED),
        (BROKER, SERVES, StartProgress(), Rung.SERVING),
        (CONTROLLER, SILENT, StartProgress(), Rung.SPAWNED),
        (CONTROLLER, LISTENS, StartProgress(), Rung.LISTENING),
        (CONTROLLER, SERVES, StartProgress(), Rung.READY),
        (APP, SILENT, StartProgress(), Rung.SPAWNED),
        (APP, LISTENS, StartProgress(), Rung.LISTENING),
        (APP, SERVES, StartProgress(), Rung.READY),
    ],
)
def test_a_program_is_on_the_highest_rung_that_it_reached_with_all_below(program, answer, progress, rung):
    assert rung_of(program, answer, progress) is rung
    assert rung in ladder_of(program)


def test_a_broker_without_a_controller_has_no_rung_for_its_listener():
    broker = plan_of("[cluster]\nbrokers = 4\n").program("broker-4")

    assert Rung.LISTENING not in ladder_of(broker)
    assert rung_of(broker, SILENT, LOADED) is Rung.RECOVERED


def test_the_recovery_is_shown_while_it_goes_on():
    assert described(Rung.LISTENING, recovery_shown(Rung.LISTENING, REGISTERED_ONLY)) == (
        "listening, logs recovered 12 of 309"
    )
    assert described(Rung.REGISTERED, recovery_shown(Rung.REGISTERED, ALL)) == "registered"


def test_a_broker_lags_where_one_of_its_replicas_is_out_of_sync():
    assert lagging_replicas([topic("a", 1)]) == frozenset()
    assert lagging_replicas([topic("a", 1), topic("b", 1, in_sync=(1,))]) == {2}
