import json

import pytest

from kraftd.health.programs.causes import Cause
from kraftd.health.programs.restarts import (
    GiveUp,
    Policy,
    Restart,
    RestartHistory,
    Wait,
    decide,
    from_json,
    pause_before,
    to_json,
    unreadable,
    while_running,
)

POLICY = Policy()
KILLED = Cause("signal SIGKILL", "Look at the kernel's log.")
MISFORMED = Cause("exit status 1: bad", "Fix it.", retry_helps=False)
WAITING = RestartHistory(attempts=3, restarts=7, exit_at="a", next_at_s=1004.0, why="port")
GIVEN_UP = RestartHistory(attempts=3, restarts=7, exit_at="a", given_up="bad")


def decided(memory=None, *, state="EXITED", cause=KILLED, exit_at="a", now_s=1000.0):
    return decide(
        POLICY,
        memory or RestartHistory(),
        program="broker-1",
        process_state=state,
        cause=cause,
        exit_at=exit_at,
        now_s=now_s,
    )


@pytest.mark.parametrize("state", ["STOPPED", "EXITED", "FATAL", "BACKOFF"])
def test_what_ended_is_started_again_at_once_and_remembered(state):
    memory, action = decided(RestartHistory(restarts=4), state=state)

    assert action == Restart("broker-1", "signal SIGKILL")
    assert memory == RestartHistory(attempts=1, restarts=5, exit_at="a")


@pytest.mark.parametrize("state", ["RUNNING", "STARTING", "STOPPING", "UNKNOWN", "ORPHANED"])
def test_what_runs_or_is_on_its_way_is_left_alone(state):
    memory = RestartHistory(attempts=1, restarts=1)

    assert decided(memory, state=state) == (memory, None)


def test_the_second_restart_waits_with_the_cause_and_the_remedy():
    memory, action = decided(RestartHistory(attempts=1, restarts=1, exit_at="a"), exit_at="b")

    assert action == Wait("broker-1")
    assert (memory.attempts, memory.restarts, memory.exit_at) == (1, 1, "b")
    assert 1000.8 <= memory.next_at_s <= 1001.0
    assert memory.why == "signal SIGKILL. Look at the kernel's log."


@pytest.mark.parametrize(("now_s", "action"), [(1003.9, None), (1004.0, Restart("broker-1", "signal SIGKILL"))])
def test_a_pause_is_waited_out(now_s, action):
    assert decided(WAITING, now_s=now_s)[1] == action


def test_the_pauses_double_to_a_minute_and_go_on_for_ever():
    pauses_s = [
        pause_before(POLICY, "broker-1", RestartHistory(attempts=attempts, restarts=attempts))
        for attempts in (0, 1, 2, 3, 4, 5, 6, 7, 8, 100_000)
    ]

    longest_s = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0)
    assert all(0.8 * most <= pause <= most for pause, most in zip(pauses_s, longest_s, strict=True))


def test_programs_that_end_together_wait_for_different_and_repeatable_times():
    memory = RestartHistory(attempts=5, restarts=5)

    pauses_s = {name: pause_before(POLICY, name, memory) for name in ("broker-1", "broker-2", "broker-3")}

    assert len(set(pauses_s.values())) == 3
    assert pauses_s["broker-1"] == pause_before(POLICY, "broker-1", memory)


def test_a_pause_of_a_clock_that_went_back_since_is_over():
    assert isinstance(decided(WAITING, now_s=900.0)[1], Restart)


def test_what_cannot_help_is_not_tried_and_said_once():
    memory, action = decided(cause=MISFORMED)

    assert action == GiveUp("broker-1", "exit status 1: bad. A restart cannot help. Fix it.")
    assert (memory.given_up, memory.restarts) == (action.why, 0)
    assert decided(memory, cause=MISFORMED) == (memory, None)


def test_a_cause_that_ends_with_a_full_stop_gets_no_second_one():
    _, action = decided(RestartHistory(), cause=Cause("exit status 1: a must be 1.", "Fix it.", retry_helps=False))

    assert action.why == "exit status 1: a must be 1. A restart cannot help. Fix it."


@pytest.mark.parametrize("memory", [WAITING, GIVEN_UP])
def test_an_exit_of_a_run_that_a_command_began_is_answered_as_the_first(memory):
    changed, action = decided(memory, exit_at="b")

    assert isinstance(action, Restart)
    assert changed == RestartHistory(attempts=1, restarts=8, exit_at="b")


@pytest.mark.parametrize("memory", [WAITING, GIVEN_UP])
def test_what_waited_and_runs_was_started_by_a_command(memory):
    assert while_running(POLICY, memory, "a", 0.0) == RestartHistory(restarts=7)


def test_a_run_after_an_exit_that_nobody_answered_was_started_by_a_command():
    memory = RestartHistory(attempts=3, restarts=7, exit_at="a")

    assert while_running(POLICY, memory, "a", 0.0) == memory
    assert while_running(POLICY, memory, None, 0.0) == memory
    assert while_running(POLICY, memory, "b", 0.0) == RestartHistory(restarts=7)


@pytest.mark.parametrize(("healthy_s", "attempts"), [(119.9, 3), (120.0, 0)])
def test_two_minutes_of_serving_end_the_pauses(healthy_s, attempts):
    memory = RestartHistory(attempts=3, restarts=7, exit_at="a")

    changed = while_running(POLICY, memory, "a", healthy_s)

    assert (changed.attempts, changed.restarts) == (attempts, 7)


def test_a_memory_reads_back_as_it_was_written():
    restart_histories = {"broker-1": WAITING, "broker-2": GIVEN_UP, "producer": RestartHistory()}

    assert from_json(to_json(restart_histories)) == restart_histories


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", '{"programs": []}', '{"programs": {"a": {}}}', '{"programs": {"a": 1}}']
)
def test_a_damaged_memory_is_an_empty_one(text):
    assert from_json(text) == {}
    assert bool(unreadable(text)) is bool(text)


def test_the_memory_of_a_newer_kraftd_is_an_empty_one():
    newer = json.dumps({**json.loads(to_json({"broker-1": WAITING})), "schema_version": 3})

    assert from_json(newer) == {}
    assert unreadable(newer) == "it has schema version 3, this kraftd knows 2"


@pytest.mark.parametrize("version", [{}, {"schema_version": 1}])
def test_the_memory_of_an_earlier_kraftd_is_read_and_what_it_gave_up_is_tried(version):
    programs = {"broker-1": {"restarted_at_s": [1.5, 2.5], "restarts": 7, "given_up": "5 restarts did not help"}}
    earlier = json.dumps({**version, "programs": programs})

    assert from_json(earlier) == {"broker-1": RestartHistory(attempts=2, restarts=7)}
    assert unreadable(earlier) is None
