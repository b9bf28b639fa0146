from dataclasses import replace

import pytest

from kraftd.errors import ConfigurationError, UnknownNameError
from kraftd.health.programs.ladder import LogRecovery, Rung
from kraftd.health.programs.state import ServiceState
from kraftd.health.programs.verdict import judge
from kraftd.health.report.health import status_document
from kraftd.operate.start.wait import Condition, is_met, missing, parse_condition
from tests.plans import plan_of
from tests.unit.health.views import program, snapshot

PLAN = plan_of()


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("ready", Condition("cluster", Rung.READY)),
        ("cluster:ready", Condition("cluster", Rung.READY)),
        ("stopped", Condition("cluster", None)),
        ("quorum", Condition("cluster", Rung.QUORUM)),
        ("cluster:in-sync", Condition("cluster", Rung.IN_SYNC)),
        ("broker-1:ready", Condition("broker-1", Rung.SERVING)),
        ("broker-1:serving", Condition("broker-1", Rung.SERVING)),
        ("broker-2:in-sync", Condition("broker-2", Rung.IN_SYNC)),
        ("producer:stopped", Condition("producer", None)),
        ("producer:ready", Condition("producer", Rung.READY)),
        ("kraftd:listening", Condition("kraftd", Rung.LISTENING)),
        ("controller-101:ready", Condition("controller-101", Rung.READY)),
    ],
)
def test_a_condition_is_a_rung_of_the_cluster_or_of_a_program(text, condition):
    assert parse_condition(text, PLAN) == condition


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("", ""),
        (":ready", "Did you mean ready? "),
        ("broker-1", ""),
        ("broker-1:", ""),
        ("broker-1:gone", ""),
        ("broker-1:registred", "Did you mean registered? "),
        ("producer:recovered", ""),
        ("cluster:spawned", ""),
        ("READY", ""),
    ],
)
def test_a_rung_that_there_is_not_is_refused_with_what_there_is(text, nearest):
    with pytest.raises(ConfigurationError, match="no such rung") as caught:
        parse_condition(text, PLAN)

    assert caught.value.exit_code == 2
    assert caught.value.hint.startswith(f"{nearest}Known names: ")
    assert "stopped" in caught.value.details["known"]


@pytest.mark.parametrize("text", ["ready:broker-1", "broker-9:ready", "brokers:gone"])
def test_a_name_that_there_is_not_is_refused_with_those_that_there_are(text):
    with pytest.raises(UnknownNameError) as caught:
        parse_condition(text, PLAN)

    assert caught.value.details["known"] == ["cluster", *PLAN.names]


RECOVERING = replace(
    program("broker-2", ServiceState.STARTING, "refused"), rung=Rung.LISTENING, recovery=LogRecovery(12, 309)
)
STOPPED = replace(program("producer", ServiceState.STOPPED), pid=None)
SERVING = replace(program("broker-1"), rung=Rung.SERVING)


def document(*programs):
    look = snapshot(*programs)
    return status_document(PLAN, look, judge(look), "daemon")


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("broker-1:serving", True),
        ("broker-1:ready", True),
        ("broker-1:spawned", True),
        ("broker-1:in-sync", False),
        ("broker-2:spawned", True),
        ("broker-2:listening", True),
        ("broker-2:recovered", False),
        ("broker-2:ready", False),
        ("broker-2:stopped", False),
        ("producer:stopped", True),
        ("producer:spawned", False),
        ("cluster:quorum", True),
        ("cluster:brokers", False),
        ("cluster:ready", False),
        ("cluster:stopped", False),
    ],
)
def test_a_condition_is_met_from_its_rung_on(text, met):
    assert is_met(document(SERVING, RECOVERING, STOPPED), parse_condition(text, PLAN), PLAN) is met


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("broker-2:ready", "broker-2 is STARTING (listening, logs recovered 12 of 309)"),
        ("cluster:brokers", "broker-2 is STARTING (listening, logs recovered 12 of 309)"),
        ("broker-1:in-sync", "broker-1 is READY (serving)"),
        ("broker-1:stopped", "broker-1 runs"),
        ("producer:ready", "producer is STOPPED"),
    ],
)
def test_what_is_missing_names_the_program_and_its_rung(text, said):
    assert missing(document(SERVING, RECOVERING, STOPPED), parse_condition(text, PLAN)) == said


def test_a_cluster_that_is_ready_and_not_in_sync_names_the_brokers_that_lag():
    ready = document(SERVING, replace(program("broker-2"), rung=Rung.IN_SYNC))

    assert missing(ready, parse_condition("cluster:in-sync", PLAN)) == "broker-1 is READY (serving)"


@pytest.mark.parametrize(("word", "is_there"), [("ready", False), ("in-sync", False), ("stopped", True)])
def test_a_program_that_has_left_meanwhile_is_stopped_and_on_no_rung(word, is_there):
    condition = parse_condition(f"broker-2:{word}", PLAN)

    assert is_met(document(SERVING), condition, PLAN) is is_there
    assert is_there or missing(document(SERVING), condition) == "the cluster has no such program now"
