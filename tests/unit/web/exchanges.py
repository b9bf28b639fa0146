"""A connection in this process: bytes in, bytes out."""

import asyncio

from kraftd.web.asgi import Answer, problem_answer, send_answer
from kraftd.web.connections import HttpState
from kraftd.web.guard import AccessRules, Guard
from kraftd.web.server import server_config

HEAD = b"Host: localhost\r\n"
STATUS = {"malformed_request": 400, "method_not_allowed": 405, "slow_head": 408, "head_too_large": 431}


class FakeTransport(asyncio.Transport):
    """Remembers each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.writes_while_paused = 0
        self.closed = False
        self.aborted = asyncio.Event()
        self.wrote_eof = False

    def write(self, data):
        self.writes.append(bytes(data))

    def close(self):
        self.closed = True

    def write_eof(self):
        self.wrote_eof = True

    def abort(self):
        self.closed = True
        self.aborted.set()

    def is_closing(self):
        return self.closed

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


async def stay(scope, receive, send):
    if scope["path"] == "/events":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass


async def echo(scope, receive, send):
    body = b""
    if scope["path"] == "/early":
        await send_answer(send, Answer(413, b"too long", b"text/plain"))
        return
    if scope["path"] in {"/wait", "/events"}:
        await stay(scope, receive, send)
        return
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    if scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})
    elif scope["path"] == "/cut":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("broken on purpose")
    elif scope["path"] == "/short":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"one"})
    else:
        await send_answer(send, Answer(200, body, b"text/plain"))


def refused(code, fault, is_under_way):
    return problem_answer(STATUS[code], "Refused", fault, code=code, under_way=is_under_way)


async def settled():
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


class Exchange:
    """A connection to the echo, and what the other connections of its server would see."""

    def __init__(self, protocol_class=None) -> None:
        app = Guard(echo, AccessRules("this app", frozenset({"localhost"}), ""), None)
        config = server_config(app, refused, drain_s=1, log_config=None)
        config.load()
        self.state = HttpState()
        self.state.default_headers = [(b"date", b"now")]
        self.transport = FakeTransport()
        self.connection = (protocol_class or config.http)(config, self.state, {})
        self.connection.access_log = False
        self.connection.connection_made(self.transport)

    async def send(self, *pieces: bytes) -> bytes:
        """Let pieces arrive one after the other; return what is written meanwhile."""
        before = len(self.transport.writes)
        for piece in pieces:
            self.connection.data_received(piece)
            await settled()
        return b"".join(self.transport.writes[before:])


def exchange(*requests: bytes, reading: bool = True, protocol_class=None) -> FakeTransport:
    """Feed a connection one piece after the other, and return its transport."""

    async def main():
        each = Exchange(protocol_class)
        transport, connection = each.transport, each.connection
        if not reading:
            connection.pause_writing()
        await each.send(*requests)
        transport.writes_while_paused = len(transport.writes)
        connection.resume_writing()
        await settled()
        if transport.closed:
            connection.connection_lost(None)
            await settled()
        return transport

    return asyncio.run(main())
