"""The balanced placement: even, with the fewest moves, compared with every placement of small clusters."""

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kraftd.operate.scale.placement import FlowNetwork, added, balanced


def counts(placement):
    """Return how many replicas and how many preferred leaders each broker has."""
    replicas = Counter(broker for each in placement.values() for broker in each)
    return replicas, Counter(each[0] for each in placement.values())


def rotated(topics, brokers, factor):
    """Return the placement that Kafka gives topics, by name, with their numbers of partitions."""
    return {
        (topic, partition): tuple((partition + follower) % brokers + 1 for follower in range(factor))
        for topic, partitions in topics.items()
        for partition in range(partitions)
    }


def spread(counted, brokers):
    """Return how many more the fullest of the brokers has than the emptiest."""
    found = [counted[broker] for broker in brokers]
    return max(found) - min(found)


def of_topic(placement, topic):
    return {key: replicas for key, replicas in placement.items() if key[0] == topic}


def is_even(placement, brokers):
    topics = {topic for topic, _ in placement}
    parts = [placement, *(of_topic(placement, topic) for topic in topics)]
    return all(spread(counts(part)[0], brokers) <= 1 for part in parts)


def fewest_moves(current, brokers, factors):
    """Return the fewest moves to an even placement, of all placements that there are."""
    options = [itertools.combinations(brokers, factors.get(key, len(current[key]))) for key in current]
    placements = (dict(zip(current, chosen, strict=True)) for chosen in itertools.product(*options))
    return min(len(added(current, placement)) for placement in placements if is_even(placement, brokers))


@st.composite
def topologies(draw, partitions, brokers):
    """Return a placement, the brokers that it may use from now on, and new replication factors."""
    before = draw(st.integers(1, brokers))
    after = draw(st.lists(st.integers(1, brokers), min_size=1, unique=True))
    keys = [(f"topic-{draw(st.integers(1, 3))}", number) for number in range(draw(st.integers(1, partitions)))]
    most = min(before, len(after))
    sizes = {topic: draw(st.integers(1, most)) for topic in {topic for topic, _ in keys}}
    placement = {key: tuple(draw(st.permutations(range(1, before + 1))))[: sizes[key[0]]] for key in keys}
    changed = draw(st.sets(st.sampled_from(sorted(sizes))))
    factors = {topic: draw(st.integers(1, len(after))) for topic in sorted(changed)}
    return placement, sorted(after), {key: factors[key[0]] for key in keys if key[0] in factors}


@given(topologies(partitions=5, brokers=4))
@settings(deadline=None, max_examples=150)
def test_no_even_placement_has_fewer_moves(topology):
    current, brokers, factors = topology

    changes = balanced(current, brokers, factors)

    assert len(added(current, changes)) == fewest_moves(current, brokers, factors)


@given(topologies(partitions=40, brokers=7))
@settings(deadline=None, max_examples=150)
def test_every_topic_is_even_and_has_its_replicas_on_different_brokers(topology):
    current, brokers, factors = topology

    after = {**current, **balanced(current, brokers, factors)}

    assert is_even(after, brokers)
    for key, replicas in after.items():
        assert len(replicas) == len(set(replicas)) == factors.get(key, len(current[key]))
        assert set(replicas) <= set(brokers)


@given(topologies(partitions=40, brokers=7))
@settings(deadline=None, max_examples=100)
def test_what_is_balanced_stays_as_it_is(topology):
    current, brokers, factors = topology
    after = {**current, **balanced(current, brokers, factors)}

    assert balanced(after, brokers, factors) == {}


@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 4), (3, 5), (4, 3), (5, 3), (1, 2)])
def test_leaders_are_even_after_a_change_of_the_number_of_brokers(before, after):
    current = rotated({"orders": 12, "__consumer_offsets": 4, "payments": 7}, before, min(before, after, 2))

    placement = {**current, **balanced(current, range(1, after + 1), {})}

    replicas, leaders = counts(placement)
    assert spread(replicas, range(1, after + 1)) <= 1
    assert spread(leaders, range(1, after + 1)) <= 1
    for topic in ("orders", "payments"):
        assert spread(counts(of_topic(placement, topic))[1], range(1, after + 1)) <= 1


def test_a_third_broker_gets_a_third_of_the_replicas_and_nothing_else_moves():
    current = rotated({"orders": 12}, 2, 2)

    moved = added(current, balanced(current, [1, 2, 3], {}))

    assert Counter(broker for _, broker in moved) == {3: 8}


def test_the_smallest_of_the_partitions_that_may_move_are_moved():
    current = {("orders", number): (1,) for number in range(4)}
    sizes = {("orders", 0): 900, ("orders", 1): 10, ("orders", 2): 800, ("orders", 3): 20}

    changes = balanced(current, [1, 2], {}, sizes)

    assert sorted(changes) == [("orders", 1), ("orders", 3)]


def test_more_replicas_are_copied_only_and_the_leaders_stay():
    current = rotated({"orders": 6}, 3, 2)

    changes = balanced(current, [1, 2, 3], dict.fromkeys(current, 3))

    assert len(added(current, changes)) == 6
    assert all(replicas[: len(current[key])] == current[key] for key, replicas in changes.items())


def test_fewer_replicas_copy_nothing():
    current = rotated({"orders": 6}, 3, 3)

    assert added(current, balanced(current, [1, 2, 3], dict.fromkeys(current, 2))) == []


def test_a_cluster_without_partitions_has_nothing_to_move():
    assert balanced({}, [1, 2, 3], {}) == {}


def test_the_largest_flow_takes_the_cheap_edges_first():
    network = FlowNetwork()
    source, sink = network.node(), network.node()
    cheap, dear = network.edge(source, sink, 2, 1), network.edge(source, sink, 2, 5)
    gate = network.node()
    narrow = network.edge(source, gate, 1, 0)
    network.edge(gate, sink, 9, 3)

    assert network.fill(source, sink) == 5
    assert [network.flow(each) for each in (cheap, dear, narrow)] == [2, 2, 1]


def test_flow_is_taken_back_where_a_later_path_needs_its_edge():
    network = FlowNetwork()
    source, sink, left, right = (network.node() for _ in range(4))
    network.edge(source, left, 1, 0)
    network.edge(source, right, 1, 5)
    greedy = network.edge(left, right, 1, 0)
    network.edge(left, sink, 1, 4)
    network.edge(right, sink, 1, 0)

    assert network.fill(source, sink) == 2
    assert network.flow(greedy) == 0


def test_a_network_without_a_path_carries_nothing():
    network = FlowNetwork()
    source, sink = network.node(), network.node()

    assert network.fill(source, sink) == 0
