import json
from dataclasses import asdict

import pytest

from kraftd.health.programs.operations import (
    MOST_DONE,
    OPERATIONS,
    Ending,
    OperationOutcome,
    Progress,
    ending_of,
    operations_now,
    parse_progress,
)
from kraftd.host.processes import Process
from kraftd.operate.backup.restoration import RestorePlan
from kraftd.operate.rolling.journal import Journal as RollingJournal
from kraftd.operate.scale.journal import Goal
from kraftd.operate.scale.journal import Journal as ScaleJournal

NOW_S = 1_700_000_000.0
SCALING = Progress("scale", "2 to 3 brokers", 7, 1.0, NOW_S - 100)
SCALE = ScaleJournal(2, 3, "2026-11-26T12:00:00.000Z", {}).to_json()
REASSIGNMENT = ScaleJournal(2, 2, "2026-11-26T12:00:00.000Z", {}, goal=Goal((1, 2))).to_json()
RESTORE = RestorePlan("/b it", "b1", "", "C1", (), ()).to_json()
ENDED = Ending("scale", "2 to 3 brokers", OperationOutcome.SUCCEEDED, "2026-11-26T12:00:00Z", "2026-11-26T12:01:00Z")


def now(*running, journals=None, endings=()):
    return operations_now(running, journals or {}, endings, NOW_S)


def test_what_runs_tells_its_step_its_bytes_and_the_time_left():
    moving = Progress("scale", "", 7, 1.0, NOW_S - 100, "copying", 300, 1200, NOW_S - 60)

    (shown,) = now(moving)

    assert (shown.state, shown.step, shown.pid) == ("running", "copying", 7)
    assert (shown.done_bytes, shown.left_bytes, shown.left_s) == (300, 900, 180.0)


@pytest.mark.parametrize("done", [None, 0, 1300])
def test_the_time_left_is_not_guessed(done):
    moving = Progress("scale", "", 7, 1.0, NOW_S - 100, "copying", done, 1200, NOW_S)

    (shown,) = now(moving)

    assert shown.left_s is None
    assert shown.left_bytes in (None, 0, 1200)


@pytest.mark.parametrize(
    ("journal", "text", "operation", "resume", "undo"),
    [
        ("scale.json", SCALE, "scale", "kraftd scale --brokers 3", "kraftd scale --abort"),
        (
            "restore.json",
            RESTORE,
            "backup restore",
            "kraftd backup restore '/b it'",
            "kraftd backup restore '/b it' --abandon",
        ),
        ("rolling.json", RollingJournal("apply", Process(1, 1.0, 0.0), NOW_S).to_json(), "apply", "kraftd apply", None),
        (
            "rolling.json",
            RollingJournal("restart --rolling", Process(1, 1.0, 0.0), NOW_S).to_json(),
            "restart --rolling",
            "kraftd restart --rolling",
            None,
        ),
        (
            "rolling.json",
            RollingJournal("restart --rolling", Process(1, 1.0, 0.0), NOW_S, {}, ("broker-1", "producer")).to_json(),
            "restart --rolling",
            "kraftd restart --rolling broker-1 producer",
            None,
        ),
        (
            "rolling.json",
            RollingJournal("upgrade --to 4.3.1", Process(1, 1.0, 0.0), NOW_S).to_json(),
            "upgrade",
            "kraftd upgrade --to 4.3.1",
            None,
        ),
        ("scale.json", REASSIGNMENT, "topics reassign", "kraftd topics reassign", "kraftd topics reassign --abort"),
        ("scale.json", "{", "scale", "kraftd scale", None),
    ],
)
def test_a_journal_on_which_nobody_works_is_resumable(journal, text, operation, resume, undo):
    (shown,) = now(journals={journal: text})

    assert (shown.operation, shown.state, shown.resume, shown.undo) == (operation, "resumable", resume, undo)
    assert shown.since is not None or "{" in (text, RESTORE[0])


@pytest.mark.parametrize("text", ["", "{", "\x00", "[]"])
def test_a_damaged_journal_of_a_rolling_restart_leaves_nothing_to_resume(text):
    assert now(journals={"rolling.json": text}) == ()


def test_a_journal_on_which_its_operation_works_is_that_operation_alone():
    assert [each.state for each in now(SCALING, journals={"scale.json": SCALE})] == ["running"]
    other = Progress("backup create", "", 8, 1.0, NOW_S)
    assert [each.state for each in now(other, journals={"scale.json": SCALE})] == ["running", "resumable"]


def test_the_newest_ends_come_first_and_only_some():
    endings = [Ending("apply", str(number), OperationOutcome.FAILED, "", "", "no") for number in range(MOST_DONE + 2)]

    shown = now(endings=endings)

    assert [each.what for each in shown] == [str(number) for number in range(MOST_DONE + 1, 1, -1)]
    assert {(each.state, each.outcome, each.error) for each in shown} == {("done", "failed", "no")}


def test_records_are_read_as_they_were_written_and_damaged_ones_left_out():
    facts = {key: value for key, value in asdict(ENDED).items() if key != "ended_at"}

    assert parse_progress(SCALING.to_json()) == SCALING
    assert ending_of(ENDED.ended_at, json.loads(json.dumps(facts))) == ENDED
    for text in ("", "{", "[]", "{}", '{"operation": "scale"}'):
        assert parse_progress(text) is None
    for damaged in ({}, {**facts, "outcome": "odd"}):
        assert ending_of("", damaged) is None


def test_each_operation_has_a_name_of_its_own():
    assert len({kind.name for kind in OPERATIONS}) == len(OPERATIONS)
