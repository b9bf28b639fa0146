"""What answers first: the probes, without the web framework.

A start waits for them; the framework is loaded for the first request of another kind.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from kraftd.clock import Clock
from kraftd.watch.health import judge
from kraftd.watch.snapshot import Snapshot

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
_LIVE_WITHIN_S = 10.0
_NOT_YET = "nothing was looked at yet"


def livez(snapshot: Snapshot | None, now_s: float) -> tuple[int, dict[str, Any]]:
    """Return the status and document of ``/livez``: 200 while the loop looks at the cluster."""
    age_s = now_s - snapshot.taken_at_s if snapshot else None
    is_live = age_s is not None and age_s < _LIVE_WITHIN_S
    return (200 if is_live else 503), {"live": is_live, "age_s": age_s}


def readyz(snapshot: Snapshot | None, topics: tuple[str, ...]) -> tuple[int, dict[str, Any]]:
    """Return the status and document of ``/readyz``: 200 when the cluster can serve, else 503 with the reasons."""
    if snapshot is None:
        return 503, {"ready": False, "reasons": [_NOT_YET]}
    verdict = judge(snapshot, topics)
    return (200 if verdict.ready else 503), {"ready": verdict.ready, "reasons": list(verdict.reasons)}


class Front:
    """An ASGI app: the probes itself, everything else by the app that it loads."""

    def __init__(
        self,
        newest: Callable[[], Snapshot | None],
        topics: tuple[str, ...],
        clock: Clock,
        load: Callable[[], Application],
        look_again: Callable[[], None] = lambda: None,
    ) -> None:
        """Store the arguments.

        Args:
            newest: Returns the newest snapshot; must not block.
            topics: The declared topics.
            clock: Time, for ages.
            load: Returns the app for all other requests; called once, in a thread.
            look_again: Called when a probe finds the cluster not ready: what was seen may be of before.
        """
        self._newest = newest
        self._topics = topics
        self._clock = clock
        self._load = load
        self._look_again = look_again
        self._app: Application | None = None
        self._loading = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["method"] == "GET" and _is_allowed(scope):
            if scope["path"] == "/livez":
                await _answer(send, *livez(self._newest(), self._clock.now_s()))
                return
            if scope["path"] == "/readyz":
                status, document = readyz(self._newest(), self._topics)
                if status != 200:
                    self._look_again()
                await _answer(send, status, document)
                return
        async with self._loading:
            if self._app is None:
                self._app = await asyncio.to_thread(self._load)
            app = self._app
        await app(scope, receive, send)


def _is_allowed(scope: Scope) -> bool:
    host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
    return host.rpartition(":")[0] in ALLOWED_HOSTS or host in ALLOWED_HOSTS


async def _answer(send: Send, status: int, document: dict[str, Any]) -> None:
    headers = {**HEADERS, "Content-Type": "application/json"}
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": json.dumps(document).encode()})
