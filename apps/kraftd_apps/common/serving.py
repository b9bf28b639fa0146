"""Serving of an app with uvicorn until a signal, its fast routes, and a shutdown that loses no request in flight."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import uvicorn

from kraftd.web.asgi import Answer, App, Receive, Scope, Send, json_answer
from kraftd.web.background import dump_threads_on_quit, end_process
from kraftd.web.server import Server, server_config
from kraftd_apps.common.problems import problem
from kraftd_apps.common.settings import AppError, HttpSettings, environment

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_BACKLOG = 1024
_LAST_BYTES_S = 2.0
_GARBAGE_OBJECTS = 20_000
"""New objects between two garbage collections: with Python's 700, each burst of requests would cause several."""

logger = logging.getLogger(__name__)


class HasHttpSettings(Protocol):
    """An app's settings."""

    @property
    def http(self) -> HttpSettings:
        """The settings of HTTP."""


Settings = TypeVar("Settings", bound=HasHttpSettings)


class Service(Protocol):
    """The parts of an app other than HTTP."""

    @property
    def app(self) -> App:
        """The ASGI app to serve."""

    async def start(self) -> None:
        """Start, without waiting for Kafka."""

    def begin_stop(self) -> None:
        """Let requests in flight finish soon; called on the loop at the first signal."""

    async def finish_stop(self) -> None:
        """Release all resources; called when no request is left."""


class _Server(Server):
    """A server without signal handling: it ends when `should_exit` is set."""

    def __init__(self, config: uvicorn.Config, on_serving: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._on_serving = on_serving

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self._on_serving()
        # Objects that exist now live to the end: exclude them from garbage collections.
        gc.freeze()
        gc.set_threshold(_GARBAGE_OBJECTS)
        await super().main_loop()


class ListenError(AppError):
    """The address to listen on is not available."""


def run(make_service: Callable[[], Service], settings: HttpSettings) -> int:
    """Serve until SIGTERM or SIGINT and return the exit status.

    Raises:
        ListenError: The address is in use, or not one of this machine.
    """
    config = server_config(
        _unset,
        _on_refused,
        drain_s=settings.drain_s + _LAST_BYTES_S,
        loop="auto",
        access_log=settings.access_log,
        log_config=None,
        backlog=_BACKLOG,
    )
    with _listener(settings) as listener, asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(make_service, config, listener))
    return 0


async def _serve(make_service: Callable[[], Service], config: uvicorn.Config, listener: socket.socket) -> None:
    service = make_service()
    config.app = service.app
    server = _Server(config, service.start)

    def stop(signal_name: str) -> None:
        if not server.should_exit:
            logger.info("Stopping: %s", signal_name)
            server.should_exit = True
            service.begin_stop()

    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop, number.name)
    try:
        await server.serve(sockets=[listener])
    finally:
        await service.finish_stop()
    logger.info("Stopped")


def _on_refused(code: str, fault: str, is_under_way: bool) -> Answer:
    return problem(code, fault, outcome="unknown" if is_under_way else "not_written").answer()


def _listener(settings: HttpSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        # Now, not when the loop serves: another process may listen here in between, and uvloop tells no failure.
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        message = f"cannot listen on {settings.host} port {settings.port}: {error.strerror or error}"
        raise ListenError(message, hint="set APP_HOST and APP_PORT to a free address") from error
    listener.set_inheritable(False)
    return listener


async def _unset(_scope: object, _receive: object, _send: object) -> None:
    """Placeholder for the app, which is made inside the running loop."""


def command(read_settings: Callable[[Mapping[str, str]], Settings], make_service: Callable[[Settings], Service]) -> int:
    """Serve an app with the settings in the environment and `.env`, and return the exit status.

    Logs to standard error, and also prints errors there.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    threading.excepthook = end_process
    dump_threads_on_quit()
    try:
        settings = read_settings(environment(Path.cwd()))
        return run(lambda: make_service(settings), settings.http)
    except AppError as error:
        hint = f"\nhint: {error.hint}" if error.hint else ""
        sys.stderr.write(f"error: {error}{hint}\n")
        return error.exit_code


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
