"""The daemon's collector on real brokers: what it asks for, what it finds, and what is left when they go.

The tests are one story, in order: all is well, topics and groups go, the quorum goes, everything goes.
"""

import time
from contextlib import closing

import pytest

from kraftd.clock import SystemClock
from kraftd.kafka.admin import KafkaAdmin
from kraftd.kafka.round_trip import CANARY_TOPIC
from kraftd.observe.collector import Collector
from kraftd.plan.plan import Topic
from tests.harness import eventually
from tests.kafka.broker.library import KafkaAdminClient, commit, produce
from tests.kafka.broker.nodes import TIMEOUT_S, running_nodes
from tests.plans import plan_of

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

ORDERS = Topic("orders", ((1, 2), (2, 1), (1, 2), (2, 1)))
GROUPS = [f"group-{index}" for index in range(30)]
MOST_REQUESTS = 2 + 5 * 2 + 2
"""On two brokers: metadata and quorum, then five questions to each broker, and a canary through one of them."""
PACE = "[daemon]\nlag_interval_s = 0.5\n"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    with running_nodes(tmp_path_factory.mktemp("nodes")) as started:
        yield started


@pytest.fixture(scope="module")
def admin(nodes):
    with KafkaAdmin(nodes.access, timeout_s=TIMEOUT_S, client_id="collects") as opened:
        yield opened


@pytest.fixture
def library(nodes):
    """The library's own client; closed before a broker goes, for it leaves refused connections to be collected."""
    with closing(KafkaAdminClient(bootstrap_servers=nodes.bootstrap_servers.split(","))) as client:
        yield client


@pytest.fixture(scope="module")
def collector(admin, nodes):
    """A topic with records, thirty groups behind by one to ten of them, and a collector that looks twice a second."""
    (outcome,) = admin.create_topics([ORDERS], limit_s=20.0)
    assert outcome.failure is None
    produce(nodes, ORDERS, dict.fromkeys(range(4), 10))
    with closing(KafkaAdminClient(bootstrap_servers=nodes.bootstrap_servers.split(","))) as library:
        for index, group in enumerate(GROUPS):
            commit(library, group, {(ORDERS.name, partition): index % 10 for partition in range(4)})
    return Collector(admin, SystemClock(), plan_of(PACE))


def looked(collector, cycles=1):
    """Return the view after so many cycles."""
    for _ in range(cycles):
        time.sleep(0.5)
        collector.collect(is_settled=True)
    return collector.view


def test_everything_is_there_and_exact(collector):
    # A broker that was just started may be late with its first answers.
    view = eventually(lambda: (found := looked(collector, 2)).failures == {} and found, what="a look without failures")

    assert {name: view.lags[name].total.lag for name in GROUPS} == {
        name: 4 * (10 - index % 10) for index, name in enumerate(GROUPS)
    }
    assert {view.offsets.starts.values[ORDERS.name, partition] for partition in range(4)} == {0}
    assert {broker.node_id for broker in view.brokers} == {1, 2}


def test_the_canary_flies_through_one_broker_after_the_other_once_its_topic_is_there(collector):
    def flown():
        canary = looked(collector).canary
        return canary is not None and len(canary.sent_at_s) == 2 and collector.view

    view = eventually(flown, within_s=50)

    assert (set(view.canary.brokers.values), view.canary.failures) == ({1, 2}, {})
    assert CANARY_TOPIC in {topic.name for topic in view.topics}


def test_a_cycle_takes_as_many_requests_as_promised_as_the_brokers_count_them(collector, nodes, admin):
    # The brokers' log follows their answers.
    sent = eventually_logged(nodes, admin)
    for _ in range(8):
        looked(collector)
        now = eventually_logged(nodes, admin)
        took = now - sent
        assert 0 < took.total() <= MOST_REQUESTS, took
        sent = now


def eventually_logged(nodes, admin):
    """Return what the brokers logged of the collector, once it is as much as was sent; connections are no matter."""

    def logged():
        found = nodes.requests_from("collects")
        del found["API_VERSIONS"]
        return found if found.total() == sum(admin.requests.values()) else None

    return eventually(logged, within_s=30, what="the brokers log what was sent")


def test_the_time_lag_is_that_of_the_records(collector, nodes):
    written_s = time.time()
    produce(nodes, ORDERS, {0: 1})

    def bounded():
        age = looked(collector).time_lags[GROUPS[0]].get((ORDERS.name, 0))
        return age if age is not None and age.at_most_s is not None else None

    age = eventually(bounded)
    assert age.at_least_s <= time.time() - written_s + 60
    assert age.at_least_s >= 0


def test_a_group_that_is_deleted_is_gone_with_the_next_look(collector, library):
    assert GROUPS[1] in looked(collector).lags
    library.delete_groups([GROUPS[1]])

    view = looked(collector)
    assert GROUPS[1] not in view.groups
    assert GROUPS[1] not in view.lags


def test_a_topic_created_anew_under_its_name_has_no_old_offsets_and_no_old_groups(collector, admin, library):
    library.delete_topics([ORDERS.name])
    eventually(lambda: ORDERS.name not in admin.topics().values)
    (outcome,) = admin.create_topics([ORDERS], limit_s=20.0)
    assert outcome.failure is None

    def seen():
        view = looked(collector)
        ends = {view.offsets.ends.values.get((ORDERS.name, partition)) for partition in range(4)}
        return None not in ends and looked(collector)

    view = eventually(seen, within_s=30, what="every broker knows the new topic")
    assert {view.offsets.ends.values[ORDERS.name, partition] for partition in range(4)} == {0}
    assert {view.offsets.starts.values[ORDERS.name, partition] for partition in range(4)} == {0}
    lags = [lag for name, lag in view.lags.items() if name in GROUPS]
    assert all(each.lag == 0 for lag in lags for each in lag.partitions)
    assert all(age.at_least_s == 0 for time_lags in view.time_lags.values() for age in time_lags.values())


def test_a_killed_broker_costs_its_own_values_and_each_has_a_reason(collector, nodes):
    nodes.kill("broker-2")

    view = looked(collector)

    ends = view.offsets.ends
    assert set(view.unreadable.coordinators) <= {2}
    assert {key for key in (*ends.values, *ends.failures) if key[0] == ORDERS.name} == {
        (ORDERS.name, partition) for partition in range(4)
    }
    assert all(failure.retriable for failure in ends.failures.values())

    def is_whole_without_it():
        found = looked(collector)
        node_ids = [broker.node_id for broker in found.brokers]
        return (node_ids, found.offsets.ends.failures, found.unreadable.coordinators) == ([1], {}, {})

    eventually(is_whole_without_it, within_s=30, what="the other broker leads everything")


def test_a_lost_quorum_leaves_topics_and_lag_and_says_so(collector, nodes):
    nodes.kill("controller-101")

    view = eventually(lambda: (found := looked(collector)) and found.quorum is None and found, within_s=30)

    assert view.failures["quorum"].startswith("cannot ")
    assert view.topics is not None


def test_when_all_are_down_nothing_old_is_left_and_every_part_says_why(collector, nodes):
    nodes.kill("broker-1")

    view = looked(collector)

    assert (view.quorum, view.topics, view.brokers, view.groups, view.lags, view.offsets) == (None,) * 6
    assert {"quorum", "topics", "groups", "lag"} <= set(view.failures)
    assert all(reason.startswith("cannot reach Kafka") for reason in view.failures.values())
