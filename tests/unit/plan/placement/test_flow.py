"""The cheapest largest flow, on networks whose flows can be counted by hand."""

from kraftd.plan.placement.flow import FlowNetwork


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
