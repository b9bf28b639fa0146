"""The placement that balances replicas and leaders over brokers with the fewest moves. Pure.

Balanced means: no broker has two replicas more than another, neither of all topics together nor of any one of them.
That is always possible. Which broker takes which replica is the cheapest flow from the partitions through the brokers
of each topic to the brokers, so that the number of moves is the least possible, and of such placements it is one that
moves the fewest bytes. Leaders are chosen in the same way among the replicas, as evenly as these allow.
"""

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

PartitionId: TypeAlias = tuple[str, int]
Replicas: TypeAlias = tuple[int, ...]
Placement: TypeAlias = Mapping[PartitionId, Replicas]

_SIZE_STEPS = 1000
_MOVE = _SIZE_STEPS * 100
"""The cost of a move; the sizes of all replicas that can move add up to less."""

_NO_SIZES: Mapping[PartitionId, int] = {}


def balanced(
    current: Placement,
    brokers: Collection[int],
    replication_factors: Mapping[PartitionId, int],
    sizes: Mapping[PartitionId, int] = _NO_SIZES,
) -> dict[PartitionId, Replicas]:
    """Return the new replicas of each partition that changes, the preferred leader first.

    Args:
        current: The replicas of every partition, the preferred leader first.
        brokers: The node ids that may have replicas; all others are drained.
        replication_factors: By partition, its number of replicas; others keep theirs. None is above the number of
            brokers.
        sizes: Bytes by partition.
    """
    factors = {key: replication_factors.get(key, len(replicas)) for key, replicas in current.items()}
    chosen = _replicas(current, sorted(brokers), factors, _relative(sizes))
    leaders = _leaders(current, chosen, len(brokers))
    placed = {key: _ordered(current[key], chosen[key], leaders[key]) for key in current}
    return {key: replicas for key, replicas in placed.items() if replicas != current[key]}


def added(before: Placement, after: Placement) -> list[tuple[PartitionId, int]]:
    """Return each replica that is copied to a broker that did not have it."""
    return [(key, broker) for key, replicas in after.items() for broker in replicas if broker not in before[key]]


def _relative(sizes: Mapping[PartitionId, int]) -> dict[PartitionId, int]:
    total = sum(sizes.values())
    return {key: size * _SIZE_STEPS // total for key, size in sizes.items()} if total else {}


@dataclass(frozen=True, slots=True)
class _Choice:
    """The brokers that a partition can be given, each with its cost, and how many it gets."""

    key: PartitionId
    count: int
    costs: Mapping[int, int]


def _replicas(
    current: Placement, brokers: Sequence[int], factors: Mapping[PartitionId, int], sizes: Mapping[PartitionId, int]
) -> dict[PartitionId, frozenset[int]]:
    choices = []
    for key, replicas in current.items():
        move = _MOVE + sizes.get(key, 0)
        choices.append(_Choice(key, factors[key], {broker: 0 if broker in replicas else move for broker in brokers}))
    return _spread(choices, len(brokers))


def _leaders(current: Placement, chosen: Mapping[PartitionId, frozenset[int]], brokers: int) -> dict[PartitionId, int]:
    choices = []
    for key, candidates in chosen.items():
        before = current[key]
        # A replica that is there already can lead at once.
        costs = {each: 0 if each == before[0] else 1 if each in before else 2 for each in sorted(candidates)}
        choices.append(_Choice(key, 1, costs))
    return {key: next(iter(leader)) for key, leader in _spread(choices, brokers).items()}


class FlowNetwork:
    """A network of edges with capacities and costs, all whole numbers and none below zero."""

    def __init__(self) -> None:
        """Begin without a node."""
        self._leaving: list[list[int]] = []
        self._head: list[int] = []
        self._room: list[int] = []
        self._cost: list[int] = []

    def node(self) -> int:
        """Add a node."""
        self._leaving.append([])
        return len(self._leaving) - 1

    def edge(self, tail: int, head: int, capacity: int, cost: int) -> int:
        """Add an edge, and return its number."""
        number = len(self._head)
        # Each edge is followed by its reverse, over which flow is taken back.
        for start, end, room, price in ((tail, head, capacity, cost), (head, tail, 0, -cost)):
            self._leaving[start].append(len(self._head))
            self._head.append(end)
            self._room.append(room)
            self._cost.append(price)
        return number

    def flow(self, edge: int) -> int:
        """Return the flow through an edge."""
        return self._room[edge ^ 1]

    def fill(self, source: int, sink: int) -> int:
        """Send as much as possible from the source to the sink, as cheaply as possible; return how much that is."""
        potential = [0] * len(self._leaving)
        sent = 0
        while self._raise_potentials(source, sink, potential):
            dead: set[int] = set()
            while path := self._free_path(source, sink, potential, dead):
                amount = min(self._room[edge] for edge in path)
                for edge in path:
                    self._room[edge] -= amount
                    self._room[edge ^ 1] += amount
                sent += amount
        return sent

    def _raise_potentials(self, source: int, sink: int, potential: list[int]) -> bool:
        """Make every cheapest path to the sink free; return whether there is one."""
        distance: list[float] = [math.inf] * len(potential)
        distance[source] = 0
        queue = [(0, source)]
        while queue:
            reached, node = heapq.heappop(queue)
            if reached > distance[node]:
                continue
            if node == sink:
                break
            for edge in self._leaving[node]:
                head = self._head[edge]
                further = reached + self._cost[edge] + potential[node] - potential[head]
                if self._room[edge] and further < distance[head]:
                    distance[head] = further
                    heapq.heappush(queue, (further, head))
        if distance[sink] == math.inf:
            return False
        for node, reached_at in enumerate(distance):
            potential[node] += int(min(reached_at, distance[sink]))
        return True

    def _free_path(self, source: int, sink: int, potential: list[int], dead: set[int]) -> list[int]:
        """Return the edges of a path that costs nothing more; ``dead`` keeps the nodes that led nowhere."""
        path: list[int] = []
        node = source
        on_path = {source}
        while node != sink:
            for edge in self._leaving[node]:
                head = self._head[edge]
                is_free = self._room[edge] and self._cost[edge] + potential[node] == potential[head]
                if is_free and head not in dead and head not in on_path:
                    path.append(edge)
                    on_path.add(head)
                    node = head
                    break
            else:
                dead.add(node)
                if not path:
                    return []
                on_path.discard(node)
                node = self._head[path.pop() ^ 1]
        return path


def _spread(choices: Sequence[_Choice], brokers: int) -> dict[PartitionId, frozenset[int]]:
    """Choose brokers for each partition: evenly over all topics and over each one, then cheaply."""
    total = sum(choice.count for choice in choices)
    # Evenness is worth more than every cost together.
    uneven = 1 + sum(sum(choice.costs.values()) for choice in choices)
    of_topic = Counter[str]()
    for choice in choices:
        of_topic[choice.key[0]] += choice.count
    network = FlowNetwork()
    source, sink = network.node(), network.node()
    of_broker: dict[int, int] = {}
    in_topic: dict[tuple[str, int], int] = {}
    edges: dict[PartitionId, list[tuple[int, int]]] = defaultdict(list)
    for choice in choices:
        topic = choice.key[0]
        partition = network.node()
        network.edge(source, partition, choice.count, 0)
        for broker, cost in choice.costs.items():
            if broker not in of_broker:
                of_broker[broker] = network.node()
                _even_edges(network, of_broker[broker], sink, total, brokers, uneven)
            if (topic, broker) not in in_topic:
                in_topic[topic, broker] = network.node()
                _even_edges(network, in_topic[topic, broker], of_broker[broker], of_topic[topic], brokers, uneven)
            edges[choice.key].append((broker, network.edge(partition, in_topic[topic, broker], 1, cost)))
    network.fill(source, sink)
    return {key: frozenset(_used(network, theirs)) for key, theirs in edges.items()}


def _even_edges(network: FlowNetwork, tail: int, head: int, total: int, brokers: int, uneven: int) -> None:
    """Add edges for the share of one broker: within it units are free, and each beyond it costs more than the last."""
    share = total // brokers
    network.edge(tail, head, share, 0)
    for beyond in range(total - share):
        network.edge(tail, head, 1, uneven * (2 * beyond + 1))


def _used(network: FlowNetwork, edges: Iterable[tuple[int, int]]) -> Iterable[int]:
    return (broker for broker, edge in edges if network.flow(edge))


def _ordered(before: Replicas, chosen: frozenset[int], leader: int) -> Replicas:
    """Return the leader, then the replicas that stay in their order, then the new ones."""
    stay = [broker for broker in before if broker in chosen and broker != leader]
    new = sorted(broker for broker in chosen if broker not in before and broker != leader)
    return (leader, *stay, *new)
