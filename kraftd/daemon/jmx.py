"""JMX of the brokers: opened in each process once it serves, and tried again where that failed."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kraftd.clock import Clock
from kraftd.health.programs.facts import Answer
from kraftd.host.processes import Process
from kraftd.plan.kinds import Node

logger = logging.getLogger("kraftd.daemon")

_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 300.0


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The last attempt in a process.

    Attributes:
        failure: None where it succeeded.
        pause_s: The time until the next attempt after a failure.
        due_s: When that is, on the monotonic clock.
    """

    process: Process
    failure: str | None
    pause_s: float
    due_s: float


class JmxOpening:
    """Lets JMX clients into brokers: another process may hold a broker's JMX port for a while when it comes back.

    An attempt costs a signal and a command, and a JVM that cannot be attached to prints a thread dump: after each
    failure the pause doubles.
    """

    def __init__(self, brokers: Sequence[Node], enable: Callable[[Node, Process], str | None], clock: Clock) -> None:
        """Open nothing yet.

        Args:
            brokers: The brokers of the plan.
            enable: Lets JMX clients into a broker's process, and returns why that failed; None where it did not.
            clock: Time.
        """
        self._brokers = [broker for broker in brokers if broker.jmx is not None]
        self._enable = enable
        self._clock = clock
        self._attempts: dict[str, _Attempt] = {}

    def open(self, processes: Mapping[str, Process], answers: Mapping[str, Answer]) -> dict[str, str]:
        """Try where it is due; return by broker why its process has no JMX."""
        for broker in self._brokers:
            process = processes.get(broker.name)
            if process is None:
                self._attempts.pop(broker.name, None)
            elif answers[broker.name].ready:
                self._attempts[broker.name] = self._attempt(broker, process)
        return {name: each.failure for name, each in self._attempts.items() if each.failure is not None}

    def _attempt(self, broker: Node, process: Process) -> _Attempt:
        last = self._attempts.get(broker.name)
        if last is not None and last.process != process:
            last = None
        if last is not None and (last.failure is None or self._clock.monotonic_s() < last.due_s):
            return last
        failure = self._enable(broker, process)
        if failure is not None and last is None:
            logger.warning("%s has no JMX: %s", broker.name, failure)
        elif failure is None and last is not None:
            logger.info("%s has JMX again", broker.name)
        pause_s = min(2 * last.pause_s, _LONGEST_PAUSE_S) if last is not None else _FIRST_PAUSE_S
        return _Attempt(process, failure, pause_s, self._clock.monotonic_s() + pause_s)
