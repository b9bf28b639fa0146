"""A request's body: read within bounds of size and of time, and decoded by its `Content-Encoding`."""

import asyncio
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, cast

from kraftd.web.asgi import ClientGoneError, Message, Receive, Scope
from kraftd_apps.common.problems import ProblemError, problem

_TOO_SLOW = "the body is too slow"

IDENTITY = b"identity"
_GZIP = frozenset({b"gzip", b"x-gzip"})
_DEFLATE = b"deflate"
_GZIP_BITS = 16 + zlib.MAX_WBITS
_PIECE_BYTES = 65_536
_MOST_MEMBERS = 1000
"""The number of streams that one body may consist of, since each costs time however little it holds."""


class BodyReader:
    """Reads bodies within the same bounds, on one loop.

    All that wait share one timer of the loop: one for each, as `asyncio.timeout` has, costs more than the rest of
    reading a short body.

    Args:
        max_bytes: The maximum length of a body, both as sent and decoded.
        setting: The name of the setting that raises it.
        timeout_s: Seconds within which the whole body must arrive.
    """

    def __init__(self, *, max_bytes: int, setting: str, timeout_s: float) -> None:
        self._max_bytes = max_bytes
        self._setting = setting
        self._timeout_s = timeout_s
        self._due_s: dict[asyncio.Task[Any], float] = {}
        """The deadline of each task that waits for its body, the next one first."""
        self._timer: asyncio.TimerHandle | None = None

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """Return the whole body, without its `Content-Encoding`.

        Raises:
            ProblemError: The body is too long or too slow, or cannot be decoded.
            ClientGoneError: The client closed the connection.
        """
        encoding = IDENTITY
        for name, value in scope["headers"]:
            if name == b"content-length":
                self._check_length(int(value))
            elif name == b"content-encoding":
                encoding = encoding_of(scope["headers"])
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._begin_wait(task)
        try:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                body: bytes = message.get("body", b"")
                self._check_length(len(body))
            else:
                body = await self._rest(message, receive)
        except asyncio.CancelledError as cancelled:
            if cancelled.args != (_TOO_SLOW,):
                raise
            task.uncancel()
            raise ProblemError(problem("slow_body", f"the body did not arrive within {self._timeout_s:g} s")) from None
        finally:
            self._due_s.pop(task, None)
        return body if encoding == IDENTITY else decoded(body, encoding, self._max_bytes, self._setting)

    def _begin_wait(self, task: asyncio.Task[Any]) -> None:
        loop = asyncio.get_running_loop()
        self._due_s[task] = due_s = loop.time() + self._timeout_s
        if self._timer is None:
            self._timer = loop.call_at(due_s, self._end_waits)

    def _end_waits(self) -> None:
        """End the waits that are due, and set the timer for the next one."""
        loop = asyncio.get_running_loop()
        self._timer = None
        for task, due_s in list(self._due_s.items()):
            if due_s > loop.time():
                self._timer = loop.call_at(due_s, self._end_waits)
                return
            del self._due_s[task]
            task.cancel(_TOO_SLOW)

    async def _rest(self, message: Message, receive: Receive) -> bytes:
        body = bytearray()
        while message["type"] != "http.disconnect":
            body += message.get("body", b"")
            self._check_length(len(body))
            if not message.get("more_body", False):
                return bytes(body)
            message = await receive()
        raise ClientGoneError

    def _check_length(self, length: int) -> None:
        if length > self._max_bytes:
            detail = f"the body is longer than {self._max_bytes} bytes ({self._setting})"
            raise ProblemError(problem("too_large", detail))


def encoding_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the encoding of a body in lower case; `identity` if it has none.

    Raises:
        ProblemError: The encoding is not supported, or there are several.
    """
    named = [value for name, value in headers if name == b"content-encoding"]
    codings = [coding for coding in (part.strip().lower() for value in named for part in value.split(b",")) if coding]
    applied = [coding for coding in codings if coding != IDENTITY]
    if not applied:
        return IDENTITY
    if len(applied) > 1 or applied[0] not in {*_GZIP, _DEFLATE}:
        given = b", ".join(applied)[:40].decode("latin-1")
        raise ProblemError(problem("unsupported_encoding", f"this app decodes gzip or deflate, not {given!r}"))
    return applied[0]


def decoded(body: bytes, encoding: bytes, max_bytes: int, setting: str) -> bytes:
    """Return a body without its encoding; never inflates more than `max_bytes` and a byte.

    The name of the setting that raises `max_bytes` is for the refusal.

    Raises:
        ProblemError: The body is not in that encoding, or is longer than `max_bytes` when decoded.
    """
    if encoding == IDENTITY:
        return body
    try:
        return _inflated(body, _window_bits(body, encoding), max_bytes, setting)
    except zlib.error as error:
        raise _unlike(encoding, str(error).rpartition(": ")[2]) from error
    except EOFError as error:
        raise _unlike(encoding, "it ends too early") from error


def _window_bits(body: bytes, encoding: bytes) -> int:
    """Return zlib's format: deflate is zlib's by the standard (RFC 9110), but some clients send it bare."""
    if encoding in _GZIP:
        return _GZIP_BITS
    has_zlib_head = len(body) > 1 and body[0] & 15 == zlib.DEFLATED and not (body[0] << 8 | body[1]) % 31
    return zlib.MAX_WBITS if has_zlib_head else -zlib.MAX_WBITS


def _inflated(body: bytes, window_bits: int, max_bytes: int, setting: str) -> bytes:
    found = bytearray()
    members = 1
    stream = zlib.decompressobj(window_bits)
    for piece in _pieces(body):
        rest = piece
        while rest:
            if stream.eof:
                # Programs such as pigz and bgzip write several streams one after the other.
                members += 1
                if window_bits != _GZIP_BITS or members > _MOST_MEMBERS:
                    raise zlib.error("more data after its end")
                stream = zlib.decompressobj(window_bits)
            found += stream.decompress(rest, max_bytes + 1 - len(found))
            if len(found) > max_bytes:
                detail = f"the decoded body is longer than {max_bytes} bytes ({setting})"
                raise ProblemError(problem("too_large", detail))
            rest = stream.unused_data
    if not stream.eof:
        raise EOFError
    return bytes(found)


def _pieces(body: bytes) -> Iterator[bytes]:
    """Yield a body in pieces: zlib copies what it leaves over at the end of each stream."""
    for start in range(0, len(body), _PIECE_BYTES):
        yield body[start : start + _PIECE_BYTES]


def _unlike(encoding: bytes, fault: str) -> ProblemError:
    detail = f"the body is not {encoding.decode()}, as its Content-Encoding says: {fault}"
    return ProblemError(problem("invalid_encoding", detail))
