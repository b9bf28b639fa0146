"""The commands for when something is wrong, on a cluster that is not running."""

import json

import pytest

from kraftd.clock import SystemClock
from kraftd.host.events import EventLog
from tests.integration.formatted import format_cluster
from tests.integration.refusals import refused

pytestmark = pytest.mark.integration


@pytest.fixture
def plan(cluster):
    return format_cluster(cluster)


@pytest.fixture
def events(plan):
    log = EventLog(plan.layout.events, "daemon", SystemClock())
    log.record("exited", "ended with signal SIGKILL", program="broker-1")
    log.record("restarted", "signal SIGKILL", program="broker-1")
    return log


def test_events_are_lines_for_people_and_documents_for_scripts(cluster, events):
    shown = cluster.run("events", check=True).stdout.splitlines()
    documents = [json.loads(line) for line in cluster.run("events", "--json", check=True).stdout.splitlines()]

    assert ["exited" in shown[0], "restarted" in shown[1], len(shown)] == [True, True, 2]
    assert [(each["writer"], each["program"], each["kind"]) for each in documents] == [
        ("daemon", "broker-1", "exited"),
        ("daemon", "broker-1", "restarted"),
    ]


def test_followed_events_are_shown_as_they_are_recorded(cluster, events):
    following = cluster.spawn("events", "-f", "--json")
    try:
        kinds = [json.loads(following.stdout.readline())["kind"] for _ in range(2)]
        events.record("given_up", "it cannot work", program="broker-1")
        kinds.append(json.loads(following.stdout.readline())["kind"])
    finally:
        following.terminate()
        following.communicate()

    assert kinds == ["exited", "restarted", "given_up"]


@pytest.mark.parametrize("since", ["yesterday", "0s", "2026-01-31T12:00:00", ""])
def test_a_time_that_there_is_not_is_refused_with_an_example(cluster, plan, since):
    error = refused(cluster, "events", f"--since={since}", status=2, code="bad_since")

    assert "10m" in error["hint"]


def test_there_are_no_events_of_a_cluster_that_was_never_started(cluster):
    refused(cluster, "events", status=3, code="never_started")
