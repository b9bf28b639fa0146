"""Every route of the three servers with every odd request, over real sockets: routes x requests, and their faults.

The routes come from the servers' own descriptions, so that a new one is covered without a change here.
"""

import gzip
import json
import re
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.kafka.routes import LIVE, Route, routes_of

pytestmark = pytest.mark.kafka


HANG_S = 20.0
"""Longer than the producer waits for a body (5 s)."""
AT_ONCE = 16

HOST = b"Host: localhost\r\n"
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
VALUE = b'{"odd":1}'
MARK = b"\xef\xbb\xbf"


def with_head(*lines: bytes, body: bytes = VALUE, host: bytes = HOST, version: bytes = b"1.1"):
    """Return a request with these header lines before the length of its body."""

    def request(method: bytes, target: bytes) -> bytes:
        content = body if method not in (b"GET", b"HEAD") else b""
        length = b"Content-Length: %d\r\n" % len(content) if content else b""
        start = b"%b %b HTTP/%b\r\n" % (method, target, version)
        return b"".join([start, host, *(line + b"\r\n" for line in lines), length, b"\r\n", content])

    return request


def raw(rest: bytes):
    """Return a request whose bytes after the first line are given."""
    return lambda method, target: b"%b %b HTTP/1.1\r\n%b" % (method, target, rest)


def by_method(method: bytes):
    return lambda _method, target: with_head()(method, target)


def at(before: bytes = b"", after: bytes = b""):
    return lambda method, target: with_head()(method, before + target + after)


REQUESTS = {
    "plain": with_head(),
    "offer of HTTP/2": with_head(OFFER[:-2]),
    "offer of WebSocket": with_head(b"Connection: keep-alive, upgrade", b"Upgrade: websocket"),
    "gzip": with_head(b"Content-Encoding: gzip", body=gzip.compress(VALUE)),
    "gzip that lies": with_head(b"Content-Encoding: gzip"),
    "gzip cut short": with_head(b"Content-Encoding: gzip", body=gzip.compress(VALUE * 99)[:-9]),
    "gzip that grows": with_head(b"Content-Encoding: gzip", body=gzip.compress(b" " * 30_000_000)),
    "unknown encoding": with_head(b"Content-Encoding: odd, br"),
    "byte order mark": with_head(body=MARK + VALUE),
    "byte order mark alone": with_head(body=MARK),
    "UTF-16": with_head(body='{"odd":1}'.encode("utf-16")),
    "not UTF-8": with_head(body=b'"\xff\xfe"'),
    "empty body": with_head(b"Content-Length: 0", body=b""),
    "no length": with_head(body=b""),
    "array as NDJSON": with_head(b"Content-Type: application/x-ndjson", body=b"[1, 2]\n\n\r\n3"),
    "form": with_head(b"Content-Type: application/x-www-form-urlencoded", body=b"a=1&a=2"),
    "odd content type": with_head(b"Content-Type: ;;charset=\x80=", b"Content-Type: text/plain"),
    "length too long": raw(HOST + b"Content-Length: 50\r\nConnection: close\r\n\r\n" + VALUE),
    "length too short": raw(HOST + b"Content-Length: 2\r\n\r\n" + VALUE),
    "length is no number": raw(HOST + b"Content-Length: +5\r\n\r\n" + VALUE),
    "two lengths": raw(HOST + b"Content-Length: 9\r\nContent-Length: 2\r\n\r\n" + VALUE),
    "length and chunks": raw(HOST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n5\r\n0\r\n\r\n"),
    "chunks": raw(HOST + b"Transfer-Encoding: chunked\r\n\r\n1;a=b\r\n5\r\n0\r\nTrailer: \x80\r\n\r\n"),
    "chunk of no size": raw(HOST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n5\r\n0\r\n\r\n"),
    "unknown transfer": raw(HOST + b"Transfer-Encoding: gzip\r\n\r\n" + VALUE),
    "HTTP/1.0": with_head(host=b"", version=b"1.0"),
    "HTTP/1.0 kept alive": with_head(b"Connection: keep-alive", host=b"", version=b"1.0"),
    "HTTP/2.0": with_head(version=b"2.0"),
    "HTTP/0.9": lambda _method, target: b"GET %b\r\n" % target,
    "no Host": with_head(host=b""),
    "empty Host": with_head(host=b"Host:\r\n"),
    "two Hosts": with_head(HOST[:-2]),
    "Host with junk": with_head(host=b"Host: [::1\r\n"),
    "Host with bytes": with_head(host=b"Host: \xff\x80\r\n"),
    "other Host": with_head(host=b"Host: evil.example\r\n"),
    "Origin with junk": with_head(b"Origin: http://["),
    "Origin null": with_head(b"Origin: null"),
    "Origin with bytes": with_head(b"Origin: http://\xff"),
    "Accept refused": with_head(b"Accept: */*;q=0, text/plain;q=x, ;;"),
    "Accept with bytes": with_head(b"Accept: \xff/\x80;q=1e999"),
    "Accept-Encoding": with_head(b"Accept-Encoding: gzip;q=nan, *;q=0"),
    "Range": with_head(b"Range: bytes=5-1", b"If-None-Match: *", b"If-Modified-Since: never"),
    "Expect": with_head(b"Expect: 100-continue"),
    "other Expect": with_head(b"Expect: wonders"),
    "Authorization": with_head(b"Authorization: Basic \xff!", b"Authorization: Bearer"),
    "Cookie": with_head(b"Cookie: a=\xff; =; ;"),
    "Forwarded": with_head(b"X-Forwarded-For: \xff", b"X-Forwarded-Proto: javascript", b"Forwarded: for=]["),
    "Last-Event-ID": with_head(b"Last-Event-ID: \xff:9e9"),
    "Kafka's headers": with_head(b"X-Kafka-Key: \xff", b"X-Kafka-Header-: a", b"X-Kafka-Header-A: \x80"),
    "control characters": with_head(b"X-Odd: a\x1b[2J\x7f", b"X-Tab: \ta\t"),
    "NUL in a header": with_head(b"X-Odd: a\x00b"),
    "folded header": with_head(b"X-Odd: a\r\n b"),
    "header without a colon": with_head(b"X-Odd"),
    "line feeds alone": lambda method, target: b"%b %b HTTP/1.1\nHost: localhost\n\n" % (method, target),
    "huge header": with_head(b"X-Odd: " + b"a" * 70_000),
    "many headers": with_head(*(b"X-%d: 1" % number for number in range(200))),
    "huge target": at(after=b"?a=" + b"a" * 70_000),
    "empty query": at(after=b"?"),
    "odd query": at(after=b"?=&&a&=b&a=1&a=2&%&%zz"),
    "repeated parameters": at(after=b"?partition=0&partition=1&key=a&key=b&limit=1&limit=x&strict=1&strict=maybe"),
    "parameters that are no numbers": at(after=b"?partition=9e9&offset=-1&limit=%F0%9F%92%A9&timestamp=nan"),
    "huge numbers": at(after=b"?partition=0&offset=" + b"9" * 5000),
    "query that is not UTF-8": at(after=b"?key=%ff%fe&search=%80"),
    "query with bytes": at(after=b"?key=\xff\x80"),
    "query with line breaks": at(after=b"?key=a%0d%0aX-Injected:%201&search=%1b%5b2J%00"),
    "path that is not UTF-8": at(after=b"/%ff"),
    "path with NUL": at(after=b"%00"),
    "path with control characters": at(after=b"%1b%5b2J%0d%0aX-Injected:%201"),
    "path with bytes": at(after=b"\xff"),
    "slash at the end": at(after=b"/"),
    "two slashes": at(before=b"/"),
    "climbing path": at(before=b"/static/../..", after=b"/%2e%2e/etc/passwd"),
    "fragment": at(after=b"#a"),
    "absolute target": at(before=b"http://localhost"),
    "absolute target of another host": at(before=b"http://evil.example"),
    "asterisk": lambda method, _target: with_head()(method, b"*"),
    "HEAD": by_method(b"HEAD"),
    "OPTIONS": by_method(b"OPTIONS"),
    "PUT": by_method(b"PUT"),
    "PATCH": by_method(b"PATCH"),
    "DELETE": by_method(b"DELETE"),
    "TRACE": by_method(b"TRACE"),
    "CONNECT": by_method(b"CONNECT"),
    "PROPFIND": by_method(b"PROPFIND"),
    "unknown method": by_method(b"BREW"),
    "method in lower case": lambda method, target: with_head()(method.lower(), target),
    "no HTTP": lambda _method, _target: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "spaces": lambda method, target: b"%b  %b  HTTP/1.1\r\n%b\r\n" % (method, target, HOST),
}
CUT_SHORT = frozenset({"length too long", "HTTP/0.9"})
"""Requests whose client goes away before their end; they may be left without an answer."""
HALF_CLOSED = CUT_SHORT | {"plain", "HTTP/1.0", "no length"}
"""Requests after which the client closes its side, and still reads, as `nc -N` does."""


@dataclass(frozen=True)
class Seen:
    """An answer, and the connection after it.

    Attributes:
        is_closed: Whether the server closed it; otherwise it served another request.
    """

    status: int
    head: bytes
    body: bytes
    is_closed: bool


class HangError(Exception):
    """No answer in time, or neither an end nor another answer after it."""


def ask(address: tuple[str, int], live: str, request: bytes, *, half_closed: bool) -> Seen | None:
    """Send a request, then a plain one; None where the server closed the connection without an answer."""
    following = b"GET %b HTTP/1.1\r\n%b\r\n" % (live.encode(), HOST)
    with socket.create_connection(address, timeout=HANG_S) as connection:
        connection.sendall(request)
        if half_closed:
            connection.shutdown(socket.SHUT_WR)
        answer = Answers(connection).next(is_head=request.startswith(b"HEAD "))
        if answer is None:
            return None
        status, head, body = answer
        if status == 200 and b"text/event-stream" in head:
            return Seen(status, head, body, is_closed=False)
        if half_closed or re.search(rb"(?im)^connection: *close", head):
            while connection.recv(65536):
                pass
            return Seen(status, head, body, is_closed=True)
        connection.sendall(following)
        after = Answers(connection).next(is_head=False)
        if after is None or after[0] not in (200, 400, 503):
            raise HangError(f"the connection was to go on after {status}, and then: {after}")
        return Seen(status, head, body, is_closed=False)


class Answers:
    """The answers on a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""

    def next(self, *, is_head: bool) -> tuple[int, bytes, bytes] | None:
        """Return the status, head and body of the next final answer; None at the end of the connection."""
        while True:
            if (head := self._until(b"\r\n\r\n")) is None:
                return None
            status = int(head.split(b" ", 2)[1])
            if status >= 200:
                break
        if is_head or status in (204, 304) or b"text/event-stream" in head:
            return status, head, b""
        if re.search(rb"(?im)^transfer-encoding: *chunked", head):
            return status, head, self._until(b"0\r\n\r\n") or b""
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        return status, head, self._exactly(int(length[1])) if length else self._to_the_end()

    def _more(self) -> bool:
        chunk = self._connection.recv(65536)
        self._received += chunk
        return bool(chunk)

    def _until(self, mark: bytes) -> bytes | None:
        while mark not in self._received:
            if not self._more():
                return None
        found, _, self._received = self._received.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            if not self._more():
                raise HangError(f"an answer of {size} bytes ended after {len(self._received)}")
        found, self._received = self._received[:size], self._received[size:]
        return found

    def _to_the_end(self) -> bytes:
        while self._more():
            pass
        return self._received


def faults_of(route: Route, name: str, seen: Seen | None) -> Iterator[str]:
    """Yield what is wrong with an answer."""
    if seen is None:
        if name not in CUT_SHORT:
            yield "no answer"
        return
    if seen.status >= 500 and not (seen.status == 503 and (503 in route.described or not route.described)):
        yield f"status {seen.status}: {seen.body[:200]!r}"
    if re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", seen.head) or b"x-injected" in seen.head.lower():
        yield f"a control character or a foreign line in the head: {seen.head!r}"
    if b"Traceback" in seen.body:
        yield f"a traceback: {seen.body[:200]!r}"
    if seen.status < 400 or not seen.body:
        return
    document = json.loads(seen.body)
    if seen.status == 503 and "reasons" in document:
        return  # health and readiness have an answer of their own
    if b"application/problem+json" not in seen.head:
        yield f"no problem document: {seen.head!r}"
    elif document["status"] != seen.status or not document["detail"]:
        yield f"a problem that says something else than {seen.status}: {document}"


EXACTLY = {"no Host": 400, "two Hosts": 400, "other Host": 421, "no HTTP": 400, "huge header": 431, "CONNECT": 405}
"""Answers that are the same at every route, which says that the requests are what their names say."""


@pytest.mark.parametrize("server", LIVE)
def test_every_route_answers_every_odd_request(cluster, server, capsys):
    address = re.search(r"//(.*):(\d+)", cluster.url(server, ""))
    where = (address[1], int(address[2]))
    pid, logged_before = cluster.pid(server), cluster.console(server)
    routes = routes_of(cluster, server)

    def faults(case: tuple[Route, str]) -> list[str]:
        route, name = case
        request = REQUESTS[name](route.method.encode(), route.path.encode())
        try:
            seen = ask(where, LIVE[server], request, half_closed=name in HALF_CLOSED)
        except (OSError, HangError, ValueError) as error:
            return [f"{route.method} {route.path}, {name}: {error!r}"]
        found = list(faults_of(route, name, seen))
        if seen is not None and seen.status != EXACTLY.get(name, seen.status):
            found.append(f"status {seen.status}: {seen.body[:200]!r}")
        return [f"{route.method} {route.path}, {name}: {each}" for each in found]

    cases = [(route, name) for name in REQUESTS for route in routes]
    began_s = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = [fault for each in pool.map(faults, cases) for fault in each]
    took_s = time.monotonic() - began_s
    logged = cluster.console(server)[len(logged_before) :]

    with capsys.disabled():
        sys.stdout.write(
            f"\n{server}: {len(routes)} routes x {len(REQUESTS)} requests, {len(found)} faults, {took_s:.1f} s\n"
        )
    assert not found, "\n".join(found)
    assert "Traceback" not in logged
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", logged)
    assert cluster.get(server, LIVE[server])[0] == 200
    assert cluster.pid(server) == pid
