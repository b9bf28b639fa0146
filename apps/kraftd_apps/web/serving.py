"""Running an app under uvicorn until a signal, and ending it in an order that loses nothing."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

import uvicorn

from kraftd_apps.web.asgi import App
from kraftd_apps.web.environment import environment
from kraftd_apps.web.errors import AppError, ListenError
from kraftd_apps.web.protocol import ShortWayProtocol
from kraftd_apps.web.settings import HttpSettings
from kraftd_apps.web.spool import INTERVAL_S, Spool
from kraftd_apps.web.telemetry import HttpMetrics
from kraftd_apps.web.workers import Place, run_workers

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_BACKLOG = 1024
_LAST_BYTES_S = 2.0
_GARBAGE_OBJECTS = 20_000
"""New objects between two collections: Python's 700 would collect several times in each burst of requests."""

logger = logging.getLogger(__name__)


class HasHttpSettings(Protocol):
    """An app's settings."""

    @property
    def http(self) -> HttpSettings:
        """How it serves."""


Settings = TypeVar("Settings", bound=HasHttpSettings)


class Service(Protocol):
    """What an app does besides HTTP."""

    http_metrics: HttpMetrics

    @property
    def app(self) -> App:
        """The ASGI app to serve."""

    async def start(self) -> None:
        """Begin, without waiting for Kafka."""

    def begin_stop(self) -> None:
        """Let requests in flight end by themselves, soon; called on the loop at the first signal."""

    async def finish_stop(self) -> None:
        """Release everything; called when no request is left."""


class _Server(uvicorn.Server):
    """uvicorn's server, told when to end: it neither takes signals nor raises them again at the end."""

    def __init__(self, config: uvicorn.Config, on_serving: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._on_serving = on_serving

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self._on_serving()
        # What is loaded by now stays: let no collection look at it again.
        gc.freeze()
        gc.set_threshold(_GARBAGE_OBJECTS)
        await super().main_loop()


def run(make_service: Callable[[Spool | None], Service], settings: HttpSettings) -> int:
    """Serve until SIGTERM or SIGINT and return the exit status.

    Raises:
        ListenError: The address is taken or is none of this machine's.
    """
    listener = _listener(settings)
    if settings.workers == 1:
        return _run(make_service, settings, listener)
    listeners = _listeners(listener, settings)
    return run_workers(
        lambda place: reported(lambda: _run(make_service, settings, listeners[place.number], place)), settings.workers
    )


def _run(
    make_service: Callable[[Spool | None], Service],
    settings: HttpSettings,
    listener: socket.socket,
    place: Place | None = None,
) -> int:
    config = uvicorn.Config(
        _unset,
        loop="auto",
        http=ShortWayProtocol,
        ws="none",
        lifespan="off",
        access_log=settings.access_log,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=round(settings.drain_s + _LAST_BYTES_S),
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(make_service, config, listener, place))
    return 0


async def _serve(
    make_service: Callable[[Spool | None], Service],
    config: uvicorn.Config,
    listener: socket.socket,
    place: Place | None,
) -> None:
    service = make_service(Spool(place.spool, place.number) if place else None)
    config.app = service.app
    server = _Server(config, service.start)
    loop = asyncio.get_running_loop()

    def stop(why: str) -> None:
        if not server.should_exit:
            logger.info("Stopping: %s", why)
            server.should_exit = True
            service.begin_stop()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number.name)
    if place:
        loop.add_reader(place.lifeline, stop, "the parent is gone")
        _leave_metrics(service.http_metrics)
    try:
        await server.serve(sockets=[listener])
    finally:
        await service.finish_stop()
    logger.info("Stopped")


def _leave_metrics(metrics: HttpMetrics) -> None:
    metrics.leave()
    asyncio.get_running_loop().call_later(INTERVAL_S, _leave_metrics, metrics)


def _listeners(first: socket.socket, settings: HttpSettings) -> list[socket.socket]:
    """Return each worker's socket, held by the parent: a worker's replacement serves what has queued meanwhile.

    Linux shares connections out among sockets; elsewhere the workers take turns at one.
    """
    if not sys.platform.startswith("linux"):
        return [first] * settings.workers
    # The first was bound alone, so nobody else has the port.
    first.close()
    return [_listener(settings, shared=True) for _ in range(settings.workers)]


def _listener(settings: HttpSettings, *, shared: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        message = f"cannot listen on {settings.host} port {settings.port}: {error.strerror or error}"
        raise ListenError(message, hint="set APP_HOST and APP_PORT to a free address") from error
    listener.set_inheritable(False)
    return listener


async def _unset(_scope: object, _receive: object, _send: object) -> None:
    """Stand in for the app, which is made inside the running loop."""


def command(
    read_settings: Callable[[Mapping[str, str]], Settings], make_service: Callable[[Settings, Spool | None], Service]
) -> int:
    """Serve an app with the settings in the environment and `.env`, and return the exit status.

    Logs to standard error, and prints the app's errors there for people.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)

    def serve() -> int:
        settings = read_settings(environment(Path.cwd()))
        return run(lambda spool: make_service(settings, spool), settings.http)

    return reported(serve)


def reported(serve: Callable[[], int]) -> int:
    """Return what a call returns, or print the app's error and return its exit status."""
    try:
        return serve()
    except AppError as error:
        hint = f"\nhint: {error.hint}" if error.hint else ""
        sys.stderr.write(f"error: {error}{hint}\n")
        return error.exit_code
