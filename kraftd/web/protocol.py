"""HTTP/1.1 as clients really speak it, on top of uvicorn's protocol.

Offers to upgrade, bodies that nobody reads, slow and huge heads, what is not HTTP at all.
"""

import asyncio
import functools
from collections.abc import Callable
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from kraftd.web.asgi import Answer, Headers, Message
from kraftd.web.connections import HEAD_TIMEOUT_S, HttpState
from kraftd.web.guard import completed, security_headers

OnRefused = Callable[[str, str, bool], Answer]
"""Makes the answer to a request that does not reach the app.

From the code (malformed_request, method_not_allowed, slow_head or head_too_large), the fault, and whether an earlier
request is still in progress.
"""

MAX_HEAD_BYTES = 65_536
MAX_HEADERS = 128
MAX_LINGER_BYTES = 64 * 1024 * 1024
"""The number of bytes to read and discard before a connection is closed on a client that sends."""
_LAST_LINGER_S = 1.0
"""How long a client may go on sending when the server ends."""
_LAST_EVENTS_S = 0.5
"""How long an event stream may take to end when the server does: only for a page that reads nothing it is too short."""
_MOST_LINES = 128
"""The number of rendered headers to keep, since nearly all are the same in every answer."""

CYCLE_ATTRIBUTES = (
    "access_log",
    "default_headers",
    "disconnected",
    "flow",
    "keep_alive",
    "message_event",
    "more_body",
    "on_response",
    "response_complete",
    "response_started",
    "scope",
    "send_500_response",
    "transport",
    "waiting_for_100_continue",
)
"""The attributes of uvicorn's cycle that `HttpCycle` uses; if one is missing, uvicorn's own path is used."""


class HttpCycle(RequestResponseCycle):
    """One request and its answer, which is written in one piece if it is complete.

    uvicorn matches each header against two patterns, and writes head and body separately.
    """

    connection: "HttpProtocol"
    held: Message | None = None
    """The head of an answer that waits for its body."""
    is_event_stream = False
    app: Any = None

    async def run_asgi(self, app: Any) -> None:
        """Let the app answer; where the server ends before it has, that is no fault of the app."""
        self.app = app
        await super().run_asgi(self._run)

    async def _run(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            if not self.connection.server_state.is_ending:
                raise
            # uvicorn has logged how many it cancels.
            if not self.response_started:
                await self.send_500_response()
            elif not self.response_complete:
                self.disconnected = True
                self.transport.abort()

    async def send(self, message: Any) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start" and not self.response_started:
            self.held = message
            return
        held, self.held = self.held, None
        if held is not None:
            if self.more_body:
                # The client still sends, and might never: what comes next looks like another request.
                self.keep_alive = False
                self.transport = cast("Any", _LingeringTransport(self.connection))
            elif self.connection.is_last_answer:
                self.keep_alive = False
            if self._is_sent_whole(held, message):
                return
            self.is_event_stream = any(value.startswith(b"text/event-stream") for _, value in held["headers"])
            await super().send(cast("Any", held))
        await super().send(message)

    def _is_sent_whole(self, start: Message, message: Message) -> bool:
        """Send a complete answer in one piece and return True, if possible now."""
        body: bytes = message.get("body", b"")
        if (
            message["type"] != "http.response.body"
            or message.get("more_body", False)
            or (b"content-length", b"%d" % len(body)) not in start["headers"]
            or self.scope["method"] == "HEAD"
            or self.access_log
            or self.disconnected
            or self.flow.write_paused
        ):
            return False
        head = header_lines([*self.default_headers, *start["headers"]])
        self.waiting_for_100_continue = False
        self.response_started = self.response_complete = True
        end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        self.transport.write(b"".join([STATUS_LINE[start["status"]], head, end, body]))
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True


class _LingeringTransport:
    """The transport of an answer before the end of its request: closing it lets the client finish first."""

    def __init__(self, connection: "HttpProtocol") -> None:
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing
        self.close = connection.linger
        self.abort = connection.transport.abort


class _HeadTooLargeError(Exception):
    """A head is beyond the limits."""


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    on_refused: OnRefused
    has_fast_path: bool | None = None
    server_state: HttpState

    _answered: RequestResponseCycle | None = None
    """The request whose answer is or was in progress; `cycle` is the newest, and those between are in the pipeline."""
    _is_in_head = False
    _is_head_split = False
    """Whether a part of the head that is being read came in an earlier segment."""
    _is_head_waiting = False
    _is_complete = True
    """Whether nothing of the newest request is missing."""
    _has_progress = False
    _is_head_too_large = False
    _is_lingering = False
    _is_half_closed = False
    """Whether the client sends nothing more, and still waits for answers."""
    _segment_bytes = 0
    _fruitless_bytes = 0
    """Bytes in whole segments that completed nothing, such as those of a header that never ends."""
    _discarded_bytes = 0

    # The transport's callbacks
    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self.server_state.idle.add(self, self.loop.time())

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and have the request in progress end."""
        self.server_state.forget(self)
        self.pipeline.clear()
        if self._answered is not None:
            # uvicorn tells the newest request, which may wait behind this one.
            self._answered.disconnected = not self._answered.response_complete
            self._answered.message_event.set()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override] # uvicorn's closes the connection, and the answer is lost
        """Answer what arrived whole before the client closed its side, as `nc -N` does; return whether to do so."""
        self._is_half_closed = self._is_complete and self._is_under_way and not self.cycle.response_started
        return self._is_half_closed

    def data_received(self, data: bytes) -> None:
        """Parse what arrived."""
        self._segment_bytes = len(data)
        if self._is_lingering:
            self._discard()
            return
        self._has_progress = False
        self._is_head_split = self._is_in_head
        body_bytes = 0 if self._is_complete or self._is_in_head else len(self.cycle.body)
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                self._ignore_offers(memoryview(data)[offer.args[0] :])
        except httptools.HttpParserError:
            if self._is_head_too_large:
                self._refuse_head()
            else:
                self.logger.warning("Invalid HTTP request received.")
                self._refuse("malformed_request", "Invalid HTTP request received.")
            return
        if not self._is_complete and not self._is_lingering:
            self._wait_for_rest(body_bytes)

    def _ignore_offers(self, rest: memoryview) -> None:
        """Parse what follows a head that offers an upgrade.

        The offer is ignored (RFC 9110, 7.8). As the parser has skipped the body and takes what follows for another
        protocol, the head is parsed again without the offer, by a new parser, which then takes the rest.
        """
        while True:
            if self.parser.get_method() == b"CONNECT":
                self._refuse("method_not_allowed", "CONNECT is for proxies, and this is not one")
                return
            head = self._head_without_offer()
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self.parser.feed_data(head)
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as offer:
                rest = rest[offer.args[0] :]
            else:
                return

    def _head_without_offer(self) -> bytes:
        parts = [self.parser.get_method(), b" ", self.url, b" HTTP/", self.parser.get_http_version().encode(), b"\r\n"]
        for name, value in self.headers:
            if name == b"connection":
                kept = [token for token in value.split(b",") if token.strip().lower() != b"upgrade"]
                parts += [name, b": ", b",".join(kept), b"\r\n"]
            elif name != b"upgrade":
                parts += [name, b": ", value, b"\r\n"]
        return b"".join([*parts, b"\r\n"])

    def _wait_for_rest(self, body_bytes: int) -> None:
        if not self._has_progress and (self._is_in_head or len(self.cycle.body) == body_bytes):
            self._fruitless_bytes += self._segment_bytes
            if self._fruitless_bytes > MAX_HEAD_BYTES:
                if self._is_in_head:
                    self._refuse_head()
                else:
                    self._refuse("malformed_request", "a chunk's extension or a trailer is too long")
                return
        else:
            self._fruitless_bytes = 0
        if self._is_in_head and not self._is_head_waiting and not self._is_under_way:
            self._is_head_waiting = True
            self.server_state.heads.add(self, self.loop.time())

    # The parser's callbacks
    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._is_in_head = self._has_progress = True
        self._is_complete = False
        self._fruitless_bytes = 0
        self.server_state.idle.discard(self)

    def on_headers_complete(self) -> None:
        """Begin a request."""
        if self.parser.should_upgrade():
            return
        if len(self.headers) > MAX_HEADERS or (
            # Else it is no larger than its segment.
            (self._is_head_split or self._segment_bytes > MAX_HEAD_BYTES) and self._head_bytes() > MAX_HEAD_BYTES
        ):
            self._is_head_too_large = True
            raise _HeadTooLargeError  # so that the parser goes no further
        self._is_in_head = False
        self._has_progress = True
        self._fruitless_bytes = 0
        if self._is_head_waiting:
            self._is_head_waiting = False
            self.server_state.heads.discard(self)
        super().on_headers_complete()
        # What follows the body are trailers; a request may have been carried out before they come.
        self.headers = []

    def on_message_complete(self) -> None:
        """End a request."""
        if self.parser.should_upgrade():
            return
        self._is_complete = True
        super().on_message_complete()

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    # The answers
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        own = type(self)
        if own.has_fast_path is None:
            own.has_fast_path = all(hasattr(cycle, name) for name in CYCLE_ATTRIBUTES)
        if own.has_fast_path and type(cycle) is RequestResponseCycle:
            cycle.__class__ = HttpCycle
            cast("HttpCycle", cycle).connection = self
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Begin the next request, or wait for it."""
        state = self.server_state
        state.total_requests += 1
        if self._is_lingering or self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._is_in_head:
            self._is_head_waiting = True
            state.heads.add(self, self.loop.time())
        else:
            state.idle.add(self, self.loop.time())

    @property
    def is_last_answer(self) -> bool:
        """Whether the connection ends after the answer to the request in progress."""
        return (self.server_state.is_ending or self._is_half_closed) and not self.pipeline

    @property
    def _is_under_way(self) -> bool:
        # uvicorn's type has no None, but before the first request there is no cycle.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _refuse_head(self) -> None:
        limits = f"{MAX_HEAD_BYTES} bytes or {MAX_HEADERS} headers"
        self._refuse("head_too_large", f"the request line and the headers are more than {limits}")

    def _refuse(self, code: str, fault: str) -> None:
        """Answer a request that does not reach the app, and end the connection.

        Earlier requests on the connection may still be in progress, so that the answer could be taken for theirs.
        """
        is_under_way = self._is_under_way
        answer = self.on_refused(code, fault, is_under_way)
        head = header_lines([*self.server_state.default_headers, *_headers_of(answer), (b"connection", b"close")])
        self.transport.write(b"".join([STATUS_LINE[answer.status], head, b"\r\n", answer.body]))
        if is_under_way:
            self.transport.close()
        else:
            self.linger()

    # The end
    def linger(self) -> None:
        """Close the connection when the client has done so, and for a while discard what it sends.

        Closed at once, the system would answer what still comes with a reset, which can reach the client before the
        answer does, and makes it forget the answer.
        """
        if self._is_lingering or self.transport.is_closing():
            return
        self._is_lingering = True
        self.server_state.forget(self)
        self.flow.resume_reading()
        self.transport.write_eof()
        if self.server_state.is_ending:
            self.loop.call_later(_LAST_LINGER_S, self.end_lingering)
        else:
            self.server_state.lingering.add(self, self.loop.time())

    def _discard(self) -> None:
        self._discarded_bytes += self._segment_bytes
        if self._discarded_bytes > MAX_LINGER_BYTES:
            self.end_lingering()

    def shutdown(self) -> None:
        """End the connection as soon as no request is in progress: the server stops."""
        if self._is_lingering:
            self.loop.call_later(_LAST_LINGER_S, self.end_lingering)
            return
        super().shutdown()
        if isinstance(self._answered, HttpCycle) and self._answered.is_event_stream:
            self.loop.call_later(_LAST_EVENTS_S, self._end_stream, self._answered)

    def _end_stream(self, stream: RequestResponseCycle) -> None:
        if not stream.response_complete:
            self.transport.abort()

    def end_idle(self) -> None:
        """Close it between two requests."""
        self.transport.close()

    def end_head(self) -> None:
        """Refuse a request whose head does not arrive in time."""
        self._refuse("slow_head", f"the head did not arrive within {HEAD_TIMEOUT_S:g} s")

    def end_lingering(self) -> None:
        """Close it although the client still sends."""
        self.transport.abort()


def header_lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return headers as lines of HTTP/1.1.

    Raises:
        ValueError: A name or a value contains a line break.
    """
    return b"".join(map(_line, headers))


@functools.lru_cache(maxsize=_MOST_LINES)
def _line(header: tuple[bytes, bytes]) -> bytes:
    line = b"%b: %b\r\n" % header
    if line.count(b"\n") != 1 or line.count(b"\r") != 1:
        raise ValueError(f"cannot send these headers: {header!r}")
    return line


def protocol_of(on_refused: OnRefused) -> type[HttpToolsProtocol]:
    """Return the protocol with these answers to requests that do not reach the app."""
    return type("BoundHttpProtocol", (HttpProtocol,), {"on_refused": staticmethod(on_refused), "has_fast_path": None})


def _headers_of(answer: Answer) -> Headers:
    own = ((b"content-type", answer.content_type), (b"content-length", b"%d" % len(answer.body)))
    return (*own, *completed(answer.headers, security_headers(has_forms=False)))
