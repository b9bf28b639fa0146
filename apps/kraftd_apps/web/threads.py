"""Blocking calls off the loop, on threads that do not keep a stopping app from ending."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


async def in_thread(call: Callable[..., Result], *arguments: object) -> Result:
    """Run a blocking call on a daemon thread of its own and return its result, or raise what it raises.

    `asyncio.to_thread` would hold the end of the process until the call returns, however long that takes.
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
        # The loop is closed when the app has ended meanwhile: then nobody waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, fault)

    threading.Thread(target=work, name=f"call-{call.__name__}", daemon=True).start()
    return await done
