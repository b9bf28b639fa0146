import pytest

from kraftd.health.programs.ladder import SERVES, Answer, ProcessFact
from kraftd.health.programs.restarts import RestartHistory
from kraftd.health.programs.state import LastExit, ObservedPrograms, ServiceState, views
from kraftd.plan.desired import NOTHING_DESIRED, DesiredProgram
from tests.plans import TOOLS, plan_of

NOW_S = 1000.0
WANTED = DesiredProgram(running=True, since="", by="start", why="")
DESIRED = NOTHING_DESIRED.changed(plan_of().names, WANTED, 1)
KILLED = LastExit("2026-01-01T00:00:00.000Z", None, "SIGKILL", "out of memory")


def view(name, *, fact=None, answer=None, desired=DESIRED, memory=None, ended=None):
    facts = ObservedPrograms(
        {name: fact} if fact else {},
        {name: answer} if answer else {},
        desired,
        {name: memory} if memory else {},
        {name: ended} if ended else {},
    )
    return next(each for each in views(plan_of(), facts, NOW_S) if each.name == name)


def running(for_s):
    return ProcessFact("RUNNING", 4711, NOW_S - for_s)


@pytest.mark.parametrize(
    ("facts", "state", "reason"),
    [
        ({"fact": running(5), "answer": SERVES}, ServiceState.READY, None),
        ({"fact": running(5), "answer": Answer(ready=False, reason="refused")}, ServiceState.STARTING, "refused"),
        ({"fact": running(60), "answer": Answer(ready=False, reason="refused")}, ServiceState.UNREADY, "refused"),
        ({"fact": running(5)}, ServiceState.STARTING, "it was not asked"),
        ({"desired": NOTHING_DESIRED}, ServiceState.STOPPED, None),
        ({"fact": ProcessFact("EXITED", None, 1.0)}, ServiceState.DOWN, "it does not run (EXITED)"),
        ({}, ServiceState.DOWN, "it does not run (STOPPED)"),
        ({"ended": KILLED}, ServiceState.DOWN, "it ended with signal SIGKILL: out of memory"),
        ({"ended": LastExit("", 1, None)}, ServiceState.DOWN, "it ended with exit status 1"),
        ({"memory": RestartHistory(given_up="5 restarts"), "ended": KILLED}, ServiceState.GIVEN_UP, "5 restarts"),
        ({"memory": RestartHistory(next_at_s=NOW_S + 4, why="port"), "ended": KILLED}, ServiceState.BACKOFF, "port"),
        (
            {"memory": RestartHistory(next_at_s=NOW_S - 10, why="port"), "ended": KILLED},
            ServiceState.DOWN,
            "it ended with signal SIGKILL: out of memory",
        ),
        ({"memory": RestartHistory(next_at_s=NOW_S + 4), "desired": NOTHING_DESIRED}, ServiceState.STOPPED, None),
    ],
)
def test_what_was_found_out_decides_the_service_state(facts, state, reason):
    found = view("broker-1", **facts)

    assert (found.service_state, found.reason, found.ready) == (state, reason, state is ServiceState.READY)


def test_what_has_served_and_does_not_answer_any_more_is_not_starting():
    silent = Answer(ready=False, reason="no answer")
    facts = ObservedPrograms({"broker-1": running(5)}, {"broker-1": silent}, DESIRED, served=frozenset({"broker-1"}))

    assert views(plan_of(), facts, NOW_S)[0].service_state is ServiceState.UNREADY


@pytest.mark.parametrize(
    ("facts", "reason", "ready"),
    [
        ({"fact": running(500), "answer": SERVES}, None, True),
        ({"fact": running(5), "answer": Answer(ready=False, reason="silent")}, "silent", False),
        ({"fact": running(500), "answer": Answer(ready=False)}, "it does not serve", False),
        ({"ended": KILLED}, "it ended with signal SIGKILL: out of memory", False),
        ({"memory": RestartHistory(given_up="port")}, "it does not run (STOPPED)", False),
    ],
)
def test_a_paused_program_says_whether_it_serves_and_since_when_it_is_left_alone(facts, reason, ready):
    paused = DesiredProgram(running=True, since="2026-01-01T00:00:00Z", by="pause", why="", paused=True)

    found = view("broker-1", desired=DESIRED.changed(["broker-1"], paused, 1), **facts)

    assert (found.service_state, found.reason, found.ready) == (ServiceState.PAUSED, reason, ready)
    assert "2026-01-01T00:00:00Z" in found.notes[0]
    assert "kraftd resume broker-1" in found.notes[0]
    assert found.is_wanted


def test_a_node_shows_what_the_plan_gives_it():
    found = view("broker-2", fact=running(12.5), answer=SERVES, memory=RestartHistory(restarts=3), ended=KILLED)

    assert (found.node_id, found.pid, found.process_state, found.restarts) == (2, 4711, "RUNNING", 3)
    assert (found.listeners, found.jmx_port) == (("127.0.0.1:9093", "127.0.0.1:10093"), 10000)
    assert (found.heap_bytes, found.uptime_s, found.last_exit) == (4 * 1024**3, 12.5, KILLED)
    assert found.log == "/srv/kraftd/local/logs/broker-2/server.log"


def test_an_app_and_the_daemon_have_no_node():
    producer, daemon = view("producer"), view("kraftd")

    assert (producer.node_id, producer.jmx_port, producer.heap_bytes) == (None, None, None)
    assert (producer.listeners, daemon.listeners) == (("127.0.0.1:8001",), ("127.0.0.1:8000",))
    assert producer.log == "/srv/kraftd/local/logs/producer/console.log"


def test_what_waits_for_its_restart_says_when_it_is():
    assert view("broker-1", memory=RestartHistory(next_at_s=1004.5)).next_restart_at == "1970-01-01T00:16:44.500Z"
    assert view("broker-1", fact=running(5), memory=RestartHistory(next_at_s=1004.5)).next_restart_at is None


def test_what_does_not_run_has_no_uptime():
    assert view("broker-1", fact=ProcessFact("EXITED", None, 1.0)).uptime_s is None


def test_programs_come_in_the_order_of_the_plan():
    found = views(plan_of(), ObservedPrograms({}, {}, DESIRED), NOW_S)

    assert [each.name for each in found] == list(plan_of().names)


def test_a_tool_shows_where_it_listens_and_logs():
    found = next(
        each for each in views(plan_of(TOOLS), ObservedPrograms({}, {}, DESIRED), NOW_S) if each.name == "grafana"
    )

    assert (found.kind.value, found.node_id, found.listeners) == ("tool", None, ("127.0.0.1:3000",))
    assert found.log == "/srv/kraftd/local/logs/grafana/console.log"
