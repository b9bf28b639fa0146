import asyncio
import json

import pytest
import uvicorn
from uvicorn.server import ServerState

from kraftd_apps.producer.settings import read_settings
from kraftd_apps.web.asgi import Answer
from kraftd_apps.web.body import read_body
from kraftd_apps.web.guard import Guard
from kraftd_apps.web.protocol import ShortWayProtocol
from kraftd_apps.web.reply import exchange_of, head_of, send_answer
from kraftd_apps.web.telemetry import HttpMetrics

HEAD = b"Host: localhost\r\n"


class FakeTransport(asyncio.Transport):
    """Remembers each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.writes_while_paused = 0
        self.closed = False

    def write(self, data):
        self.writes.append(bytes(data))

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


async def echo(scope, receive, send):
    body = await read_body(scope, receive, max_bytes=100, timeout_s=5)
    await send_answer(send, Answer(200, body, b"text/plain"))


async def settled():
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


def exchange(*requests: bytes, reading: bool = True) -> FakeTransport:
    """Feed a connection one piece after the other, and return its transport."""

    async def main():
        app = Guard(echo, read_settings({}).http, HttpMetrics())
        config = uvicorn.Config(app, http=ShortWayProtocol, ws="none", lifespan="off", log_config=None)
        state = ServerState()
        state.default_headers = [(b"date", b"now")]
        config.load()
        protocol = ShortWayProtocol(config, state, {})
        protocol.access_log = False
        transport = FakeTransport()
        protocol.connection_made(transport)
        if not reading:
            protocol.pause_writing()
        for piece in requests:
            protocol.data_received(piece)
            await settled()
        transport.writes_while_paused = len(transport.writes)
        protocol.resume_writing()
        await settled()
        if transport.closed:
            protocol.connection_lost(None)
            await settled()
        return transport

    return asyncio.run(main())


def test_a_short_answer_goes_out_in_one_piece_with_every_header():
    transport = exchange(b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 2\r\n\r\nhi")
    assert len(transport.writes) == 1
    head, _, body = transport.writes[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert body == b"hi"
    assert lines[:4] == [b"HTTP/1.1 200 OK", b"date: now", b"content-type: text/plain", b"content-length: 2"]
    assert b"cache-control: no-store" in lines
    assert b"x-content-type-options: nosniff" in lines
    assert not transport.closed


def test_a_connection_serves_one_request_after_the_other_also_when_they_come_together():
    request = b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 1\r\n\r\n"
    transport = exchange(request + b"a", request + b"b" + request + b"c")
    assert [write[-1:] for write in transport.writes] == [b"a", b"b", b"c"]


def test_a_body_that_comes_in_pieces_is_received_the_long_way():
    transport = exchange(b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 4\r\n\r\nab", b"cd")
    assert transport.writes[-1].endswith(b"abcd")


def test_a_body_that_is_here_and_too_long_is_refused():
    transport = exchange(
        b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n65\r\n" + b"x" * 101 + b"\r\n0\r\n\r\n"
    )
    assert transport.writes[0].startswith(b"HTTP/1.1 413 ")


def test_a_client_that_wants_no_other_request_is_told_so_and_let_go():
    transport = exchange(b"POST / HTTP/1.1\r\n" + HEAD + b"Connection: close\r\nContent-Length: 0\r\n\r\n")
    assert b"\r\nconnection: close\r\n" in transport.writes[0]
    assert transport.closed


def test_the_answer_to_a_head_request_has_no_body():
    transport = exchange(b"HEAD / HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert b"".join(transport.writes).endswith(b"\r\n\r\n")


def test_nothing_is_written_to_a_client_that_does_not_read():
    transport = exchange(b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n", reading=False)
    assert transport.writes_while_paused == 0
    assert transport.writes[0].startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([b"\x16\x03\x01\x02\x00\x01\x00\x01"], id="TLS"),
        pytest.param([b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"], id="a length that is none"),
        pytest.param([b"POST / HTTP/1.1\r\nHost : a\r\n\r\n"], id="a blank in a header's name"),
    ],
)
def test_what_is_not_http_is_a_problem_with_every_header_and_ends_the_connection(pieces):
    transport = exchange(*pieces)

    head, _, body = b"".join(transport.writes).partition(b"\r\n\r\n")
    document = json.loads(body)
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\ndate: now\r\ncontent-type: application/problem+json\r\n")
    assert b"x-content-type-options: nosniff" in head
    assert (document["code"], document["outcome"]) == ("malformed_request", "not_written")
    assert transport.closed


def test_a_malformed_chunk_leaves_open_what_became_of_requests_under_way():
    begun = b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"

    transport = exchange(begun, b"no length\r\n")

    assert json.loads(transport.writes[-1].partition(b"\r\n\r\n")[2])["outcome"] == "unknown"


def test_an_exchange_is_offered_only_by_the_server():
    assert exchange_of({"type": "http"}) is None


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b=c", b"a\nb"])
def test_no_header_ends_its_line(value):
    with pytest.raises(ValueError, match="cannot send the header"):
        head_of(Answer(200, b"", headers=((b"x-a", value),)))
