"""HTTP as clients speak it, to the daemon and both apps of one cluster, over real sockets."""

import gzip
import re
import socket
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.kafka

SERVERS = ["kraftd", "producer", "consumer"]
SERVED = {"kraftd": "/livez", "producer": "/healthz", "consumer": "/healthz"}
LOCAL = b"Host: localhost\r\n"
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
"""What Java's HttpClient sends by default."""


def exchange(cluster, server, *pieces: bytes, answers: int = 1) -> bytes:
    """Send pieces one after the other; return what comes until there are so many answers, or the end."""
    address = urlsplit(cluster.url(server, ""))
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        received = b""
        for number, piece in enumerate(pieces):
            connection.sendall(piece)
            # What answers a piece proves that it came in a segment of its own.
            while len(statuses(received)) < min(number, answers - 1) and (chunk := connection.recv(65536)):
                received += chunk
        while len(statuses(received)) < answers and (chunk := connection.recv(65536)):
            received += chunk
    return received


def statuses(received: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d+)", received)]


def test_an_offer_to_upgrade_is_ignored_and_the_body_is_never_a_request(cluster):
    tombstone = b"DELETE /send?key=smuggled HTTP/1.1\r\n" + LOCAL + b"\r\n"
    head = b"POST /send HTTP/1.1\r\n" + LOCAL + OFFER
    expecting = head + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(tombstone)
    following = head + b"Content-Length: 1\r\n\r\n5"

    received = exchange(cluster, "producer", expecting, tombstone, following, answers=3)

    assert statuses(received) == [100, 400, 200]
    assert b"invalid_json" in received


@pytest.mark.parametrize("server", SERVERS)
def test_every_server_ignores_offers_and_goes_on_with_the_connection(cluster, server):
    request = b"GET %s HTTP/1.1\r\n" % SERVED[server].encode() + LOCAL + OFFER + b"\r\n"

    assert statuses(exchange(cluster, server, request, request, answers=2)) == [200, 200]


@pytest.mark.parametrize("server", SERVERS)
def test_a_client_that_writes_first_and_reads_later_gets_its_answer(cluster, server):
    status = {"kraftd": 404, "producer": 413, "consumer": 404}[server]
    request = urllib.request.Request(cluster.url(server, "/send"), b"x" * 5_000_000)

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=20)

    with refused.value as answer:
        assert (answer.code, answer.headers["Connection"]) == (status, "close")


@pytest.mark.parametrize(
    ("server", "path"), [*SERVED.items(), *[(server, path) for server in SERVERS for path in ("/", "/metrics")],
                         ("kraftd", "/events"), ("consumer", "/events")],
)  # fmt: skip
def test_the_head_of_what_can_be_got_can_be_asked_for(cluster, server, path):
    request = urllib.request.Request(cluster.url(server, path), method="HEAD")

    with urllib.request.urlopen(request, timeout=30) as answer:
        assert (answer.status, answer.read()) == (200, b"")


@pytest.mark.parametrize("server", SERVERS)
def test_http_1_0_and_what_is_not_http_are_answered(cluster, server):
    path = SERVED[server].encode()

    assert statuses(exchange(cluster, server, b"GET %s HTTP/1.0\r\n\r\n" % path)) == [200]
    refused = exchange(cluster, server, b"\x16\x03\x01\x02\x00\x01\x00\x01")
    assert (statuses(refused), b"application/problem+json" in refused) == ([400], True)


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_is_well_after_more_connections_than_it_keeps(cluster, server):
    address = urlsplit(cluster.url(server, ""))
    idle = [socket.create_connection((address.hostname, address.port)) for _ in range(600)]
    try:
        request = b"GET %s HTTP/1.1\r\n" % SERVED[server].encode() + LOCAL + b"\r\n"
        assert statuses(exchange(cluster, server, request)) == [200]
        assert idle[0].recv(1) == b""
    finally:
        for connection in idle:
            connection.close()


def test_a_compressed_body_with_a_byte_order_mark_is_published_without_both(cluster):
    value = b'{"compressed": 1.10}'
    headers = {"Content-Encoding": "gzip"}
    request = urllib.request.Request(cluster.url("producer", "/send"), gzip.compress(b"\xef\xbb\xbf" + value), headers)

    with urllib.request.urlopen(request, timeout=20) as answer:
        place = re.search(rb'"partition":(\d+),"offset":(\d+)', answer.read())

    assert place is not None
    raw = "/api/messages/{}/{}/raw".format(*(int(number) for number in place.groups()))
    assert cluster.get("consumer", raw) == (200, value.decode())
