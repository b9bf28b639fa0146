"""The Kafka door while a broker is killed and comes back; each hazard is shown on the library first.

The tests are one story, in order: before, down, back, and the quorum lost; so they have nodes of their own.
"""

import time

import pytest

from kraftd.health.programs.stop_blockers import PartitionsOffline, QuorumLoss, stop_blockers
from kraftd.kafka.admin import KafkaAdmin
from kraftd.kafka.model import KafkaAccessError, KafkaUnavailableError, Partition
from kraftd.kafka.probe import ProbeState, probe
from kraftd.kafka.wire import NO_LEADER
from kraftd.plan.plan import Topic
from tests.harness import eventually
from tests.kafka.broker.library import (
    KafkaError,
    NotCoordinatorError,
    OffsetSpec,
    TopicPartition,
    commit,
    library_client,
)
from tests.kafka.broker.nodes import HOST, TIMEOUT_S, caught_up, running_nodes

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.timeout(180),
    # The library's own client leaves the sockets of refused connections to be collected.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

REPLICATED, SINGLE = Topic("replicated", ((1, 2), (2, 1))), Topic("single", ((1,), (2,)))
GROUPS = [f"group-{index}" for index in range(12)]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    with running_nodes(tmp_path_factory.mktemp("nodes")) as started:
        yield started


@pytest.fixture(scope="module")
def admin(nodes):
    with KafkaAdmin(nodes.access, timeout_s=TIMEOUT_S) as opened:
        yield opened


@pytest.fixture(scope="module")
def bare(nodes):
    """The library's own admin client, with its cache of coordinators."""
    with library_client(nodes.bootstrap_servers, request_timeout_ms=2000) as client:
        yield client


@pytest.fixture(scope="module")
def before(admin, bare):
    """Two topics, and groups with a commit on each partition, on both coordinators; the cache is filled."""
    outcomes = admin.create_topics([REPLICATED, SINGLE], limit_s=20.0)
    assert [outcome.failure for outcome in outcomes] == [None, None]
    for group in GROUPS:
        commit(bare, group, {(topic.name, index): 0 for topic in (REPLICATED, SINGLE) for index in range(2)})
    assert set(bare.list_group_offsets(GROUPS)) == set(GROUPS)
    return admin.groups().groups


@pytest.fixture(scope="module")
def just_down(nodes, admin, before):
    """Broker 2 is killed, and what the door says at once, while the cluster still counts it."""
    partitions = _partitions(admin)
    nodes.kill("broker-2")
    return {
        "groups": admin.groups(),
        "ends": admin.end_offsets(partitions),
        "probe": probe(HOST, nodes.client_port("broker-2"), TIMEOUT_S),
    }


@pytest.fixture(scope="module")
def down(admin, just_down):
    """Broker 2 is fenced: what it led has another leader or none."""
    eventually(lambda: all(partition.leader != 2 for partition in _partitions(admin)))
    eventually(lambda: set(admin.groups().groups) == set(GROUPS))
    return just_down


@pytest.fixture(scope="module")
def back(nodes, admin, down):
    """Broker 2 runs again and is in sync; it coordinates no group, for leaders do not move back by themselves."""
    nodes.start("broker-2")
    eventually(lambda: all(len(p.in_sync_replicas) == len(p.replicas) for p in _partitions(admin)))


def _partitions(admin):
    return [partition for topic in admin.topics().values.values() for partition in topic.partitions]


def test_groups_stand_on_both_coordinators(before):
    assert set(before) == set(GROUPS)
    assert {group.coordinator for group in before.values()} == {1, 2}


def test_one_killed_broker_ends_the_librarys_listing_of_groups_but_not_the_doors(just_down, bare, before):
    with pytest.raises(KafkaError):
        bare.list_groups(broker_ids=[1, 2])

    listed = just_down["groups"]
    assert {name for name, group in before.items() if group.coordinator == 1} <= set(listed.groups)
    assert listed.broker_failures[2].error == "CONNECTION_FAILED"


def test_one_killed_broker_costs_the_end_offsets_that_it_led_and_no_others(just_down):
    ends = just_down["ends"]

    assert {key for key in ends.values if key[0] == "single"} == {("single", 0)}
    assert ends.failures["single", 1].error == "CONNECTION_FAILED"


def test_a_killed_broker_refuses(just_down):
    assert just_down["probe"].state is ProbeState.REFUSED


def test_a_partition_without_a_leader_ends_the_librarys_listing_but_not_the_doors(down, bare, admin):
    with pytest.raises(KafkaError):
        bare.list_partition_offsets(
            {TopicPartition("single", 0): OffsetSpec.LATEST, TopicPartition("single", 1): OffsetSpec.LATEST}
        )

    partitions = admin.topics(["single"]).values["single"].partitions
    ends = admin.end_offsets(partitions)
    assert partitions[1] == Partition("single", 1, None, (2,), (2,))
    assert ends.values == {("single", 0): 0}
    assert ends.failures == {("single", 1): NO_LEADER}


def test_while_a_broker_is_down_the_other_may_not_stop(down, admin):
    partitions = _partitions(admin)
    min_in_sync_replicas = admin.min_in_sync_replicas({partition.topic for partition in partitions}).values

    found = stop_blockers({1}, admin.quorum(), partitions, min_in_sync_replicas)

    (offline,) = [blocker for blocker in found if isinstance(blocker, PartitionsOffline)]
    assert {("replicated", 0), ("replicated", 1)} <= set(offline.partitions)
    assert "single" not in {topic for topic, _ in offline.partitions}


def test_a_group_without_coordinator_ends_the_librarys_commits_but_not_the_doors(down, bare, admin):
    with pytest.raises(KafkaError):
        bare.list_group_offsets(GROUPS)

    committed = admin.committed(admin.groups().groups.values())
    assert (set(committed.values), committed.failures) == (set(GROUPS), {})


def test_the_library_asks_a_coordinator_that_moved_for_ever_the_door_finds_the_new(back, bare, admin, before):
    moved = [name for name, group in before.items() if group.coordinator == 2]
    for _ in range(3):
        eventually(lambda: _error_of_listing(bare, moved) is NotCoordinatorError)

    groups = admin.groups().groups
    committed = admin.committed(groups[name] for name in moved)
    assert {groups[name].coordinator for name in moved} == {1}
    assert (set(committed.values), committed.failures) == (set(moved), {})


def _error_of_listing(client, groups):
    try:
        client.list_group_offsets(groups)
    except KafkaError as error:
        return type(error)
    return None


def test_once_it_is_back_everything_is_known_again(back, admin):
    eventually(lambda: admin.end_offsets(_partitions(admin)).failures == {})
    eventually(lambda: admin.groups().broker_failures == {})


def test_a_lost_quorum_is_an_error_that_says_so_within_the_limit(admin, nodes):
    """Last of this module: it costs two nodes."""
    eventually(lambda: caught_up(admin))
    nodes.kill("controller-101")
    expected = (QuorumLoss(voters=3, majority=2, remaining=(2,)),)
    eventually(lambda: _blockers_of_stopping_broker_1(admin) == expected, within_s=20.0)
    nodes.kill("broker-2")

    error = eventually(lambda: _quorum_error(admin), within_s=20.0)
    assert str(error).startswith("cannot ")
    assert error.retriable
    # It may have fallen silent over the quorum, and has less time to answer then.
    eventually(lambda: 1 in _broker_ids(admin), within_s=20.0, what="the broker that is left answers")


def _blockers_of_stopping_broker_1(admin):
    try:
        return stop_blockers({1}, admin.quorum(), [], {})
    except KafkaUnavailableError:
        return None


def _broker_ids(admin):
    try:
        return {broker.node_id for broker in admin.brokers()}
    except KafkaAccessError:
        return set()


def _quorum_error(admin):
    started_s = time.monotonic()
    try:
        admin.quorum()
    except KafkaAccessError as error:
        assert time.monotonic() - started_s < 5 * TIMEOUT_S
        return error
    return None
