import json
import logging

import pytest

from kraftd.daemon.doors import RememberedDesired, attach, record_event
from kraftd.errors import KraftdError
from kraftd.host.events import EventLog, events_since
from kraftd.host.lock import try_acquire
from kraftd.host.processes import Process
from kraftd.plan.desired import NOTHING_DESIRED, DesiredProgram
from kraftd.plan.layout import Layout
from kraftd.plan.program import Purpose
from tests.clocks import ManualClock
from tests.plans import plan_of

RUN = DesiredProgram(running=True, since="", by="start", why="")
STATE = NOTHING_DESIRED.changed(["broker-1"], RUN, 3)
DAMAGED = ["", STATE.to_json()[:40], "{}", "null"]


@pytest.fixture
def layout(tmp_path):
    made = Layout(tmp_path, tmp_path / "socket")
    made.desired.write_text(STATE.to_json())
    return made


@pytest.mark.parametrize("text", DAMAGED)
def test_a_desired_state_that_is_damaged_is_written_again_as_it_was_read_last(layout, text):
    remembered = RememberedDesired(layout)
    remembered.read()
    layout.desired.write_text(text)

    assert remembered.read() == STATE
    assert layout.desired.read_text() == STATE.to_json()


def test_while_a_command_holds_the_lock_the_damaged_file_is_left_to_it(layout):
    remembered = RememberedDesired(layout)
    remembered.read()
    layout.desired.write_text("")

    with try_acquire(layout.lock, command="stop"):
        assert remembered.read() == STATE
        assert layout.desired.read_text() == ""

    assert remembered.read() == STATE
    assert layout.desired.read_text() == STATE.to_json()


def test_what_a_command_writes_after_the_damage_counts(layout):
    remembered = RememberedDesired(layout)
    remembered.read()
    layout.desired.write_text("")
    remembered.read()
    layout.desired.write_text(NOTHING_DESIRED.to_json())

    assert remembered.read() == NOTHING_DESIRED


def test_a_removed_file_says_as_before_that_nothing_is_to_run(layout):
    remembered = RememberedDesired(layout)
    remembered.read()
    layout.desired.unlink()

    assert remembered.read() == NOTHING_DESIRED


@pytest.mark.parametrize("text", [*DAMAGED, json.dumps({"schema_version": 99})])
def test_a_file_that_was_never_read_or_is_too_new_is_told(layout, text):
    layout.desired.write_text(text)

    with pytest.raises(KraftdError, match="cannot read the desired state"):
        RememberedDesired(layout).read()

    assert layout.desired.read_text() == text


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        ("backup_scheduled", logging.INFO),
        ("recovered", logging.INFO),
        ("backup_failed", logging.WARNING),
        ("backups_not_removed", logging.WARNING),
        ("exited", logging.WARNING),
    ],
)
def test_only_an_event_of_trouble_is_a_warning_in_the_log(layout, caplog, kind, level):
    with caplog.at_level(logging.INFO, "kraftd.daemon"):
        record_event(EventLog(layout.events, "daemon", ManualClock()), kind, "producer", "as it is")

    assert [each.levelno for each in caplog.records] == [level]
    assert [each.kind for each in events_since(layout.events, 0.0)] == [kind]


def test_a_file_that_cannot_be_read_is_why_a_node_has_no_metrics_agent(layout):
    node = plan_of().nodes[0]
    listener = next(each for each in node.listeners if each.purpose is Purpose.METRICS)
    layout.metrics_agent(node.name).mkdir(parents=True)

    assert "is a directory" in attach(layout, ManualClock(), node, listener, Process(1, 1.0, 0.0))
