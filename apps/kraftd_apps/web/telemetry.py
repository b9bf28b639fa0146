"""How an app counts its own answers; the label is the route, never the path a client sent."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from kraftd_apps.web.asgi import Answer, Scope

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class HttpMetrics:
    """Requests and their duration by method, route and status, in a registry of the app's own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self._requests = Counter(
            "http_requests", "HTTP requests answered; status 0: cut off.", labels, registry=self.registry
        )
        self._durations = Histogram(
            "http_request_duration_seconds",
            "From the request's first byte in the app to its last answer byte.",
            ("method", "route"),
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def count(self, scope: Scope, status: int, duration_s: float) -> None:
        """Count one request that has ended."""
        key = (scope["method"], route_of(scope), status)
        children = self._known.get(key)
        if children is None:
            method = key[0] if key[0] in _METHODS else "other"
            children = (
                self._requests.labels(method, key[1], str(status)),
                self._durations.labels(method, key[1]),
            )
            if method != "other":
                self._known[key] = children
        children[0].inc()
        children[1].observe(duration_s)

    def answer(self) -> Answer:
        """Return every metric in Prometheus' text format."""
        return Answer(200, generate_latest(self.registry), CONTENT_TYPE_LATEST.encode())


def route_of(scope: Scope) -> str:
    """Return the template of the route that served a request; `unmatched` where none did."""
    known = scope.get("app_route")
    if known is not None:
        return str(known)
    route = scope.get("route")
    return str(getattr(route, "path", "unmatched"))
