"""The cheapest of the largest flows through a network, by the primal-dual method (Ahuja, Magnanti, Orlin 1993, 9.8)."""

import heapq
import math


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
