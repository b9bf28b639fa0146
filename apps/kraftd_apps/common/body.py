"""Reading a request body: bounded in size and in time."""

import asyncio

from kraftd.web.asgi import ClientGoneError, Receive, Scope
from kraftd_apps.common.problems import ProblemError, problem


async def read_body(scope: Scope, receive: Receive, *, max_bytes: int, timeout_s: float) -> bytes:
    """Return the whole body.

    Raises:
        ProblemError: It is longer than `max_bytes`, or did not arrive within `timeout_s` seconds.
        ClientGoneError: There is nobody to answer.
    """
    for name, value in scope["headers"]:
        if name == b"content-length":
            _check_length(int(value), max_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            return await _received(receive, max_bytes)
    except TimeoutError:
        raise ProblemError(problem("slow_body", f"the body did not arrive within {timeout_s:g} s")) from None


async def _received(receive: Receive, max_bytes: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        body += message.get("body", b"")
        _check_length(len(body), max_bytes)
        if not message.get("more_body", False):
            return bytes(body)


def _check_length(length: int, max_bytes: int) -> None:
    if length > max_bytes:
        raise ProblemError(problem("too_large", f"the body is longer than {max_bytes} bytes (APP_MAX_BODY)"))
