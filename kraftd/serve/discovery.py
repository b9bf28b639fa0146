"""Where Prometheus finds what to scrape."""

from collections.abc import Mapping
from dataclasses import dataclass

from kraftd.spec.plan import Plan


@dataclass(frozen=True, slots=True)
class Target:
    """One target of Prometheus' HTTP service discovery."""

    targets: tuple[str, ...]
    labels: Mapping[str, str]


def targets(plan: Plan) -> list[Target]:
    """Return the targets of a cluster."""
    return [
        Target(
            (program.listeners[0].address,),
            {"job": "kraftd", "program": program.name, "kafka_cluster": plan.cluster},
        )
        for program in plan.from_top
        if program.has_metrics
    ]
