"""Calls an ASGI app in this process and returns the whole answer."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

LOCAL = ((b"host", b"localhost:8001"),)


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def until(condition) -> None:
    """Let the loop run until a condition holds; pytest's timeout bounds it."""
    while not condition():  # noqa: ASYNC110 - what is waited for is the state of a thread
        await asyncio.sleep(0)


async def call(
    app,
    method: str,
    target: str,
    body: bytes | list[bytes] = b"",
    headers=(),
    *,
    host=LOCAL,
    tell=lambda _message: None,
    stays=False,
    http_version="1.1",
) -> Answered:
    """Send one request.

    ``tell`` sees each message as it is sent, also those before an exception; a client that stays never hangs up.
    """
    path, _, query = target.partition("?")
    chunks = [body] if isinstance(body, bytes) else list(body)
    messages = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks) - 1}
        for number, chunk in enumerate(chunks)
    ]
    sent: list[dict] = []

    async def receive():
        if stays and not messages:
            await asyncio.Event().wait()
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)
        tell(message)

    scope = {
        "type": "http",
        "http_version": http_version,
        "asgi": {"version": "3.0"},
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "server": ("127.0.0.1", 8001),
        "client": ("127.0.0.1", 50000),
        "query_string": query.encode(),
        "headers": [*host, *headers],
    }
    await app(scope, receive, send)
    start = sent[0]
    return Answered(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        b"".join(message.get("body", b"") for message in sent[1:]),
    )
