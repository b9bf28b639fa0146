import json

import msgspec
import pytest

from kraftd.errors import NeedsRunningClusterError
from kraftd.health.programs.verdict import judge
from kraftd.health.report.health import health_document
from kraftd.host.http import Answer
from kraftd.operate.status import health_in, unread_lag
from tests.plans import plan_of
from tests.unit.health.views import full_snapshot

LOOK = full_snapshot()
HEALTH = health_document(plan_of(), LOOK, judge(LOOK), 1000.0)
WIRE = json.loads(msgspec.json.encode(HEALTH))


def read(document):
    return health_in(Answer(200, json.dumps(document)), plan_of())


def test_what_the_daemon_says_is_read_as_it_was_written():
    assert read(WIRE) == HEALTH


def test_fields_of_a_later_version_are_left_out():
    nodes = [{**node, "rack": "a"} for node in WIRE["nodes"]]

    assert read({**WIRE, "nodes": nodes, "chaos": {"running": True}}) == HEALTH


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({**WIRE, "schema_version": 2}, id="another schema"),
        pytest.param({key: value for key, value in WIRE.items() if key != "collectors"}, id="a field is missing"),
        pytest.param({**WIRE, "status": "splendid"}, id="a word is not known"),
    ],
)
def test_a_daemon_of_another_version_is_told_to_be_restarted(document):
    with pytest.raises(NeedsRunningClusterError, match="another version") as caught:
        read(document)

    assert "kraftd restart kraftd" in caught.value.hint


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(Answer(None, "connection refused"), "connection refused", id="nobody"),
        pytest.param(Answer(200, "<html>"), "something else answers there", id="no JSON"),
        pytest.param(Answer(200, "[]"), "something else answers there", id="other JSON"),
        pytest.param(Answer(200, json.dumps({**WIRE, "state_dir": "/else"})), "something else", id="another cluster"),
    ],
)
def test_who_is_not_this_clusters_daemon_is_not_believed(answer, reason):
    with pytest.raises(NeedsRunningClusterError, match=reason) as caught:
        health_in(answer, plan_of())

    assert caught.value.exit_code == 7


@pytest.mark.parametrize(
    ("failures", "message"),
    [
        ({}, "cannot show the lag of groups: they were not read yet"),
        ({"topics": "no broker", "lag": "no broker"}, "cannot show the lag of groups: no broker"),
        ({"topics": "it timed out", "lag": "no leader"}, "cannot show the lag of groups: it timed out; no leader"),
    ],
)
def test_each_reason_is_named_once(failures, message):
    error = unread_lag(failures)

    assert (str(error), error.exit_code) == (message, 7)
