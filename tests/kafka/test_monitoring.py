"""What the daemon tells of a cluster while its brokers are killed, frozen, and come back."""

import contextlib
import json
import re
import signal
import statistics
import time
import urllib.request

import pytest

from tests.harness import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

KILLED_WITHIN_S, FROZEN_WITHIN_S, BACK_WITHIN_S = 2.0, 8.0, 2.0
SCRAPE_S = 0.005


def value(cluster, name, **labels):
    """Return a series of the daemon's, None where there is none."""
    wanted = ",".join(f'{key}="{text}"' for key, text in labels.items())
    body = cluster.get("kraftd", "/metrics")[1]
    found = re.search(rf"^{name}\{{{re.escape(wanted)}\}} (\S+)$", body, re.MULTILINE)
    return float(found[1]) if found else None


def health(cluster):
    return json.loads(cluster.get("kraftd", "/health")[1])


def is_down_everywhere(cluster, broker):
    node = next(node for node in health(cluster)["nodes"] if node["name"] == f"broker-{broker}")
    return not node["ready"] and value(cluster, "kraftd_broker_up", broker_id=broker) == 0


def is_up_everywhere(cluster):
    is_up = all(value(cluster, "kraftd_broker_up", broker_id=broker) == 1 for broker in (1, 2))
    return is_up and health(cluster)["status"] == "ok"


@pytest.fixture
def quiet(cluster):
    """The cluster, well before and after the test."""
    eventually(lambda: is_up_everywhere(cluster), within_s=60, what="the cluster is well")
    yield cluster
    eventually(lambda: is_up_everywhere(cluster), within_s=60, what="the cluster is well again")


@pytest.mark.perf
def test_a_killed_broker_shows_within_two_seconds_and_its_return_as_fast(quiet):
    quiet.kill("broker-2")

    eventually(lambda: is_down_everywhere(quiet, 2), within_s=KILLED_WITHIN_S, what="the kill shows")
    eventually(lambda: quiet.get("kraftd", "/health/brokers/2")[0] == 204, within_s=60, what="it is back")
    eventually(
        lambda: value(quiet, "kraftd_broker_up", broker_id=2) == 1, within_s=BACK_WITHIN_S, what="its return shows"
    )


@pytest.mark.perf
def test_a_frozen_broker_shows_within_eight_seconds_and_a_scrape_stays_fast(quiet):
    pid = quiet.kill("broker-2", signal.SIGSTOP)
    try:
        eventually(lambda: is_down_everywhere(quiet, 2), within_s=FROZEN_WITHIN_S, what="the freeze shows")
        took_s = scrapes(quiet, 200)
        eventually(
            lambda: (
                value(quiet, "kraftd_unreadable", kind="coordinator", error="TIMED_OUT")
                or value(quiet, "kraftd_broker_unfenced", broker_id=2) == 0
            ),
            within_s=20,
            what="what is missing has a reason",
        )
    finally:
        quiet.kill("broker-2", signal.SIGCONT)
    assert pid == quiet.pid("broker-2")
    eventually(lambda: value(quiet, "kraftd_broker_up", broker_id=2) == 1, within_s=8, what="its return shows")
    assert statistics.median(took_s) < SCRAPE_S


def scrapes(cluster, count):
    took_s = []
    for _ in range(count):
        began_s = time.perf_counter()
        with urllib.request.urlopen(cluster.url("kraftd", "/metrics"), timeout=10) as response:
            response.read()
        took_s.append(time.perf_counter() - began_s)
    return took_s


def test_the_canary_goes_through_both_brokers(quiet):
    def flown():
        writes = [value(quiet, "kraftd_canary_write_seconds_count", broker_id=broker) for broker in (1, 2)]
        return all(writes) and "__kraftd_probe" in quiet.get("kraftd", "/metrics")[1]

    eventually(flown, within_s=60, what="a canary came back")


def test_a_group_that_reads_has_no_lag_and_a_stopped_one_what_was_written_since(quiet):
    group = {"consumergroup": "test-group", "topic": quiet.topic}

    def has_read_all():
        """The group has a commit on every partition, without which there is no lag to speak of."""
        quiet.send({"n": 0})
        return value(quiet, "kafka_consumergroup_uncommitted_partitions", consumergroup="test-group") == 0

    eventually(has_read_all, within_s=40, what="a commit on every partition")
    sent_s = time.time()

    def has_no_lag():
        """What was sent last is read too: the lag was measured since."""
        measured_s = value(quiet, "kraftd_collector_last_success_timestamp_seconds", collector="lag")
        return measured_s > sent_s + 1 and value(quiet, "kafka_consumergroup_lag_sum", **group) == 0

    eventually(has_no_lag, within_s=30, what="no lag")
    quiet.run("stop", "consumer", check=True)
    seen = []

    def lags_by_seven():
        seen.append(value(quiet, "kafka_consumergroup_lag_sum", **group))
        return seen[-1] == 7

    try:
        for number in range(7):
            quiet.send({"n": number})
        with contextlib.suppress(AssertionError):
            eventually(lags_by_seven, within_s=30)
        assert seen[-1] == 7, quiet.run("lag", "--group", "test-group").stdout
        assert value(quiet, "kafka_consumergroup_members", consumergroup="test-group") == 0
        eventually(lambda: longest_wait_s(quiet) > 5, within_s=60, what="the time lag is known")
        assert longest_wait_s(quiet) < 120
    finally:
        quiet.run("start", "consumer", check=True)
    eventually(lambda: value(quiet, "kafka_consumergroup_lag_sum", **group) == 0, within_s=40, what="no lag again")


def longest_wait_s(cluster):
    """Return the time lag of the app's group; those that other tests left behind wait for longer."""
    body = cluster.get("kraftd", "/metrics")[1]
    series = r'^kafka_consumergroup_lag_seconds\{consumergroup="test-group",.*\} (\S+)$'
    return max(map(float, re.findall(series, body, re.MULTILINE)), default=0)
