"""uvicorn as the daemon and the apps run it. Imported late, because uvicorn costs start-up time.

Also handles what is not a plain request: malformed ones, offers to upgrade, keep-alive.
"""

from collections.abc import Callable
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from kraftd.web.asgi import Answer, App, Headers, Message
from kraftd.web.guard import completed, security_headers

OnMalformed = Callable[[str, bool], Answer]
"""Makes the answer to malformed HTTP, from the fault and whether an earlier request is still in progress."""

CYCLE_ATTRIBUTES = (
    "access_log",
    "default_headers",
    "disconnected",
    "flow",
    "keep_alive",
    "message_event",
    "on_response",
    "response_complete",
    "response_started",
    "scope",
    "transport",
    "waiting_for_100_continue",
)
"""The attributes of uvicorn's cycle that `FastPathCycle` uses; if one is missing, uvicorn's own path is used."""


def server_config(app: App, on_malformed: OnMalformed, *, drain_s: float, **options: Any) -> uvicorn.Config:
    """Return uvicorn's configuration for plain HTTP.

    Args:
        app: The ASGI app to serve.
        on_malformed: Answers requests that the parser cannot read.
        drain_s: How long requests may take after a stop has begun.
        options: Further options of uvicorn's.
    """
    return uvicorn.Config(
        cast("Any", app),
        http=protocol_of(on_malformed),
        ws="none",
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=round(drain_s),
        **options,
    )


class FastPathCycle(RequestResponseCycle):
    """One request and its answer, which is written in one piece if it is complete.

    uvicorn matches each header against two patterns, and writes head and body separately.
    """

    held: Message | None = None
    """The head of an answer that waits for its body."""

    async def send(self, message: Any) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start" and not self.response_started:
            self.held = message
            return
        held, self.held = self.held, None
        if held is not None:
            if self._is_sent_whole(held, message):
                return
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


def header_lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return headers as lines of HTTP/1.1.

    Raises:
        ValueError: A name or a value contains a line break.
    """
    lines = b"".join([b"%b: %b\r\n" % pair for pair in headers])
    if lines.count(b"\n") != len(headers) or lines.count(b"\r") != len(headers):
        raise ValueError(f"cannot send these headers: {headers!r}")
    return lines


def protocol_of(on_malformed: OnMalformed) -> type[HttpToolsProtocol]:
    """Return uvicorn's protocol with the fast path and the given answer to malformed requests."""

    class HttpProtocol(HttpToolsProtocol):
        has_fast_path: bool | None = None

        def on_headers_complete(self) -> None:
            """Begin a request; called by the parser."""
            super().on_headers_complete()
            if HttpProtocol.has_fast_path is None:
                HttpProtocol.has_fast_path = all(hasattr(self.cycle, name) for name in CYCLE_ATTRIBUTES)
            if HttpProtocol.has_fast_path and type(self.cycle) is RequestResponseCycle:
                # The request's task begins only after this.
                self.cycle.__class__ = FastPathCycle

        def send_400_response(self, msg: str) -> None:
            """Answer a malformed request and close the connection.

            Earlier requests on the connection may still be in progress, so that the answer could be taken for theirs.
            """
            # uvicorn's type has no None, but before the first request there is no cycle.
            cycle = cast("RequestResponseCycle | None", self.cycle)
            answer = on_malformed(msg, cycle is not None and not cycle.response_complete)
            head = header_lines([*self.server_state.default_headers, *_headers_of(answer), (b"connection", b"close")])
            self.transport.write(b"".join([STATUS_LINE[answer.status], head, b"\r\n", answer.body]))
            self.transport.close()

    return HttpProtocol


def _headers_of(answer: Answer) -> Headers:
    own = ((b"content-type", answer.content_type), (b"content-length", b"%d" % len(answer.body)))
    return (*own, *completed(answer.headers, security_headers(has_forms=False)))
