"""Where Prometheus finds what to scrape."""

from typing import Any

from kraftd.spec.plan import DAEMON, Plan


def targets(plan: Plan) -> list[dict[str, Any]]:
    """Return the targets of a cluster, in the form of Prometheus' HTTP service discovery."""
    places = [(DAEMON, plan.daemon.host, plan.daemon.port), *((app.name, app.host, app.port) for app in plan.apps)]
    return [
        {"targets": [f"{host}:{port}"], "labels": {"job": "kraftd", "program": name, "kafka_cluster": plan.cluster}}
        for name, host, port in places
    ]
