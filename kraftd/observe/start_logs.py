"""What the logs of brokers say of a start that goes on."""

from collections.abc import Mapping
from datetime import UTC, datetime

from kraftd.health.programs.facts import Answer, ProcessFact
from kraftd.health.programs.ladder import StartProgress, start_progress
from kraftd.host.files import tail
from kraftd.plan.plan import Plan
from kraftd.plan.program import Program

_MOST_BYTES = 512 * 1024
"""The end of a log in which a start is looked for: a broker writes about ten lines for each log that it recovers."""


def read_start_progress(plan: Plan, broker: Program, since_s: float | None) -> StartProgress:
    """Return how far a broker's start has come, from the end of its log.

    Args:
        plan: The cluster.
        broker: A program of the plan with a broker in it.
        since_s: When its process began, in seconds since the Unix epoch; None where that is not known.
    """
    since = datetime.fromtimestamp(since_s or 0.0, UTC).strftime("[%Y-%m-%d %H:%M:%S")
    lines = tail(plan.layout.main_log(broker), _MOST_BYTES, most_bytes=_MOST_BYTES)
    # What does not begin with a timestamp continues another record.
    return start_progress(broker, (line for line in lines if line.startswith("[") and line >= since))


def all_start_progress(
    plan: Plan, facts: Mapping[str, ProcessFact], answers: Mapping[str, Answer]
) -> dict[str, StartProgress]:
    """Return how far the start of each broker has come that runs and does not serve; no other log is read."""
    return {
        broker.name: read_start_progress(plan, broker, facts[broker.name].started_at_s)
        for broker in plan.brokers
        if broker.name in answers and not answers[broker.name].ready and facts[broker.name].pid is not None
    }
