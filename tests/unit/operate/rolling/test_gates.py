"""What must hold before a node is restarted, and after; and which one is next."""

from dataclasses import replace

import pytest

from kraftd.health.programs.ladder import SERVES, Answer
from kraftd.kafka.model import BrokerEndpoint, ClusterMetadata, Failure, Partial, Partition, Quorum, TopicState, Voter
from kraftd.operate.rolling.gates import Gate, closed_gates, partitions_interrupted, restart_order
from tests.plans import plan_of

PLAN = plan_of()
ANSWERS = {node.name: SERVES for node in PLAN.nodes}
QUORUM = Quorum(1, 7, 100, tuple(Voter(node_id, 100, 0, 0.0) for node_id in (1, 2, 101)), ())


def metadata(*partitions, alive=(1, 2), failures=None):
    topic = TopicState("t", False, partitions or (Partition("t", 0, 1, (1, 2), (1, 2)),))
    brokers = tuple(BrokerEndpoint(node_id, "127.0.0.1", 9091 + node_id) for node_id in alive)
    return ClusterMetadata(brokers, Partial({"t": topic}, failures or {}))


def behind(node_id, age_s):
    voters = tuple(
        replace(each, last_caught_up_age_s=age_s) if each.node_id == node_id else each for each in QUORUM.voters
    )
    return replace(QUORUM, voters=voters)


def test_a_cluster_that_is_whole_opens_every_gate():
    assert closed_gates(PLAN, ANSWERS, QUORUM, metadata()) == ()


@pytest.mark.parametrize(
    ("gate", "nodes", "partitions", "state"),
    [
        (Gate.SERVING, ("broker-2",), (), {"answers": {**ANSWERS, "broker-2": Answer(ready=False, reason="silent")}}),
        (Gate.SERVING, ("broker-2",), (), {"metadata": metadata(alive=(1,))}),
        (Gate.QUORUM, ("controller-101",), (), {"quorum": behind(101, 60.0)}),
        (Gate.QUORUM, ("controller-101",), (), {"quorum": behind(101, None)}),
        (Gate.QUORUM, ("broker-1", "broker-2", "controller-101"), (), {"quorum": replace(QUORUM, leader_id=None)}),
        (Gate.IN_SYNC, (), (("t", 0),), {"metadata": metadata(Partition("t", 0, 1, (1, 2), (1,)))}),
        (Gate.IN_SYNC, (), (("t", 3),), {"metadata": metadata(Partition("t", 3, None, (2,), (2,)))}),
        (Gate.PREFERRED, (), (("t", 0),), {"metadata": metadata(Partition("t", 0, 2, (1, 2), (2, 1)))}),
        (Gate.KAFKA, (), (), {"metadata": metadata(failures={"u": Failure("X", "x", True)})}),
    ],
)
def test_a_closed_gate_names_the_nodes_and_partitions(gate, nodes, partitions, state):
    given = {"answers": ANSWERS, "quorum": QUORUM, "metadata": metadata(), **state}

    found = closed_gates(PLAN, given["answers"], given["quorum"], given["metadata"])

    assert [each.gate for each in found if each.gate is not Gate.PREFERRED or gate is Gate.PREFERRED] == [gate]
    assert (found[0].nodes, found[0].partitions) == (nodes, partitions)
    assert found[0].text


def test_a_long_list_of_partitions_is_cut_short_in_the_text_only():
    partitions = tuple(Partition("t", number, 1, (1, 2), (1,)) for number in range(9))

    (found,) = closed_gates(PLAN, ANSWERS, QUORUM, metadata(*partitions))

    assert len(found.partitions) == 9
    assert "t-3 and 5 more are" in found.text


def test_only_partitions_without_another_replica_are_interrupted():
    partitions = (
        Partition("t", 0, 1, (1,), (1,)),
        Partition("t", 1, 2, (2,), (2,)),
        Partition("t", 2, 1, (1, 2), (1, 2)),
    )

    assert partitions_interrupted(partitions, (1,)) == (("t", 0),)


TWO, THREE = "", "[cluster]\nbrokers = 3"


@pytest.mark.parametrize(
    ("toml", "names", "active", "order"),
    [
        (TWO, ("broker-1", "broker-2", "controller-101"), 1, ("broker-2", "controller-101", "broker-1")),
        (TWO, ("broker-1", "broker-2", "controller-101"), 2, ("broker-1", "controller-101", "broker-2")),
        (TWO, ("broker-1", "broker-2", "controller-101"), 101, ("broker-1", "broker-2", "controller-101")),
        (TWO, ("broker-1", "broker-2", "controller-101"), None, ("broker-1", "broker-2", "controller-101")),
        (THREE, ("broker-3", "broker-2", "broker-1"), 2, ("broker-1", "broker-3", "broker-2")),
        (TWO, ("kraftd", "consumer", "broker-1", "producer"), 1, ("broker-1", "producer", "consumer", "kraftd")),
        (TWO, ("broker-2",), 2, ("broker-2",)),
        (TWO, (), 1, ()),
    ],
)
def test_nodes_come_by_id_the_active_controller_last_and_then_the_rest(toml, names, active, order):
    assert restart_order(plan_of(toml), names, active) == order
