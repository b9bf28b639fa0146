"""The ASGI types, and a whole answer as one value."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    body: bytes
    media_type: str = JSON


def json_answer(status: int, document: object, media_type: str = JSON) -> Answer:
    """Return a document as an answer."""
    return Answer(status, json.dumps(document, ensure_ascii=False).encode(), media_type)


async def send_answer(send: Send, answer: Answer) -> None:
    """Send an answer in two messages, with its length."""
    headers = [(b"content-type", answer.media_type.encode()), (b"content-length", b"%d" % len(answer.body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
