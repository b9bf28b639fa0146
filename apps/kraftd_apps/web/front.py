"""The routes that must be fast or early, in front of a FastAPI app that is built when it is first needed."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from kraftd_apps.web.asgi import App, Receive, Scope, Send
from kraftd_apps.web.threads import in_thread

logger = logging.getLogger(__name__)


class LazyApp:
    """An ASGI app that is built in a thread: importing FastAPI costs more than everything else at start."""

    def __init__(self, build: Callable[[], App]) -> None:
        self._build = build
        self._built: App | None = None
        self._lock = asyncio.Lock()

    async def load(self) -> App:
        """Build the app, once; later calls return the same."""
        async with self._lock:
            if self._built is None:
                started_s = time.perf_counter()
                self._built = await in_thread(self._build)
                logger.debug("FastAPI loaded in %.2f s", time.perf_counter() - started_s)
        return self._built

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        app = self._built or await self.load()
        await app(scope, receive, send)


class Front:
    """Dispatches by method and exact path; everything else goes to the app behind."""

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
