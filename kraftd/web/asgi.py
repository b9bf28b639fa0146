"""ASGI types, and answers as values: a JSON document, the problem details of RFC 9457, a server-sent event.

The daemon and the apps define their own problems and further members.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

PING = b": ping\n\n"
"""A comment that keeps proxies and browsers from closing an idle stream."""
PING_INTERVAL_S = 15.0

STREAM_HEADERS = {"content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no"}
"""The headers of an event stream; the second keeps nginx from holding events back until it has many."""

PROBLEM_CONTENT_TYPE = "application/problem+json"
_SCHEMES = (b"Bearer", b'Basic realm="kraftd", charset="UTF-8"')
"""The first is for programs; the second makes a browser ask for the token."""


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
    """Return a `send` that ends an answer after its head, as HEAD asks; also one that would go on forever."""

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


def event(name: str, data: Mapping[str, Any], identifier: str = "") -> bytes:
    """Return one event with its data as JSON, which has no line breaks."""
    return json_event(name, json.dumps(data, ensure_ascii=False, separators=(",", ":")), identifier)


def json_event(name: str, data: str, identifier: str = "") -> bytes:
    """Return one event whose data is already a JSON text."""
    head = f"id: {identifier}\n" if identifier else ""
    return f"{head}event: {name}\ndata: {data}\n\n".encode()


def retry(pause_ms: int) -> bytes:
    """Return the instruction to reconnect after this pause."""
    return b"retry: %d\n\n" % pause_ms


class HttpProblem(Protocol):
    """One error answer."""

    def answer(self) -> Answer:
        """Return the problem as `application/problem+json`."""


MakeProblem = Callable[[str, str], HttpProblem]
"""Makes a problem from its code and the details of the case.

The code is malformed_request, bad_host, cross_site, unauthorized, internal, bad_parameter, not_found or
method_not_allowed.
"""


class HttpProblemError(Exception):
    """An exception that is answered with a problem.

    Attributes:
        problem: The problem.
    """

    def __init__(self, problem: HttpProblem) -> None:
        super().__init__(problem)
        self.problem = problem


def problem_answer(
    status: int, title: str, detail: str, *, type_uri: str = "about:blank", headers: Headers = (), **members: object
) -> Answer:
    """Return a problem as an answer.

    Args:
        status: HTTP status; 401 also names the ways to give a token.
        title: A summary, the same for all problems of this type.
        detail: The error of this request, with its values.
        type_uri: The type of the problem.
        headers: Further headers.
        members: Further members of the document, after the standard ones.
    """
    if status == HTTPStatus.UNAUTHORIZED:
        headers = (*headers, *((b"www-authenticate", scheme) for scheme in _SCHEMES))
    document = {"type": type_uri, "title": title, "status": status, "detail": detail, **members}
    return json_answer(status, document, PROBLEM_CONTENT_TYPE.encode())._replace(headers=headers)
