"""What a service manager is told of a cluster in the foreground: the verdict, and that the daemon observes."""

from collections.abc import Callable
from dataclasses import dataclass, field

from kraftd.clock import Clock
from kraftd.errors import NeedsRunningClusterError
from kraftd.escapes import escaped
from kraftd.health.programs.state import ServiceState, Status
from kraftd.health.report.documents import HealthDocument, StatusDocument
from kraftd.host.notify import ServiceManager
from kraftd.plan.plan import Plan
from kraftd.plan.program import Kind
from kraftd.units import shortened

_ASK_EVERY_S = 2.0
_ASK_TIMEOUT_S = 1.0
_FRESH_WITHIN_S = 10.0
"""While a broker is frozen, an observation takes the daemon seconds."""

_MOST_CHARACTERS = 200


@dataclass(slots=True)
class Relay:
    """The daemon's newest document, asked for now and then, and what of it the service manager is told.

    Attributes:
        health: The daemon's document, within a time in seconds.
        newest: The newest one; None where the daemon did not answer.
    """

    manager: ServiceManager
    health: Callable[[Plan, float], HealthDocument]
    clock: Clock
    newest: StatusDocument | None = field(default=None, init=False)
    _due_at_s: float = field(default=0.0, init=False)
    _said: str = field(default="", init=False)

    def ask(self, plan: Plan, *, is_changing: bool) -> None:
        """Ask the daemon if it is time, and relay its verdict, and that it observes.

        Args:
            plan: The cluster.
            is_changing: Whether a command is at work on the cluster, during which the daemon may be away.
        """
        now_s = self.clock.monotonic_s()
        if now_s < self._due_at_s:
            return
        # sd_watchdog_enabled(3): in half of the time.
        self._due_at_s = now_s + min(_ASK_EVERY_S, (self.manager.watchdog_s or 2 * _ASK_EVERY_S) / 2)
        try:
            document = self.health(plan, _ASK_TIMEOUT_S)
        except NeedsRunningClusterError:
            self.newest = None
            self._say("A command restarts the cluster" if is_changing else "The daemon does not answer")
        else:
            self.newest = document
            self._say(status_line(document))
        if self.manager.watchdog_s and (is_changing or is_fresh(self.newest)):
            self.manager.notify(WATCHDOG="1")

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self.manager.notify(STATUS=text)


def is_fresh(document: StatusDocument | None) -> bool:
    """Return whether the daemon observes: a document is there, and of a new observation."""
    return isinstance(document, HealthDocument) and document.age_s < _FRESH_WITHIN_S


def status_line(document: StatusDocument) -> str:
    """Return the verdict with its reasons on one line."""
    why = "; ".join(document.reasons)
    if document.status is Status.OK and not why:
        why = f"Kafka {document.kafka_version} on {document.bootstrap_servers}"
    return shortened(escaped(f"{document.status}: {why}" if why else str(document.status)), _MOST_CHARACTERS)


def given_up(document: StatusDocument | None) -> str:
    """Return why no broker can come back without a person; empty while one serves, or is restarted."""
    brokers = [node for node in document.nodes if node.kind == Kind.BROKER] if document else []
    if not brokers or any(node.service_state is not ServiceState.GIVEN_UP for node in brokers):
        return ""
    return ", ".join(f"{node.name} ({escaped(node.reason or 'given up')})" for node in brokers)
