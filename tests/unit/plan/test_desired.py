import json
from pathlib import Path

import pytest

from kraftd.errors import KraftdError
from kraftd.plan.desired import NOTHING_DESIRED, DesiredProgram, parse_desired

PATH = Path("/srv/desired.json")
START = DesiredProgram(running=True, since="2026-01-01T00:00:00Z", by="start", why="asked")
STOP = DesiredProgram(running=False, since="2026-01-02T00:00:00Z", by="stop", why="asked")
PAUSE = DesiredProgram(running=True, since="2026-01-02T00:00:00Z", by="pause", why="asked", paused=True)


def test_nothing_is_desired_where_there_is_no_file():
    assert parse_desired(None, PATH) == NOTHING_DESIRED
    assert not NOTHING_DESIRED.wants("broker-1")


def test_a_state_reads_back_as_it_was_written():
    state = NOTHING_DESIRED.changed(["broker-1", "producer"], START, 3).changed(["producer"], STOP, 4)

    assert parse_desired(state.to_json(), PATH) == state


def test_a_change_reaches_the_named_programs_only():
    state = NOTHING_DESIRED.changed(["broker-1", "broker-2"], START, 1).changed(["broker-2"], STOP, 2)

    assert (state.wants("broker-1"), state.wants("broker-2"), state.generation) == (True, False, 2)


def test_who_is_of_the_same_mind_keeps_its_stamp():
    later = DesiredProgram(running=True, since="2026-01-03T00:00:00Z", by="start", why="again")

    state = NOTHING_DESIRED.changed(["broker-1"], START, 1).changed(["broker-1", "broker-2"], later, 2)

    assert (state.programs["broker-1"], state.programs["broker-2"]) == (START, later)


def test_a_pause_is_neither_running_nor_stopped_and_reads_back():
    state = NOTHING_DESIRED.changed(["a", "b"], START, 1).changed(["a"], PAUSE, 1)

    assert [(state.wants(name), state.is_paused(name)) for name in ("a", "b")] == [(False, True), (True, False)]
    assert parse_desired(state.to_json(), PATH) == state


@pytest.mark.parametrize("after", [START, STOP])
def test_a_start_and_a_stop_end_a_pause(after):
    state = NOTHING_DESIRED.changed(["a"], PAUSE, 1).changed(["a"], after, 1)

    assert (state.programs["a"], state.is_paused("a")) == (after, False)


def test_a_record_of_an_earlier_kraftd_has_no_pause():
    program = '{"running": true, "since": "", "by": "start", "why": ""}'
    text = f'{{"schema_version": 1, "generation": 1, "programs": {{"a": {program}}}}}'

    assert not parse_desired(text, PATH).is_paused("a")


def test_a_stop_before_any_start_is_remembered():
    assert NOTHING_DESIRED.changed(["broker-1"], STOP, 1).programs["broker-1"] == STOP


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"generation": 1, "programs": {}}',
        '{"schema_version": 1, "programs": {}}',
        '{"schema_version": 1, "generation": 1, "programs": {"a": {}}}',
    ],
)
def test_a_damaged_state_is_refused_by_its_path(text):
    with pytest.raises(KraftdError, match=f"cannot read the desired state {PATH}: it is damaged") as caught:
        parse_desired(text, PATH)

    assert caught.value.code == "desired_state_damaged"
    assert caught.value.hint


def test_a_state_of_a_newer_kraftd_is_refused():
    newer = json.dumps({**json.loads(NOTHING_DESIRED.to_json()), "schema_version": 2})

    with pytest.raises(KraftdError, match=f"{PATH}: it has schema version 2") as caught:
        parse_desired(newer, PATH)

    assert caught.value.code == "desired_state_too_new"
