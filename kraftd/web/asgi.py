"""ASGI types, and a complete answer as one value."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]


class Answer(NamedTuple):
    """A complete HTTP answer."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: Headers = ()


class ClientGoneError(Exception):
    """The client closed the connection before its request was complete."""


def json_answer(status: int, document: object, content_type: bytes = b"application/json") -> Answer:
    """Return an answer with a JSON document."""
    return Answer(status, json.dumps(document).encode(), content_type)


async def send_answer(send: Send, answer: Answer) -> None:
    """Send an answer in two messages, with its length."""
    headers = [(b"content-type", answer.content_type), (b"content-length", b"%d" % len(answer.body)), *answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def head_only(send: Send) -> Send:
    """Return a `send` that ends an answer after its head, as HEAD asks; also one that would go on for ever."""

    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b""})

    return send_head


def endpoint(make: Callable[[], Answer]) -> App:
    """Return an ASGI app that makes a new answer for every request."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send_answer(send, make())

    return app
