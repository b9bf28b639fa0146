"""uvicorn as the daemon and the apps run it. Imported late, because uvicorn costs start-up time."""

import asyncio
from typing import Any, cast

import uvicorn

from kraftd.web.asgi import App
from kraftd.web.connections import HttpState
from kraftd.web.protocol import OnRefused, protocol_of


def server_config(app: App, on_refused: OnRefused, *, drain_s: float, **options: Any) -> uvicorn.Config:
    """Return uvicorn's configuration for plain HTTP.

    Args:
        app: The ASGI app to serve.
        on_refused: Answers requests that do not reach the app.
        drain_s: How long requests may take after a stop has begun.
        options: Further options of uvicorn's.
    """
    return uvicorn.Config(
        cast("Any", app),
        http=protocol_of(on_refused),
        ws="none",
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=round(drain_s),
        **options,
    )


class Server(uvicorn.Server):
    """uvicorn's server, which also ends connections that wait too long."""

    def __init__(self, config: uvicorn.Config) -> None:
        self.http_state = HttpState()
        super().__init__(config)
        self.server_state = self.http_state

    @property
    def should_exit(self) -> bool:
        """Whether the server has begun to stop; connections learn of it at once."""
        return self.http_state.is_ending

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self.http_state.is_ending = value

    async def on_tick(self, counter: int) -> bool:
        """Do what is due, about ten times a second; return whether the server should end."""
        self.http_state.expire(asyncio.get_running_loop().time())
        return await super().on_tick(counter)
