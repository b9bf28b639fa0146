import pytest

from kraftd.health.programs.ladder import Silence
from kraftd.health.programs.watchdog import (
    Hang,
    Run,
    Step,
    describe,
    dumps_threads,
    is_served_elsewhere,
    next_step,
    node_in_the_way,
    observed,
    taken,
)
from kraftd.plan.kinds import WatchdogLimits
from tests.plans import plan_of

LIMITS = WatchdogLimits(node_silent_s=30.0, app_silent_s=15.0, start_silent_s=300.0)
PLAN = plan_of()
BROKER, PRODUCER, CONTROLLER = PLAN.program("broker-1"), PLAN.program("producer"), PLAN.program("controller-101")
LONG = Run(uptime_s=5000.0, has_served=True, log_age_s=4000.0)
FROZEN, CLOSED = Silence.NO_ANSWER, Silence.NOT_LISTENING
NOW_S = 1000.0


def step_after(program, silent_s, *, silence=FROZEN, probes=9, run=LONG):
    return next_step(LIMITS, program, Hang(silence, NOW_S - silent_s, probes), run, NOW_S)


@pytest.mark.parametrize(
    ("program", "patient_s", "hung_s"),
    [(BROKER, 29.9, 30.0), (CONTROLLER, 29.9, 30.0), (PRODUCER, 14.9, 15.0)],
    ids=lambda each: getattr(each, "name", None),
)
def test_a_silent_program_is_woken_after_the_time_of_its_kind(program, patient_s, hung_s):
    assert step_after(program, patient_s) is None
    assert step_after(program, hung_s) is Step.WAKE


def test_two_silent_probes_are_no_long_silence_however_far_apart():
    assert step_after(BROKER, 5000.0, probes=2) is None


@pytest.mark.parametrize(
    ("uptime_s", "has_served", "step"), [(59.0, False, None), (59.0, True, Step.WAKE), (60.0, False, Step.WAKE)]
)
def test_a_young_program_has_its_grace_until_it_has_served(uptime_s, has_served, step):
    assert step_after(PRODUCER, 40.0, run=Run(uptime_s, has_served, 0.0)) is step


@pytest.mark.parametrize(
    ("silent_s", "log_age_s", "step"),
    [
        (299.0, 5000.0, None),
        (5000.0, 299.0, None),
        (5000.0, 0.5, None),
        (300.0, 300.0, Step.WAKE),
        (300.0, None, Step.WAKE),
    ],
)
def test_what_recovers_its_logs_is_left_alone_while_it_writes_of_that(silent_s, log_age_s, step):
    assert step_after(BROKER, silent_s, silence=CLOSED, run=Run(5000.0, has_served=False, log_age_s=log_age_s)) is step


def test_each_step_gives_the_one_before_its_time():
    hang = taken(Hang(FROZEN, NOW_S - 30, 9), Step.WAKE, NOW_S)
    steps = []
    for now_s in range(int(NOW_S), int(NOW_S) + 60):
        if step := next_step(LIMITS, BROKER, hang, LONG, float(now_s)):
            hang = taken(hang, step, float(now_s))
            steps.append((now_s - NOW_S, step))

    assert steps == [(10.0, Step.TERMINATE), (40.0, Step.KILL)]


def test_an_app_gets_no_longer_than_a_stop_gives_it():
    hang = taken(Hang(FROZEN, 0.0, 9), Step.TERMINATE, NOW_S)

    assert next_step(LIMITS, PRODUCER, hang, LONG, NOW_S + 19.9) is None
    assert next_step(LIMITS, PRODUCER, hang, LONG, NOW_S + 20.0) is Step.KILL


def test_an_answer_ends_a_silence_and_another_kind_of_silence_begins_it_anew():
    silent = observed(observed(None, FROZEN, 1.0), FROZEN, 2.0)

    assert (silent.since_s, silent.probes) == (1.0, 2)
    assert observed(silent, None, 3.0) is None
    assert observed(silent, CLOSED, 3.0) == Hang(CLOSED, 3.0)


@pytest.mark.parametrize(
    ("ready", "hangs", "obstacle"),
    [
        (["broker-2", "controller-101"], {}, None),
        (["controller-101"], {}, "broker-2 is not back yet"),
        (["controller-101"], {"broker-2": Hang(CLOSED, 1.0)}, "broker-2 is not back yet"),
        (["controller-101"], {"broker-2": Hang(FROZEN, 1.0, step=Step.WAKE)}, None),
        (["controller-101"], {"broker-2": Hang(FROZEN, 1.0, step=Step.TERMINATE)}, "broker-2 is not back yet"),
        (["broker-2"], {"controller-101": Hang(FROZEN, 1.0, step=Step.KILL)}, "controller-101 is not back yet"),
    ],
)
def test_one_node_is_ended_at_a_time(ready, hangs, obstacle):
    assert node_in_the_way(BROKER, PLAN.nodes, ready, hangs) == obstacle


def test_an_app_waits_for_no_node():
    assert node_in_the_way(PRODUCER, PLAN.nodes, [], {}) is None


def test_a_tool_is_not_asked_for_its_threads_which_would_end_it():
    tools = plan_of("[prometheus]\nenabled = true").tools

    assert [dumps_threads(each) for each in (BROKER, PRODUCER, *tools)] == [True, True, False]


@pytest.mark.parametrize(
    ("step", "obstacle", "text"),
    [
        (
            Step.WAKE,
            None,
            "the watchdog dumped its threads into its log and continued it",
        ),
        (Step.TERMINATE, None, "the watchdog sent it SIGTERM"),
        (Step.KILL, None, "the watchdog sent it SIGKILL"),
        (
            Step.WAKE,
            "no quorum leader answers",
            "the watchdog leaves it running, because no quorum leader answers",
        ),
    ],
)
def test_what_was_done_is_told(step, obstacle, text):
    told = describe(Hang(FROZEN, NOW_S - 31, 9, step, NOW_S, obstacle), BROKER, NOW_S)

    assert told == f"it has given no answer for 31 s; {text}"


WOKEN = taken(Hang(FROZEN, NOW_S - 60.0), Step.WAKE, NOW_S - 30.0)


@pytest.mark.parametrize(
    ("ready", "hangs", "is_served"),
    [
        (["broker-2"], {"broker-1": WOKEN}, True),
        (["broker-1", "producer"], {"broker-1": WOKEN, "broker-2": WOKEN}, False),
        ([], {"broker-1": WOKEN, "broker-2": Hang(FROZEN, NOW_S)}, True),
        ([], {"broker-1": WOKEN}, False),
    ],
    ids=["the other answers", "both hang", "the other missed a probe", "the other does not run"],
)
def test_the_end_of_a_hung_broker_costs_nothing_where_no_other_serves(ready, hangs, is_served):
    assert is_served_elsewhere(BROKER, PLAN.brokers, ready, hangs) is is_served


def test_the_end_of_the_only_broker_costs_nothing():
    alone = plan_of("[cluster]\nbrokers = 1")

    assert not is_served_elsewhere(alone.program("broker-1"), alone.brokers, [], {"broker-1": WOKEN})
