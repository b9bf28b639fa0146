"""HTTP metrics of an app; the label is the route, never the path that a client sent."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from kraftd.web.asgi import Answer, Scope

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(slots=True)
class _Tally:
    """The count and durations of requests with the same method, route and status."""

    requests: int = 0
    sum_s: float = 0.0
    in_bucket: list[int] = field(default_factory=lambda: [0] * (len(_BUCKETS_S) + 1))


class HttpMetrics:
    """Requests and their duration by method, route and status, in a registry of the app's own.

    Counted in plain numbers on the loop's thread, because the library's counters take a lock for each step.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._tallies: dict[tuple[str, str, int], _Tally] = {}
        self.registry.register(self)

    def count(self, scope: Scope, status: int, duration_s: float) -> None:
        """Count one request that has ended."""
        method = scope["method"]
        key = (method if method in _METHODS else "other", route_of(scope), status)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally()
        tally.requests += 1
        tally.sum_s += duration_s
        tally.in_bucket[bisect_left(_BUCKETS_S, duration_s)] += 1

    def answer(self) -> Answer:
        """Return every metric in Prometheus' text format."""
        return Answer(200, generate_latest(self.registry), CONTENT_TYPE_LATEST.encode())

    def collect(self) -> Iterator[Metric]:
        """Yield the counts, for the registry."""
        requests = CounterMetricFamily(
            "http_requests", "HTTP requests answered; status 0: cut off.", labels=("method", "route", "status")
        )
        durations = HistogramMetricFamily(
            "http_request_duration_seconds",
            "From the request's first byte in the app to its last answer byte.",
            labels=("method", "route"),
        )
        by_route: dict[tuple[str, str], _Tally] = {}
        for (method, route, status), tally in self._tallies.items():
            requests.add_metric((method, route, str(status)), tally.requests)
            whole = by_route.setdefault((method, route), _Tally())
            whole.sum_s += tally.sum_s
            whole.in_bucket = [sum(pair) for pair in zip(whole.in_bucket, tally.in_bucket, strict=True)]
        names = (*map(str, _BUCKETS_S), "+Inf")
        for labels, whole in by_route.items():
            below = accumulate(whole.in_bucket)
            durations.add_metric(labels, list(zip(names, below, strict=True)), whole.sum_s)
        return iter((requests, durations))


def route_of(scope: Scope) -> str:
    """Return the template of the route that served a request; `unmatched` where none did."""
    known = scope.get("app_route")
    if known is not None:
        return str(known)
    route = scope.get("route")
    return str(getattr(route, "path", "unmatched"))
