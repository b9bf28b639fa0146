import json

import pytest

from kraftd.web import protocol
from kraftd.web.protocol import CYCLE_ATTRIBUTES, HttpCycle, header_lines, protocol_of
from tests.unit.web.exchanges import HEAD, exchange, refused


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


def test_a_connection_serves_requests_in_turn_also_when_they_come_together():
    request = b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 1\r\n\r\n"
    transport = exchange(request + b"a", request + b"b" + request + b"c")
    assert [write[-1:] for write in transport.writes] == [b"a", b"b", b"c"]


def test_a_body_that_comes_in_pieces_is_put_together():
    transport = exchange(b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 4\r\n\r\nab", b"cd")
    assert transport.writes[-1].endswith(b"abcd")


def test_an_answer_in_parts_is_sent_as_it_comes():
    transport = exchange(b"GET /stream HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert [write.rpartition(b"\r\n\r\n")[2] for write in transport.writes[:2]] == [b"", b"3\r\none\r\n"]
    assert b"".join(transport.writes).endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


def test_an_app_that_breaks_after_the_head_of_its_answer_is_a_failure():
    transport = exchange(b"GET /cut HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert transport.writes[0].startswith(b"HTTP/1.1 500 ")


def test_a_length_that_is_not_the_bodys_ends_the_connection():
    transport = exchange(b"GET /short HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert transport.closed


def test_a_client_that_wants_no_other_request_is_told_so_and_let_go():
    transport = exchange(b"POST / HTTP/1.1\r\n" + HEAD + b"Connection: close\r\nContent-Length: 0\r\n\r\n")
    assert b"\r\nconnection: close\r\n" in transport.writes[0]
    assert transport.closed


def test_the_answer_to_a_head_request_has_no_body():
    answer = b"".join(exchange(b"HEAD / HTTP/1.1\r\n" + HEAD + b"\r\n").writes)
    asked_for_all = b"".join(exchange(b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n").writes)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert (head, body) == (asked_for_all.partition(b"\r\n\r\n")[0], b"")


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
    assert (document["status"], document["under_way"]) == (400, False)
    assert transport.wrote_eof


def test_a_malformed_chunk_leaves_open_what_became_of_requests_under_way():
    begun = b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"

    transport = exchange(begun, b"no length\r\n")

    assert json.loads(transport.writes[-1].partition(b"\r\n\r\n")[2])["under_way"] is True


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b=c", b"a\nb", b"a\rb"])
def test_no_header_ends_its_line(value):
    with pytest.raises(ValueError, match="cannot send these headers"):
        header_lines([(b"x-a", value)])


def test_uvicorns_cycle_has_what_the_fast_path_uses():
    seen = []

    class Seeing(protocol_of(refused)):
        def on_headers_complete(self):
            super().on_headers_complete()
            seen.append(self.cycle)

    exchange(b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n", protocol_class=Seeing)

    assert type(seen[0]) is HttpCycle
    assert [name for name in CYCLE_ATTRIBUTES if not hasattr(seen[0], name)] == []


def test_without_an_attribute_of_uvicorns_cycle_its_own_way_is_taken(monkeypatch):
    monkeypatch.setattr(protocol, "CYCLE_ATTRIBUTES", (*CYCLE_ATTRIBUTES, "renamed"))

    transport = exchange(b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 2\r\n\r\nhi")

    assert len(transport.writes) == 2
    assert transport.writes[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert transport.writes[1] == b"hi"
