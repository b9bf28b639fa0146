import json

import pytest

from kraftd.health.programs.causes import Cause
from kraftd.health.programs.restarts import (
    GiveUp,
    Policy,
    Restart,
    RestartHistory,
    decide,
    from_json,
    to_json,
    unreadable,
)

POLICY = Policy(most_restarts=3, window_s=60.0)
KILLED = Cause("signal SIGKILL", "Look at the kernel's log.")
MISFORMED = Cause("exit status 1: bad", "Fix it.", retry_helps=False)


def decided(memory=None, *, state="EXITED", cause=KILLED, now_s=1000.0):
    return decide(POLICY, memory or RestartHistory(), program="broker-1", process_state=state, cause=cause, now_s=now_s)


@pytest.mark.parametrize("state", ["STOPPED", "EXITED", "FATAL", "BACKOFF"])
def test_what_ended_is_started_again_and_remembered(state):
    memory, action = decided(RestartHistory(restarts=4), state=state)

    assert action == Restart("broker-1", "signal SIGKILL")
    assert memory == RestartHistory((1000.0,), 5)


@pytest.mark.parametrize("state", ["RUNNING", "STARTING", "STOPPING", "UNKNOWN", "ORPHANED"])
def test_what_runs_or_is_on_its_way_is_left_alone(state):
    memory = RestartHistory((999.0,), 1)

    assert decided(memory, state=state) == (memory, None)


def test_the_budget_allows_so_many_restarts_and_no_more():
    memory, actions = RestartHistory(), []
    for now_s in (1000.0, 1001.0, 1002.0, 1003.0):
        memory, action = decided(memory, now_s=now_s)
        actions.append(type(action))

    assert actions == [Restart, Restart, Restart, GiveUp]
    assert memory.restarts == 3
    assert memory.given_up == ("3 restarts in 1 minutes did not help: signal SIGKILL. Look at the kernel's log.")


def test_by_default_five_restarts_in_ten_minutes_are_tried():
    assert Policy() == Policy(most_restarts=5, window_s=600.0)


def test_a_restart_of_this_very_moment_counts():
    assert isinstance(decided(RestartHistory((1000.0, 1000.0, 1000.0), 3))[1], GiveUp)


def test_giving_up_is_said_once():
    memory, action = decided(RestartHistory(given_up="enough"))

    assert (memory, action) == (RestartHistory(given_up="enough"), None)


@pytest.mark.parametrize(("oldest_s", "action"), [(940.0, Restart), (940.001, GiveUp)])
def test_a_restart_leaves_the_budget_when_the_window_has_passed(oldest_s, action):
    memory = RestartHistory((oldest_s, 990.0, 995.0), 3)

    assert isinstance(decided(memory)[1], action)


def test_only_restarts_within_the_window_are_remembered():
    memory, _ = decided(RestartHistory((1.0, 2.0, 999.0), 9))

    assert memory.restarted_at_s == (999.0, 1000.0)


def test_restarts_of_the_future_do_not_count_after_the_clock_went_back():
    _, action = decided(RestartHistory((5000.0, 5001.0, 5002.0), 3))

    assert isinstance(action, Restart)


def test_what_cannot_help_is_not_tried():
    memory, action = decided(cause=MISFORMED)

    assert action == GiveUp("broker-1", "exit status 1: bad. A restart cannot help. Fix it.")
    assert (memory.given_up, memory.restarts) == (action.why, 0)


def test_a_memory_reads_back_as_it_was_written():
    restart_histories = {"broker-1": RestartHistory((1.5, 2.5), 7, "why"), "producer": RestartHistory()}

    assert from_json(to_json(restart_histories)) == restart_histories


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", '{"programs": []}', '{"programs": {"a": {}}}', '{"programs": {"a": 1}}']
)
def test_a_damaged_memory_is_a_fresh_budget(text):
    assert from_json(text) == {}
    assert bool(unreadable(text)) is bool(text)


def test_the_memory_of_a_newer_kraftd_is_a_fresh_budget():
    newer = json.dumps({**json.loads(to_json({"broker-1": RestartHistory((1.5,), 7, "why")})), "schema_version": 2})

    assert from_json(newer) == {}
    assert unreadable(newer) == "it has schema version 2, this kraftd knows 1"


def test_the_memory_of_a_kraftd_that_wrote_no_version_is_read():
    restart_histories = {"broker-1": RestartHistory((1.5,), 7, "why")}
    earlier = json.dumps({"programs": json.loads(to_json(restart_histories))["programs"]})

    assert from_json(earlier) == restart_histories
    assert unreadable(earlier) is None
