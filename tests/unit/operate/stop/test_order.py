from dataclasses import replace

import pytest

from kraftd.operate.stop.order import (
    CLEAN_GRACE_S,
    CONTROLLER_GRACE_S,
    DUMP_AFTER_S,
    FINISH_GRACE_S,
    KILL_AFTER_S,
    LOST_DUMP_AFTER_S,
    LOST_KILL_AFTER_S,
    STARTING_GRACE_S,
    NodeStop,
    next_signals,
    quorum_holds,
)
from kraftd.plan.program import Kind

PATIENCE_S = 300.0
ONE = NodeStop("broker-1", Kind.BROKER, is_voter=True, alive=True, stopping=True)
TWO = replace(ONE, name="broker-2")
TIE = NodeStop("controller-101", Kind.CONTROLLER, is_voter=True, alive=True, stopping=True)


def signals(*nodes):
    return [(send.name, send.signal) for send in next_signals(nodes, patience_s=PATIENCE_S)]


def termed(node, seconds=0.0, **more):
    return replace(node, since_term_s=seconds, **more)


def clean(node, seconds, *, since_term_s=1.0):
    return replace(node, since_term_s=since_term_s, clean=True, since_clean_s=seconds)


def dead(node):
    return replace(node, alive=False)


def test_all_brokers_are_asked_at_once_and_the_tie_breaker_is_held_back():
    assert signals(ONE, TWO, TIE) == [("broker-1", "TERM"), ("broker-2", "TERM")]


def test_who_was_asked_is_not_asked_again_while_the_quorum_holds():
    assert signals(termed(ONE, 20.0), termed(TWO, 20.0), TIE) == []


def test_the_tie_breaker_is_asked_when_every_broker_has_closed_its_logs():
    assert signals(clean(ONE, 0.0), clean(TWO, 0.0), TIE) == [("controller-101", "TERM")]
    assert signals(clean(ONE, 0.0), termed(TWO), TIE) == []
    assert signals(dead(ONE), dead(TWO), TIE) == [("controller-101", "TERM")]


def test_the_tie_breaker_left_alone_is_ended_after_its_grace():
    gone = (dead(ONE), dead(TWO))

    assert signals(*gone, termed(TIE, CLEAN_GRACE_S - 0.01)) == []
    assert signals(*gone, termed(TIE, CLEAN_GRACE_S)) == [("controller-101", "KILL")]
    assert signals(*gone, termed(TIE, CLEAN_GRACE_S + 9, killed=True)) == []


def test_a_controller_that_leaves_a_quorum_has_longer_to_hand_over():
    stay = (replace(ONE, stopping=False), replace(TWO, stopping=False))

    assert signals(*stay, termed(TIE, CONTROLLER_GRACE_S - 0.01)) == []
    assert signals(*stay, termed(TIE, CONTROLLER_GRACE_S)) == [("controller-101", "KILL")]


def test_a_broker_with_closed_logs_may_finish_for_longer_while_the_quorum_holds():
    assert signals(clean(ONE, FINISH_GRACE_S - 0.01), termed(TWO), TIE) == []
    assert signals(clean(ONE, FINISH_GRACE_S), termed(TWO), TIE) == [("broker-1", "KILL")]


def test_a_broker_with_closed_logs_is_ended_soon_when_the_quorum_is_gone():
    # One broker of three nodes has ended, one closed its logs: the tie-breaker alone is no majority.
    assert ("broker-2", "KILL") not in signals(dead(ONE), clean(TWO, CLEAN_GRACE_S - 0.01), TIE)
    assert ("broker-2", "KILL") in signals(dead(ONE), clean(TWO, CLEAN_GRACE_S), TIE)


def test_brokers_with_closed_logs_may_finish_while_another_still_needs_their_votes():
    three = replace(ONE, name="broker-3")
    waiting = (clean(ONE, CLEAN_GRACE_S), clean(TWO, FINISH_GRACE_S - 0.01))

    assert signals(*waiting, termed(three)) == []
    assert signals(*waiting, clean(three, 0.0)) == [("broker-1", "KILL"), ("broker-2", "KILL")]
    assert signals(clean(ONE, FINISH_GRACE_S), dead(TWO), termed(three)) == [("broker-1", "KILL")]


@pytest.mark.parametrize(
    ("others", "dump_after_s", "kill_after_s"),
    [
        pytest.param((dead(TWO), dead(TIE)), LOST_DUMP_AFTER_S, LOST_KILL_AFTER_S, id="before the stop"),
        pytest.param((dead(termed(TWO)), dead(TIE)), DUMP_AFTER_S, KILL_AFTER_S, id="during the stop"),
    ],
)
def test_a_broker_that_lost_its_quorum_leaves_a_thread_dump_and_is_ended(others, dump_after_s, kill_after_s):
    def at(seconds, **more):
        return signals(termed(ONE, seconds, **more), *others)

    assert at(dump_after_s - 0.01) == []
    assert at(dump_after_s) == [("broker-1", "QUIT")]
    assert at(dump_after_s + 1, dumped=True) == []
    assert at(kill_after_s, dumped=True) == [("broker-1", "KILL")]
    assert at(kill_after_s + 1, dumped=True, killed=True) == []


def test_a_broker_asked_within_its_start_is_ended_when_no_started_one_needs_it():
    def at(seconds, *others):
        return signals(termed(TWO, seconds, starting=True), *others)

    assert at(STARTING_GRACE_S - 0.01, clean(ONE, 0.0), termed(TIE)) == []
    assert at(STARTING_GRACE_S, clean(ONE, 0.0), termed(TIE)) == [("broker-2", "KILL")]
    assert at(STARTING_GRACE_S, termed(ONE), TIE) == []
    assert at(STARTING_GRACE_S, replace(ONE, stopping=False), replace(TIE, stopping=False)) == [("broker-2", "KILL")]


def test_brokers_asked_within_their_start_do_not_wait_for_each_other():
    both = [termed(node, STARTING_GRACE_S, starting=True) for node in (ONE, TWO)]

    assert signals(*both, TIE) == [("broker-1", "KILL"), ("broker-2", "KILL")]


def test_a_broker_that_does_not_end_is_ended_when_patience_is_over():
    others = (replace(TWO, stopping=False), replace(TIE, stopping=False))

    assert signals(termed(ONE, PATIENCE_S - 0.01), *others) == []
    assert signals(termed(ONE, PATIENCE_S), *others) == [("broker-1", "KILL")]


def test_nodes_that_shall_not_stop_and_nodes_that_are_gone_get_nothing():
    assert signals(ONE, replace(TWO, stopping=False), dead(replace(TIE, stopping=True))) == [("broker-1", "TERM")]


def test_a_tie_breaker_stopped_alone_does_not_wait_for_brokers_that_go_on():
    assert signals(replace(ONE, stopping=False), replace(TWO, stopping=False), TIE) == [("controller-101", "TERM")]


def test_brokers_that_were_ended_hold_the_tie_breaker_back_no_more():
    assert signals(termed(ONE, 1.0, killed=True), dead(TWO), TIE) == [("controller-101", "TERM")]


def test_a_broker_that_is_no_voter_waits_for_the_quorum_like_any_other():
    extra = replace(ONE, name="broker-4", is_voter=False)

    assert signals(termed(extra, 20.0), ONE, replace(TWO, stopping=False), replace(TIE, stopping=False)) == [
        ("broker-1", "TERM")
    ]


@pytest.mark.parametrize(
    ("nodes", "holds"),
    [
        ((ONE, TWO, TIE), True),
        ((dead(ONE), TWO, TIE), True),
        ((dead(ONE), dead(TWO), TIE), False),
        ((clean(ONE, 0.0), TWO, TIE), True),
        ((clean(ONE, 0.0), dead(TWO), TIE), False),
        ((replace(ONE, clean=True), TWO, dead(TIE)), True),
        ((ONE,), True),
        ((dead(ONE),), False),
        ((ONE, dead(TWO), replace(TWO, name="broker-9", is_voter=False)), False),
    ],
)
def test_the_quorum_holds_while_a_majority_of_voters_takes_part(nodes, holds):
    assert quorum_holds(nodes) is holds
