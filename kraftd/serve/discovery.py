"""Where Prometheus finds what to scrape."""

from collections.abc import Mapping
from dataclasses import dataclass

from kraftd.spec.plan import DAEMON, Plan


@dataclass(frozen=True, slots=True)
class Target:
    """One target of Prometheus' HTTP service discovery."""

    targets: tuple[str, ...]
    labels: Mapping[str, str]


def targets(plan: Plan) -> list[Target]:
    """Return the targets of a cluster."""
    places = [(DAEMON, plan.daemon.host, plan.daemon.port), *((app.name, app.host, app.port) for app in plan.apps)]
    return [
        Target((f"{host}:{port}",), {"job": "kraftd", "program": name, "kafka_cluster": plan.cluster})
        for name, host, port in places
    ]
