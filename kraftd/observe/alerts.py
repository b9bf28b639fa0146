"""The alerts of the cluster's Prometheus, read now and then, so that nothing waits for them."""

from collections.abc import Callable

from kraftd.health.programs.alerts import Alerts, parse_alerts
from kraftd.host.http import Answer, get
from kraftd.plan.kinds import Tool

ALERTS_EVERY_S = 10.0
_TIMEOUT_S = 1.0
_MOST_BYTES = 4 << 20


class AlertReader:
    """Keeps the newest answer of Prometheus."""

    def __init__(self, prometheus: Tool | None, ask: Callable[[Tool], Answer] | None = None) -> None:
        """Store the arguments.

        Args:
            prometheus: The cluster's; None where it has none.
            ask: Returns its answer to the question for alerts; None for the real question.
        """
        self._prometheus = prometheus
        self._ask = ask or _answer
        self.newest: Alerts | None = None

    def read(self) -> None:
        """Ask, and keep the answer in place of the one before; not where there is no Prometheus."""
        if self._prometheus is None:
            return
        answer = self._ask(self._prometheus)
        match answer.status:
            case 200:
                self.newest = parse_alerts(answer.body)
            case None:
                self.newest = Alerts(reason=f"Prometheus did not answer: {answer.body}")
            case status:
                self.newest = Alerts(reason=f"Prometheus answered with HTTP status {status}")


def _answer(prometheus: Tool) -> Answer:
    return get(prometheus.host, prometheus.port, "/api/v1/alerts", timeout_s=_TIMEOUT_S, most_bytes=_MOST_BYTES)
