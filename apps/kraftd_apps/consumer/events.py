"""`GET /events`: the live records as server-sent events, as a plain ASGI app."""

import asyncio
from urllib.parse import parse_qs

from kraftd_apps.consumer.hub import Hub, Subscriber
from kraftd_apps.web.asgi import Receive, Scope, Send
from kraftd_apps.web.problems import Refused, problem

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class EventsRoute:
    """Streams to one page until it leaves or the app stops."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one page."""
        if self._hub.is_full:
            raise Refused(problem("too_many_clients", "close another page, or raise APP_SSE_MAX_CLIENTS"))
        subscriber = self._hub.join(last_seen(scope))
        watching = asyncio.create_task(_close_when_gone(receive, subscriber))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
            while (content := await subscriber.next()) is not None:
                await send({"type": "http.response.body", "body": content, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            watching.cancel()
            self._hub.leave(subscriber)


def last_seen(scope: Scope) -> str:
    """Return the last event id that a page has: its browser's on a reconnect, its own on the first connect."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    if b"last-event-id" in headers:
        return headers[b"last-event-id"].decode("latin-1")
    query: str = scope["query_string"].decode("latin-1")
    return parse_qs(query).get("after", [""])[0]


async def _close_when_gone(receive: Receive, subscriber: Subscriber) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    subscriber.close()
