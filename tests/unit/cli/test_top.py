from dataclasses import replace
from io import StringIO

import pytest

from kraftd.cli.terminal import Console
from kraftd.cli.top import lag_status, time_lag, top_view
from kraftd.health.lag.status import LagStatus
from kraftd.health.lag.view import KafkaView
from kraftd.health.programs.state import ServiceState
from kraftd.health.programs.verdict import judge
from kraftd.health.report.documents import TimeLag
from kraftd.health.report.health import health_document, status_document
from kraftd.health.report.history import History, Moment, Rates
from tests.plans import plan_of
from tests.unit.health.views import full_snapshot, program, snapshot

HISTORY = History((Moment(995.0, 12.5, 3, None, None),), Rates(topics={"orders": 2.5}, cpu={"broker-1": 0.07}))


def printed(document, *, keys=False, width=200):
    console = Console(file=StringIO(), width=width, highlight=False)
    console.print(top_view(document, keys=keys))
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def health(look, history=HISTORY):
    return health_document(plan_of(), look, judge(look), 1001.0, history)


def test_everything_stands_on_one_screen():
    lines = printed(health(full_snapshot()))

    assert lines[0].startswith("Cluster local: degraded · Kafka 3.9.2")
    assert lines[1] == "seen 1 s ago · quorum leader 1, epoch 3, voters at most 3 behind · in 12/s"
    assert "broker-1 READY 4711 12 s 7 % 858.3 MiB 120 0" in lines
    assert "broker-1 yes 1 2/2 2.0 ms 5.0 ms, 3 s ago ?" in lines
    assert "readers Stable 1 ? 12 s stall" in lines
    assert "orders 2 1 2 ? 2.5/s" in lines


def test_a_broker_that_is_gone_stays_with_what_is_known_of_it():
    assert "broker-2 no 0 0/2 ? ? ?" in printed(health(full_snapshot()))


def test_what_is_not_known_is_a_question_mark_with_its_reason():
    view = KafkaView(failures={"groups": "they are loading", "topics": "it timed out"})

    lines = printed(health(snapshot(program("broker-1"), kafka=view), History()))

    assert lines[1] == "seen 1 s ago · quorum leader ?, epoch ?, voters at most ? behind · in ?"
    assert "Groups are not known: they are loading" in lines
    assert "Topics are not known: it timed out" in lines


def test_without_the_daemon_the_programs_stand_alone():
    look = snapshot(program("broker-1"), replace(program("kraftd", ServiceState.DOWN), pid=None))

    lines = printed(status_document(plan_of(), look, judge(look), "command"))

    assert "broker-1 READY 4711 12 s ? ? ? 0" in lines
    assert lines[-1].startswith("The daemon does not answer")


def test_keys_are_named_only_where_someone_can_press_them():
    assert printed(health(full_snapshot()), keys=True)[1].endswith("q ends")
    assert not printed(health(full_snapshot()))[1].endswith("q ends")


def test_names_that_look_like_markup_are_shown_as_they_are():
    view = full_snapshot().kafka
    hostile = "[bold red]x[/]"
    renamed = replace(view, groups={hostile: view.groups["readers"]}, lags={hostile: view.lags["readers"]})

    assert any(line.startswith(hostile) for line in printed(health(replace(full_snapshot(), kafka=renamed))))


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (None, "?"),
        (TimeLag(0.0, 0.0, 0.0), "none"),
        (TimeLag(10.0, None, 10.0), "over 10 s"),
        (TimeLag(10.0, 14.0, 12.0), "12 s"),
    ],
)
def test_a_time_lag_is_told_as_well_as_it_is_known(age, text):
    assert time_lag(age).plain == text


def test_a_lag_status_is_shown_as_its_word():
    assert (lag_status(None).plain, lag_status(LagStatus.STALL).plain) == ("-", "stall")
