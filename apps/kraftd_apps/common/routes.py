"""Routes that must be fast, or available before the framework is loaded."""

from collections.abc import Mapping, Sequence

from kraftd.web.asgi import Answer, App, Receive, Scope, Send, json_answer


class FastRoutes:
    """Dispatches by method and exact path; all other requests go to the app behind."""

    def __init__(self, routes: Mapping[tuple[str, str], App], behind: App) -> None:
        self._routes = dict(routes)
        self._behind = behind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope["path"]
        handler = self._routes.get((scope["method"], path))
        if handler is None:
            await self._behind(scope, receive, send)
            return
        scope["app_route"] = path
        await handler(scope, receive, send)


def liveness(faults: Sequence[str]) -> Answer:
    """Answer whether the process works; ignores Kafka, because its outage is no reason for a restart."""
    return _state("ok" if not faults else "failing", faults)


def readiness(reasons: Sequence[str]) -> Answer:
    """Answer whether requests can succeed now, and why not."""
    return _state("ready" if not reasons else "not_ready", reasons)


def _state(status: str, reasons: Sequence[str]) -> Answer:
    return json_answer(503 if reasons else 200, {"status": status, "reasons": list(reasons)})
