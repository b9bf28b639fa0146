import pytest

from kraftd.health.programs.stop_blockers import (
    MinInSyncReplicasUnknown,
    PartitionsOffline,
    PartitionsReadOnly,
    QuorumLoss,
    QuorumUnknown,
    describe_blocker,
    quorum_loss,
    stop_blockers,
)
from kraftd.kafka.model import Partition, Quorum, Voter


def quorum(ages_s, leader_id=1):
    voters = tuple(Voter(node_id, 10, 0, age_s) for node_id, age_s in ages_s.items())
    return Quorum(leader_id=leader_id, leader_epoch=1, high_watermark=10, voters=voters, observers=())


def partition(replicas, in_sync, index=0, topic="t"):
    return Partition(topic, index, in_sync[0] if in_sync else None, tuple(replicas), tuple(in_sync))


HEALTHY = quorum({1: 0.0, 2: 0.2, 101: 0.3})


@pytest.mark.parametrize(
    ("node_id", "ages_s", "expected"),
    [
        pytest.param(1, {1: 0.0, 2: 0.2, 101: 0.3}, None, id="all three voters live"),
        pytest.param(101, {1: 0.0, 2: 0.2, 101: 0.3}, None, id="the tie-breaker of three"),
        pytest.param(1, {1: 0.0, 2: 30.0, 101: 0.3}, QuorumLoss(3, 2, (101,)), id="one is dead already"),
        pytest.param(2, {1: 0.0, 2: 30.0, 101: 0.3}, None, id="the one that is dead already"),
        pytest.param(1, {1: 0.0, 2: None, 101: 0.3}, QuorumLoss(3, 2, (101,)), id="one was never there"),
        pytest.param(1, {1: 0.0, 2: 2.0, 101: 0.3}, QuorumLoss(3, 2, (101,)), id="one is too far behind"),
        pytest.param(1, {1: 0.0, 2: 0.1}, QuorumLoss(2, 2, (2,)), id="two voters need both"),
        pytest.param(1, {1: 0.0}, None, id="a quorum of one ends with its voter"),
        pytest.param(4, {1: 0.0, 2: 30.0, 3: 0.0}, None, id="a broker that is not a voter"),
        pytest.param(1, {1: 0.0, 2: 0.1, 3: 0.1, 4: 30.0, 5: 0.1}, None, id="two of five away"),
        pytest.param(1, {1: 0.0, 2: 0.1, 3: 0.1, 4: 30.0, 5: 30.0}, QuorumLoss(5, 3, (2, 3)), id="three of five away"),
    ],
)
def test_a_stop_costs_the_quorum_when_the_caught_up_voters_left_are_no_majority(node_id, ages_s, expected):
    assert quorum_loss({node_id}, quorum(ages_s)) == expected


@pytest.mark.parametrize(
    ("node_id", "replicas", "in_sync", "min_in_sync", "expected"),
    [
        pytest.param(1, [1, 2], [1, 2], 1, (), id="the other replica is in sync"),
        pytest.param(1, [1, 2], [1], 1, (PartitionsOffline((("t", 0),)),), id="the last in sync"),
        pytest.param(2, [1, 2], [1], 1, (), id="a replica out of sync"),
        pytest.param(3, [1, 2], [1], 1, (), id="no replica of it"),
        pytest.param(1, [1], [1], 1, (), id="one replica does not count"),
        pytest.param(1, [1, 2], [1, 2], 2, (), id="as many replicas as must be in sync do not count"),
        pytest.param(1, [1, 2], [1], 2, (), id="nor when one of these is away"),
        pytest.param(1, [1, 2, 3], [1, 2, 3], 2, (), id="one in sync to spare"),
        pytest.param(1, [1, 2, 3], [1, 2], 2, (PartitionsReadOnly((("t", 0),)),), id="none in sync to spare"),
        pytest.param(1, [1, 2, 3], [1], 2, (PartitionsOffline((("t", 0),)),), id="the last in sync of three"),
        pytest.param(3, [1, 2, 3], [1, 2], 2, (), id="out of sync of three"),
        pytest.param(1, [1, 2], [], 1, (), id="nothing in sync to lose"),
    ],
)
def test_a_stop_costs_a_partition_when_too_few_replicas_in_sync_are_left(
    node_id, replicas, in_sync, min_in_sync, expected
):
    found = stop_blockers({node_id}, HEALTHY, [partition(replicas, in_sync)], {"t": min_in_sync})

    assert found == expected


def test_every_partition_at_risk_is_named():
    partitions = [partition([1, 2], [1], 0), partition([1, 2], [1, 2], 1), partition([2, 1], [1], 2)]

    assert stop_blockers({1}, HEALTHY, partitions, {"t": 1}) == (PartitionsOffline((("t", 0), ("t", 2))),)


def test_all_blockers_are_named_at_once():
    degraded = quorum({1: 0.0, 2: 30.0, 101: 0.3})

    found = stop_blockers({1}, degraded, [partition([1, 2], [1])], {"t": 1})

    assert found == (QuorumLoss(3, 2, (101,)), PartitionsOffline((("t", 0),)))


def test_an_unknown_quorum_blocks_a_stop():
    assert stop_blockers({1}, None, [], {}) == (QuorumUnknown(),)


def test_an_unknown_min_in_sync_replicas_blocks_a_stop_of_its_brokers_only():
    partitions = [partition([1, 2], [1, 2])]

    assert stop_blockers({1}, HEALTHY, partitions, {}) == (MinInSyncReplicasUnknown(("t",)),)
    assert stop_blockers({3}, HEALTHY, partitions, {}) == ()


def test_two_nodes_that_may_stop_alone_may_not_stop_together():
    partitions = [partition([1, 2], [1, 2], 0), partition([1, 2, 3], [1, 2, 3], 1, topic="u")]
    min_in_sync = {"t": 1, "u": 2}
    for node_id in (1, 2):
        assert stop_blockers({node_id}, HEALTHY, partitions, min_in_sync) == ()

    assert stop_blockers({1, 2}, HEALTHY, partitions, min_in_sync) == (
        QuorumLoss(3, 2, (101,)),
        PartitionsOffline((("t", 0),)),
        PartitionsReadOnly((("u", 1),)),
    )


def test_nodes_with_nothing_in_common_may_stop_together():
    five = quorum({1: 0.0, 2: 0.1, 3: 0.1, 4: 0.1, 5: 0.1})

    assert stop_blockers({1, 2}, five, [partition([1, 3], [1, 3]), partition([2, 3], [2, 3], 1)], {"t": 1}) == ()


FIVE = tuple(("orders", number) for number in range(5))


@pytest.mark.parametrize(
    ("blocker", "text"),
    [
        (QuorumLoss(3, 2, (1,)), "only 1 of 3 voters would be left, and the quorum needs 2"),
        (QuorumUnknown(), "no quorum leader answers"),
        (PartitionsOffline((("orders", 0),)), "no in-sync replica of orders-0 would be left"),
        (
            PartitionsReadOnly(FIVE),
            "fewer in-sync replicas than min.insync.replicas would be left of"
            " orders-0, orders-1, orders-2, orders-3 and 1 more",
        ),
        (PartitionsOffline(FIVE[:4]), "no in-sync replica of orders-0, orders-1, orders-2, orders-3 would be left"),
        (MinInSyncReplicasUnknown(("a", "b")), "min.insync.replicas of a, b could not be read"),
    ],
)
def test_a_blocker_is_described_in_words(blocker, text):
    assert describe_blocker(blocker) == text
