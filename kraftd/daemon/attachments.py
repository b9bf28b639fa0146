"""What the daemon opens in the JVMs of nodes that serve: JMX for clients, and the metrics agent for Prometheus.

A node serves Kafka without either: where a JVM refuses, that is noted, and tried again later.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from kraftd.clock import Clock
from kraftd.health.programs.ladder import Answer
from kraftd.host.processes import Process
from kraftd.plan.kinds import Node
from kraftd.plan.plan import Plan
from kraftd.plan.program import Listener, Purpose

AGENT_DELAY_S = 3.0
"""How long a node serves before its metrics agent is loaded: until then, a start that goes on needs the CPU."""

RETRY_S = 10.0
MOST_RETRY_S = 300.0
"""The pause after the first refusal, and the longest: it doubles, because a JVM that does not let itself be attached to
prints a thread dump each time."""

_DELAYS_S = {Purpose.JMX: 0.0, Purpose.METRICS: AGENT_DELAY_S}

Place = tuple[str, Purpose]
"""A node's name, and what is opened there."""


class Pending(Protocol):
    """An attempt under way."""

    def done(self) -> bool:
        """Return whether it has ended."""

    def result(self) -> str | None:
        """Return why it failed; None where it succeeded. Raises what it raised."""


@dataclass(slots=True)
class _Attachment:
    """One listener of one incarnation of a node.

    Attributes:
        pause_s: How long to wait after the next refusal.
        refusal: Why the last attempt failed.
    """

    process: Process
    due_s: float
    pause_s: float = RETRY_S
    pending: Pending | None = None
    is_open: bool = False
    refusal: str | None = None


class Attachments:
    """Opens the listeners of each incarnation of a node in its JVM, and tries again where that is refused.

    Args:
        plan: The cluster.
        begin: Begins an attempt, and returns without waiting for its end.
        clock: Time.
    """

    def __init__(self, plan: Plan, begin: Callable[[Node, Listener, Process], Pending], clock: Clock) -> None:
        self._plan = plan
        self._begin = begin
        self._clock = clock
        self._attachments: dict[Place, _Attachment] = {}

    def update(self, processes: Mapping[str, Process], answers: Mapping[str, Answer]) -> dict[Place, str]:
        """Begin what is due, and return the reason for each listener that was refused.

        Args:
            processes: The programs that run.
            answers: Whether they serve; an attempt needs a node that does.
        """
        for node in self._plan.nodes:
            process = processes.get(node.name)
            for listener in node.listeners:
                if listener.purpose in _DELAYS_S:
                    self._update(node, listener, process, is_ready=node.name in answers and answers[node.name].ready)
        return {place: each.refusal for place, each in self._attachments.items() if each.refusal}

    def _update(self, node: Node, listener: Listener, process: Process | None, *, is_ready: bool) -> None:
        place, now_s = (node.name, listener.purpose), self._clock.monotonic_s()
        found = self._attachments.get(place)
        if found is None or found.process != process:
            self._attachments.pop(place, None)
            if process is None or not is_ready:
                return
            found = self._attachments[place] = _Attachment(process, now_s + _DELAYS_S[listener.purpose])
        if found.pending is None and not found.is_open and is_ready and now_s >= found.due_s:
            found.pending = self._begin(node, listener, found.process)
        if found.pending is not None and found.pending.done():
            attempt, found.pending = found.pending, None
            found.due_s, found.pause_s = now_s + found.pause_s, min(2 * found.pause_s, MOST_RETRY_S)
            # Last, as it may raise: the attempt has ended all the same.
            found.refusal = attempt.result()
            found.is_open = found.refusal is None
