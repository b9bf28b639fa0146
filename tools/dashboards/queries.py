"""PromQL's selectors and functions: every selector has the job and the cluster, so that two clusters never mix."""

from dataclasses import dataclass

STEP = "[$__rate_interval]"
"""The range of rates: at least four scrapes, whatever the scrape interval is."""
SLOPE = "[5m]"
"""The range of slopes: fixed, because a slope is compared with an alert's, whatever the zoom is."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query of a panel.

    Attributes:
        legend: The name of each of its series; in a table, the title of its column.
    """

    expr: str
    legend: str


def daemon(metric: str, *matchers: str) -> str:
    """Return the selector of a metric that the daemon serves."""
    return _selector(metric, "kraftd", matchers)


def node(metric: str, *matchers: str) -> str:
    """Return the selector of a metric that the JMX agents of brokers and controllers serve."""
    return _selector(metric, "kafka", matchers)


def app(metric: str, *matchers: str) -> str:
    """Return the selector of a metric that the HTTP apps serve."""
    return _selector(metric, "kraftd-apps", matchers)


def targets(metric: str) -> str:
    """Return the selector of a metric that Prometheus writes of each target that it scrapes."""
    return f'{metric}{{job=~"kraftd|kafka|kraftd-apps", kafka_cluster="$cluster"}}'


def alerts() -> str:
    """Return the selector of the firing alerts, which Prometheus itself writes."""
    return 'ALERTS{alertstate="firing", kafka_cluster="$cluster"}'


def rate(selector: str) -> str:
    """Return the growth per second of a counter."""
    return f"rate({selector}{STEP})"


def growth(selector: str) -> str:
    """Return the growth per second of a gauge that may be set back, which a rate would take for a restart."""
    return f"clamp_min(deriv({selector}{STEP}), 0)"


def total(expr: str, *labels: str) -> str:
    """Return the sum by labels."""
    return _aggregate("sum", expr, labels)


def most(expr: str, *labels: str) -> str:
    """Return the maximum by labels; for what every controller reports of the whole cluster."""
    return _aggregate("max", expr, labels)


def least(expr: str, *labels: str) -> str:
    """Return the minimum by labels."""
    return _aggregate("min", expr, labels)


def or_zero(expr: str) -> str:
    """Return the value, and 0 where there is no series: a count of what may not exist."""
    return f"{expr} or vector(0)"


def code(selector: str, states: tuple[str, ...], *labels: str) -> str:
    """Return the place of the state, from 1, of one-hot series: what a state timeline maps to its name.

    Args:
        selector: With ``%s`` where the matcher of the state belongs.
        states: In the order of their codes.
        labels: Of what each has a state.
    """
    codes = [f"{place} * {selector % state}" for place, state in enumerate(states, start=1)]
    return total(f"({' or '.join(codes)})", *labels)


def quantile(share: float, selector: str, *labels: str) -> str:
    """Return the quantile of a histogram, from its buckets."""
    return f"histogram_quantile({share}, {total(rate(selector), 'le', *labels)})"


def time_until_full(usable: str, *labels: str) -> str:
    """Return the seconds until the space is used up at the speed of the last half hour; 30 days stand for longer."""
    return least(f"clamp_max({usable} / clamp_min(-deriv({usable}[30m]), 1), 2592000)", *labels)


def _selector(metric: str, job: str, matchers: tuple[str, ...]) -> str:
    labels = ", ".join([f'job="{job}"', 'kafka_cluster="$cluster"', *matchers])
    return f"{metric}{{{labels}}}"


def _aggregate(operator: str, expr: str, labels: tuple[str, ...]) -> str:
    by = f" by ({', '.join(labels)})" if labels else ""
    return f"{operator}{by}({expr})"
