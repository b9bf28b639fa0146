import json
from itertools import islice

import pytest

from kraftd.host.events import EventLog
from kraftd.operate.diagnose.events import events_since, follow_events
from tests.clocks import ManualClock


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
