from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from kraftd.health.programs.backups import RETRY_S, BackupHistory, BackupOutcome, backup_view, due_s, parse_history
from kraftd.plan.kinds import ScheduledBackups

HOURLY = ScheduledBackups("every 1h", "/backups")
NOW_S = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()
MADE = BackupHistory(NOW_S - 90_000).begun(NOW_S - 600, 7, 1.0).succeeded(NOW_S - 500, "b1", 4096)


def test_the_first_backup_is_due_one_interval_after_the_schedule_was_made():
    assert due_s(HOURLY, BackupHistory(NOW_S - 600), NOW_S, UTC) == NOW_S + 3000


def test_a_time_of_day_is_one_of_the_time_zone():
    nightly = ScheduledBackups("daily 03:00", "/backups")

    view = backup_view(nightly, BackupHistory(NOW_S), NOW_S, ZoneInfo("Asia/Tokyo"))

    assert view.next_at == "2026-11-26T18:00:00.000Z"


def test_the_next_one_is_counted_from_the_beginning_of_the_last():
    assert due_s(HOURLY, MADE, NOW_S, UTC) == NOW_S + 3000


def test_times_that_passed_are_one_backup():
    long_ago = BackupHistory(NOW_S - 9e6).begun(NOW_S - 9e5, 7, 1.0).succeeded(NOW_S - 9e5 + 60, "b1", 1)
    caught_up = long_ago.begun(NOW_S, 8, 1.0).succeeded(NOW_S + 60, "b2", 1)

    assert due_s(HOURLY, long_ago, NOW_S, UTC) < NOW_S
    assert due_s(HOURLY, caught_up, NOW_S + 61, UTC) == NOW_S + 3600


@pytest.mark.parametrize(("schedule", "left_s"), [("every 1h", RETRY_S - 100), ("every 11m", 60)])
def test_one_that_failed_is_tried_again_before_the_schedule_says_so(schedule, left_s):
    failed = MADE.begun(NOW_S - 600, 8, 1.0).ended(NOW_S - 100, BackupOutcome.FAILED, "no room")

    assert due_s(ScheduledBackups(schedule, "/backups"), failed, NOW_S, UTC) == NOW_S + left_s


def test_one_that_was_interrupted_is_due_at_once():
    interrupted = MADE.begun(NOW_S - 60, 8, 1.0).ended(NOW_S - 50, BackupOutcome.INTERRUPTED)

    assert due_s(HOURLY, interrupted, NOW_S, UTC) <= NOW_S


def test_a_clock_that_was_set_back_does_not_put_the_next_one_off():
    assert due_s(HOURLY, MADE, NOW_S - 86_400, UTC) <= NOW_S - 86_400


def test_the_age_is_that_of_the_newest_backup_and_before_it_of_the_schedule():
    failed = MADE.begun(NOW_S - 60, 8, 1.0).ended(NOW_S - 50, BackupOutcome.FAILED, "no room")

    assert backup_view(HOURLY, BackupHistory(NOW_S - 60), NOW_S, UTC).age_s == 60
    view = backup_view(HOURLY, failed, NOW_S, UTC)
    assert (view.age_s, view.backup, view.outcome, view.error, view.took_s) == (500, "b1", "failed", "no room", 100)
    assert backup_view(HOURLY, MADE.begun(NOW_S, 9, 1.0), NOW_S, UTC).running


def test_a_history_is_read_as_it_was_written_and_a_damaged_one_begins_anew():
    assert parse_history(MADE.to_json()) == MADE
    for text in (None, "", "[]", "{", MADE.to_json().replace("since_s", "sinc_s"), '{"schema_version": 2}'):
        assert parse_history(text) is None
