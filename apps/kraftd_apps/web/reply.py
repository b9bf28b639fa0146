"""How answers leave: with the headers that every one of them has, and in one piece where the server takes it so."""

from collections.abc import Iterable
from typing import Protocol

from kraftd_apps.web.asgi import Answer, Headers, Message, Scope, Send

SECURITY_HEADERS: Headers = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    # Not no-referrer: with it browsers send "Origin: null" when a form of ours posts.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_NO_STORE = (b"cache-control", b"no-store")
EXCHANGE = "kraftd.exchange"
"""The key in an ASGI scope under which a server offers an `Exchange`."""


class Exchange(Protocol):
    """One request and its answer, where the server has a short way for both."""

    def body(self) -> bytes | None:
        """Return the whole body if it is here already, once; else None: then it is to be received."""

    def answer(self, status: int, head: bytes, body: bytes) -> bool:
        """Send a whole answer; tells whether that was possible now."""


def exchange_of(scope: Scope) -> Exchange | None:
    """Return the server's short way, where it has one."""
    found: Exchange | None = scope.get(EXCHANGE)
    return found


class Reply:
    """Where an app sends its answer: adds the headers that every answer has, and remembers the status.

    Attributes:
        status: 0 before the answer has begun.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._exchange = exchange_of(scope)
        self.status = 0

    async def __call__(self, message: Message) -> None:
        """Send a part of an answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = with_security_headers(message["headers"])
        await self._send(message)

    async def answer(self, answer: Answer) -> None:
        """Send a whole answer."""
        if self._exchange is not None and self._exchange.answer(answer.status, head_of(answer), answer.body):
            self.status = answer.status
            return
        await _send_in_parts(self, answer)


async def send_answer(send: Send, answer: Answer) -> None:
    """Send a whole answer with its length: in one piece, unless a framework stands between."""
    if isinstance(send, Reply):
        await send.answer(answer)
    else:
        await _send_in_parts(send, answer)


async def _send_in_parts(send: Send, answer: Answer) -> None:
    headers = [(b"content-type", answer.content_type), (b"content-length", b"%d" % len(answer.body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": [*headers, *answer.headers]})
    await send({"type": "http.response.body", "body": answer.body})


def with_security_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return an answer's headers and those that every answer has; `no-store` where it says nothing of caching."""
    found = list(headers)
    if not _says_caching(found):
        found.append(_NO_STORE)
    found.extend(SECURITY_HEADERS)
    return found


def head_of(answer: Answer) -> bytes:
    """Return an answer's header lines, each with its line end.

    Raises:
        ValueError: A value would end its line.
    """
    parts = [b"content-type: %b\r\ncontent-length: %d\r\n" % (answer.content_type, len(answer.body))]
    if answer.headers:
        parts.append(_lines(answer.headers))
    parts.append(_SECURED if _says_caching(answer.headers) else _SECURED_AND_NOT_STORED)
    return b"".join(parts)


def _says_caching(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(name == b"cache-control" for name, _ in headers)


def _lines(headers: Headers) -> bytes:
    for pair in headers:
        if any(mark in part for part in pair for mark in (b"\r", b"\n")):
            raise ValueError(f"cannot send the header {pair!r}")
    return b"".join(b"%b: %b\r\n" % pair for pair in headers)


_SECURED = _lines(SECURITY_HEADERS)
_SECURED_AND_NOT_STORED = _lines((_NO_STORE, *SECURITY_HEADERS))
