import json
import os
import pwd
import resource
import stat
import tempfile
from itertools import islice
from pathlib import Path

import pytest

from kraftd.errors import FileAccessError
from kraftd.host.events import EventLog, events_since, follow_events, read_events, recent_events
from kraftd.units import timestamp
from tests.clocks import ManualClock


def test_a_stamp_is_utc_to_the_millisecond():
    assert timestamp(0.0) == "1970-01-01T00:00:00.000Z"
    assert timestamp(1_700_000_000.1239) == "2023-11-14T22:13:20.123Z"


def test_events_of_all_writers_are_read_oldest_first(tmp_path):
    clock = ManualClock()
    daemon, start = EventLog(tmp_path, "daemon", clock), EventLog(tmp_path, "start", clock)

    daemon.record("exited", "ended with signal SIGKILL", program="broker-1", status=None)
    clock.advance(1)
    start.record("started", "é")
    clock.advance(1)
    daemon.record("restarted", "again", program="broker-1")

    events = read_events(tmp_path)
    assert [(event.writer, event.kind, event.program) for event in events] == [
        ("daemon", "exited", "broker-1"),
        ("start", "started", ""),
        ("daemon", "restarted", "broker-1"),
    ]
    assert (events[0].facts, events[1].text, events[1].facts) == ({"status": None}, "é", {})


def test_a_name_that_is_not_utf_8_is_recorded_as_it_was_typed(tmp_path):
    EventLog(tmp_path, "commands", ManualClock()).record("operation_ended", "the topic \udcff\U0001f600", what="\udcff")

    (event,) = read_events(tmp_path)
    assert (event.text, event.facts) == ("the topic \udcff\U0001f600", {"what": "\udcff"})


def test_an_event_file_is_private(tmp_path):
    EventLog(tmp_path / "events", "daemon", ManualClock()).record("x", "y")

    (path,) = (tmp_path / "events").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("cut", ['{"at": "2026\n[]\n', '{"at": "2026'])
def test_a_line_cut_by_a_crash_is_passed_over_and_costs_no_other(tmp_path, cut):
    log = EventLog(tmp_path, "daemon", ManualClock())
    log.record("one", "whole")
    with (tmp_path / "daemon.jsonl").open("a") as file:
        file.write(cut)
    log.record("two", "whole")

    assert [event.kind for event in read_events(tmp_path)] == ["one", "two"]


def test_a_long_file_is_put_aside_and_still_read(tmp_path):
    log = EventLog(tmp_path, "daemon", ManualClock())
    log.record("long", "x" * 1_100_000)
    log.record("next", "y")

    assert {path.name for path in tmp_path.iterdir()} == {"daemon.jsonl", "daemon.jsonl.1"}
    assert {event.kind for event in read_events(tmp_path)} == {"long", "next"}


def test_events_of_a_writer_are_numbered_across_rotations_and_cut_lines(tmp_path):
    for text in ("first", "x" * 1_100_000, "third"):
        EventLog(tmp_path, "daemon", ManualClock()).record("exited", text)
    with (tmp_path / "daemon.jsonl").open("a") as file:
        file.write('{"at": "2026\n')
    EventLog(tmp_path, "daemon", ManualClock()).record("exited", "fourth")
    EventLog(tmp_path, "commands", ManualClock()).record("stopped", "by a command")

    numbers = [(event.writer, event.number) for event in read_events(tmp_path)]
    assert sorted(numbers) == [("commands", 1), *(("daemon", number) for number in range(1, 5))]


def test_an_event_tells_which_user_and_process_recorded_it(tmp_path):
    EventLog(tmp_path, "commands", ManualClock()).record("stopped", "clean")

    (event,) = read_events(tmp_path)
    assert event.who == f"{pwd.getpwuid(os.getuid()).pw_name} (pid {os.getpid()})"


def test_an_event_of_an_older_kraftd_has_no_number_and_nobody(tmp_path):
    old = {"at": "2026-01-01T00:00:00.000Z", "writer": "daemon", "kind": "exited", "program": "broker-1", "text": "x"}
    (tmp_path / "daemon.jsonl").write_text(json.dumps(old) + "\n")
    EventLog(tmp_path, "daemon", ManualClock()).record("restarted", "again")

    assert sorted((event.number, bool(event.who)) for event in read_events(tmp_path)) == [(0, False), (1, True)]


def test_no_directory_has_no_events(tmp_path):
    assert read_events(tmp_path / "absent") == []


def test_the_newest_events_of_all_writers_are_merged(tmp_path):
    clock = ManualClock(1000.0)
    writers = [EventLog(tmp_path, name, clock) for name in ("daemon", "command")]
    for number in range(10):
        clock.sleep(1.0)
        writers[number % 2].record("started", str(number))

    assert [event.text for event in recent_events(tmp_path, 3)] == ["7", "8", "9"]
    assert recent_events(tmp_path / "none", 3) == []
    assert recent_events(tmp_path, 0) == []


@pytest.fixture
def clock():
    return ManualClock(1000.0)


def texts(events):
    return [event.text for event in events]


def test_events_since_a_time_leave_out_earlier_ones_of_every_writer(tmp_path, clock):
    for number, writer in enumerate(("daemon", "commands", "daemon", "commands")):
        EventLog(tmp_path, writer, clock).record("exited", str(number))
        clock.advance(10.0)

    assert texts(events_since(tmp_path, 1010.0)) == ["1", "2", "3"]
    assert texts(events_since(tmp_path / "none", 0.0)) == []


def test_followed_events_go_on_across_a_rotation_without_loss_or_repetition(tmp_path, clock):
    daemon, commands = EventLog(tmp_path, "daemon", clock), EventLog(tmp_path, "commands", clock)
    daemon.record("exited", "first")
    found = follow_events(tmp_path, 0.0, clock)
    begun = texts(islice(found, 1))

    clock.advance(1.0)
    daemon.record("exited", "x" * 1_100_000)
    clock.advance(1.0)
    # The file of this writer is new, and the other one has just been rotated.
    commands.record("stopped", "second")
    daemon.record("restarted", "third")

    assert begun == ["first"]
    assert [text[:6] for text in texts(islice(found, 3))] == ["xxxxxx", "second", "third"]


def test_what_was_rotated_before_is_followed_from_its_beginning(tmp_path, clock):
    daemon = EventLog(tmp_path, "daemon", clock)
    daemon.record("exited", "x" * 1_100_000)
    daemon.record("restarted", "next")

    assert [text[:4] for text in texts(islice(follow_events(tmp_path, 0.0, clock), 2))] == ["xxxx", "next"]


def test_a_file_that_is_rotated_while_it_is_opened_is_shown_once(tmp_path, clock):
    EventLog(tmp_path, "daemon", clock).record("exited", "once")
    (tmp_path / "daemon.jsonl.1").hardlink_to(tmp_path / "daemon.jsonl")
    found = follow_events(tmp_path, 0.0, clock)
    next(found)
    EventLog(tmp_path, "daemon", clock).record("exited", "twice")

    assert next(found).text == "twice"


@pytest.mark.parametrize(
    "line", ["[]", "{", json.dumps({"at": 1, "writer": "daemon", "kind": "exited", "program": "", "text": "odd"})]
)
def test_a_damaged_line_is_skipped(tmp_path, clock, line):
    (tmp_path / "daemon.jsonl").write_text(f"{line}\n")
    EventLog(tmp_path, "daemon", clock).record("exited", "whole")

    assert texts(events_since(tmp_path, 0.0)) == ["whole"]


def test_of_an_event_that_the_disk_has_no_room_for_nothing_is_left(tmp_path):
    log = EventLog(tmp_path, "daemon", ManualClock())
    log.record("one", "whole")
    before = (tmp_path / "daemon.jsonl").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limits[1]))
    try:
        with pytest.raises(FileAccessError, match="no space left"):
            log.record("two", "cut off")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert (tmp_path / "daemon.jsonl").read_bytes() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for another user")
def test_a_new_file_of_events_is_that_of_the_user_whose_cluster_it_is(tmp_path):
    os.chown(tmp_path, 1234, 1235)
    log = EventLog(tmp_path, "commands", ManualClock())
    log.record("one", "x" * 1_100_000)
    log.record("two", "after a rotation")

    assert {path.stat().st_uid for path in tmp_path.iterdir()} == {1234}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_that_root_finds_in_the_place_of_the_events_is_not_given_away(tmp_path):
    (tmp_path / "roots").touch()
    (tmp_path / "ours").mkdir()
    os.chown(tmp_path / "ours", 1234, 1235)
    (tmp_path / "ours" / "commands.jsonl").symlink_to(tmp_path / "roots")

    EventLog(tmp_path / "ours", "commands", ManualClock()).record("one", "text")

    assert (tmp_path / "roots").stat().st_uid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_of_the_newest_events_those_that_another_user_keeps_private_are_left_out():
    # Not in tmp_path, which is private.
    with tempfile.TemporaryDirectory() as directory:
        EventLog(Path(directory), "commands", ManualClock()).record("one", "root's")
        os.chown(directory, 1234, 1235)
        EventLog(Path(directory), "daemon", ManualClock()).record("two", "the user's")
        os.seteuid(1234)
        try:
            found = recent_events(Path(directory), 5)
        finally:
            os.seteuid(0)

    assert [event.kind for event in found] == ["two"]
