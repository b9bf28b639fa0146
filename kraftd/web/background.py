"""Work outside the event loop: blocking calls, apps that are built when first needed, and threads that fail or hang."""

import asyncio
import contextlib
import faulthandler
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from kraftd.web.asgi import App, Receive, Scope, Send

Result = TypeVar("Result")

_EXIT_STATUS_OF_A_DEFECT = 70
_STDERR = 2

logger = logging.getLogger(__name__)


async def in_thread(call: Callable[..., Result], *arguments: object) -> Result:
    """Run a blocking call on a daemon thread and return its result, or raise its exception.

    `asyncio.to_thread` would delay the end of the process until the call returns.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result, fault = None, None
        try:
            result = call(*arguments)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised where it is waited for
            fault = error
        on_loop(loop, settle, result, fault)

    threading.Thread(target=work, name=f"call-{call.__name__}", daemon=True).start()
    return await done


def on_loop(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *arguments: object) -> None:
    """Have a loop call a function, from any thread; a closed one, as while the process ends, has nobody to tell."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call, *arguments)


def dump_threads_on_quit() -> None:
    """Have SIGQUIT write what each thread does to standard error, as a JVM does, and no longer end the process."""
    faulthandler.register(signal.SIGQUIT, file=_STDERR, all_threads=True)


def end_process(failed: threading.ExceptHookArgs) -> None:
    """End the process because one of its threads failed, with the traceback in its log; a `threading.excepthook`.

    What is left of a process without one of its threads looks alive and does not do its work; a new one does.
    """
    name = failed.thread.name if failed.thread else "unknown"
    try:
        logger.critical("This process ends because its thread %s failed", name, exc_info=failed.exc_value)
    finally:
        os._exit(_EXIT_STATUS_OF_A_DEFECT)


class LazyApp:
    """An ASGI app that is built in a thread, because importing FastAPI costs most of the start."""

    def __init__(self, build: Callable[[], App]) -> None:
        self._build = build
        self._built: App | None = None
        self._lock = asyncio.Lock()

    async def load(self) -> App:
        """Build the app on the first call, and return it."""
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
