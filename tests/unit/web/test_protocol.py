import asyncio
import json
import re

import pytest

from kraftd.web.connections import HEAD_TIMEOUT_S, KEEP_ALIVE_S, LINGER_S, HttpState, Waiting
from kraftd.web.protocol import MAX_HEAD_BYTES, MAX_HEADERS, MAX_LINGER_BYTES
from tests.unit.web.exchanges import HEAD, Exchange, exchange, settled

POST = b"POST / HTTP/1.1\r\n" + HEAD
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
WEBSOCKET = b"Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n"
OTHER = b"Upgrade: foo/2\r\nConnection: Upgrade\r\n"


def statuses(written: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d+)", written)]


def run(check) -> None:
    async def main():
        await check(Exchange())

    asyncio.run(main())


def after_s(each: Exchange, seconds: float) -> None:
    each.state.expire(asyncio.get_running_loop().time() + seconds)


def code_of(written: bytes) -> str:
    return json.loads(written.rpartition(b"\r\n\r\n")[2])["code"]


@pytest.mark.parametrize("offer", [H2C, WEBSOCKET, OTHER])
@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param((b"Content-Length: 2\r\n\r\nhi",), id="one segment"),
        pytest.param((b"Content-Length: 2\r\n\r\n", b"hi"), id="head and body"),
        pytest.param((b"Content-", b"Length: 2\r\n\r\nh", b"i"), id="split anywhere"),
        pytest.param((b"Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n", b"1\r\ni\r\n0\r\n\r\n"), id="chunks"),
    ],
)
def test_an_offer_to_upgrade_is_ignored_and_the_connection_goes_on(offer, pieces, caplog):
    transport = exchange(POST + offer + pieces[0], *pieces[1:], POST + b"Content-Length: 3\r\n\r\nbye")

    assert [write.rpartition(b"\r\n\r\n")[2] for write in transport.writes] == [b"hi", b"bye"]
    assert (statuses(b"".join(transport.writes)), caplog.records) == ([200, 200], [])


def test_a_body_after_an_offer_to_upgrade_is_never_a_request():
    body = b"DELETE / HTTP/1.1\r\n" + HEAD + b"\r\n"
    transport = exchange(POST + H2C + b"Content-Length: %d\r\n\r\n" % len(body), body)

    assert [write.partition(b"\r\n\r\n")[2] for write in transport.writes] == [body]


def test_many_offers_in_one_segment_are_answered_in_turn():
    one = POST + OTHER + b"Content-Length: 1\r\n\r\n"
    count = 1200
    transport = exchange(b"".join(one + b"%d" % (number % 10) for number in range(count)), *[b""] * 400)

    assert b"".join(write[-1:] for write in transport.writes) == b"0123456789" * (count // 10)


def test_an_offer_to_upgrade_with_an_expectation_is_told_to_continue():
    transport = exchange(POST + H2C + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", b"hi")

    assert transport.writes[0] == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert statuses(b"".join(transport.writes)) == [100, 200]


def test_close_beside_an_offer_to_upgrade_still_closes():
    transport = exchange(POST + b"Connection: close, Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi")

    assert (statuses(transport.writes[0]), transport.closed) == ([200], True)


def test_a_proxys_client_is_refused_and_its_tunnel_is_not_parsed():
    transport = exchange(b"CONNECT localhost:1 HTTP/1.1\r\n" + HEAD + b"\r\n", POST + b"Content-Length: 0\r\n\r\n")

    written = b"".join(transport.writes)
    assert (statuses(written), code_of(written), transport.wrote_eof) == ([405], "method_not_allowed", True)


@pytest.mark.parametrize(
    "request_head",
    [
        pytest.param(b"POST / HTTP/1.1\r\nHost: evil\r\nContent-Length: 9999999\r\n\r\n", id="refused host"),
        pytest.param(POST + b"Origin: http://evil\r\nTransfer-Encoding: chunked\r\n\r\n", id="another site"),
        pytest.param(b"POST /early HTTP/1.1\r\n" + HEAD + H2C + b"Content-Length: 9999999\r\n\r\n", id="with an offer"),
        pytest.param(b"HEAD /early HTTP/1.1\r\n" + HEAD + b"Content-Length: 9999999\r\n\r\n", id="HEAD"),
    ],
)
def test_an_early_answer_ends_the_connection_and_lets_the_client_finish(request_head):
    async def check(each):
        written = await each.send(request_head + b"1")
        assert b"\r\nconnection: close\r\n" in written
        assert (each.transport.wrote_eof, each.transport.closed) == (True, False)
        assert await each.send(b"x" * 100_000, POST + b"\r\n") == b""
        after_s(each, LINGER_S - 0.1)
        assert not each.transport.closed
        after_s(each, LINGER_S + 0.1)
        assert each.transport.closed

    run(check)


def test_a_client_that_never_stops_sending_is_cut_off():
    async def check(each):
        await each.send(b"GET /early HTTP/1.1\r\n" + HEAD + b"Content-Length: 99999999999\r\n\r\n")
        piece = b"x" * (MAX_LINGER_BYTES // 4)
        for _ in range(4):
            each.connection.data_received(piece)
        assert not each.transport.closed
        each.connection.data_received(b"x")
        assert each.transport.closed

    run(check)


def test_a_connection_stays_longer_than_common_pools_and_then_ends():
    async def check(each):
        await each.send(POST + b"Content-Length: 2\r\n\r\nhi")
        after_s(each, 60)
        assert not each.transport.closed
        assert statuses(await each.send(POST + b"Content-Length: 2\r\n\r\nhi")) == [200]
        after_s(each, KEEP_ALIVE_S + 0.1)
        assert each.transport.closed

    run(check)


@pytest.mark.parametrize("sent", [(), (b"\r\n",)])
def test_a_connection_without_a_request_ends_too(sent):
    async def check(each):
        await each.send(*sent)
        after_s(each, KEEP_ALIVE_S + 0.1)
        assert (each.transport.closed, each.transport.writes) == (True, [])

    run(check)


def test_a_request_in_progress_is_not_idle():
    async def check(each):
        await each.send(POST + b"Content-Length: 2\r\n\r\nh")
        after_s(each, 1000)
        assert not each.transport.closed
        assert statuses(await each.send(b"i")) == [200]

    run(check)


@pytest.mark.parametrize("before", [b"", POST + b"Content-Length: 2\r\n\r\nhi"])
def test_a_head_that_does_not_arrive_in_time_is_refused(before):
    async def check(each):
        await each.send(before + b"GET / HT", b"TP/1.1\r\nHost")
        after_s(each, HEAD_TIMEOUT_S - 0.1)
        assert not each.transport.wrote_eof
        after_s(each, HEAD_TIMEOUT_S + 0.1)
        assert (statuses(each.transport.writes[-1]), code_of(each.transport.writes[-1])) == ([408], "slow_head")
        assert each.transport.wrote_eof

    run(check)


LINE = b"GET / HTTP/1.1\r\n" + HEAD


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([LINE + b"A: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n"], id="one header"),
        pytest.param([LINE + b"A: ", *[b"a" * 20_000] * 4], id="a header that never ends"),
        pytest.param([b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n" + HEAD + b"\r\n"], id="the address"),
        pytest.param([LINE + b"A: " + b"a" * 9000, b"a" * (MAX_HEAD_BYTES - 9000) + b"\r\n\r\n"], id="in two segments"),
        pytest.param([LINE + b"A: a\r\n" * MAX_HEADERS + b"\r\n"], id="the number"),
        pytest.param([LINE, *[b"A: a\r\n" * 4000] * 3], id="a number that never ends"),
        pytest.param([LINE + OTHER + b"A: a\r\n" * MAX_HEADERS + b"\r\n"], id="with an offer"),
    ],
)
def test_a_head_that_is_too_large_is_refused(pieces):
    transport = exchange(*pieces)

    written = b"".join(transport.writes)
    assert (statuses(written), code_of(written), transport.wrote_eof) == ([431], "head_too_large", True)


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param(b"1\r\nx\r\n0\r\nA: ", id="a trailer"),
        pytest.param(b"1\r\nx\r\n0\r\nA: a\r\n", id="trailers"),
        pytest.param(b"1;a=", id="a chunk's extension"),
    ],
)
def test_what_comes_beside_a_body_is_bounded(endless):
    pieces = [b"A: a\r\n" * 4000] * 3 if endless.endswith(b"\n") else [b"a" * 24_000] * 3
    transport = exchange(POST + b"Transfer-Encoding: chunked\r\n\r\n" + endless, *pieces)

    assert statuses(b"".join(transport.writes)) == [400]


def test_a_head_as_large_as_allowed_is_served():
    many = b"A: a\r\n" * (MAX_HEADERS - 2)
    long = b"A: " + b"a" * (MAX_HEAD_BYTES - len(many) - 200)
    transport = exchange(LINE + many + long + b"\r\n\r\n")

    assert statuses(b"".join(transport.writes)) == [200]


def test_trailers_are_no_headers_of_the_request():
    async def check(each):
        await each.send(POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        await each.send(b"0\r\nX-Late: 1\r\n\r\n")
        assert b"x-late" not in dict(each.connection.scope["headers"])

    run(check)


def test_from_the_moment_of_a_stop_every_answer_says_that_it_is_the_last():
    async def check(each):
        assert b"connection: close" not in await each.send(POST + b"Content-Length: 2\r\n\r\nhi")
        each.state.is_ending = True
        assert b"\r\nconnection: close\r\n" in await each.send(POST + b"Content-Length: 2\r\n\r\nhi")
        assert each.transport.closed

    run(check)


def test_requests_that_came_together_are_all_answered_at_a_stop():
    async def check(each):
        each.state.is_ending = True
        request = POST + b"Content-Length: 1\r\n\r\n"
        written = await each.send(request + b"a" + request + b"b" + request + b"c", b"")
        assert (statuses(written), written.count(b"connection: close")) == ([200, 200, 200], 1)
        assert each.transport.closed

    run(check)


class Counted:
    """Stands in for a connection."""

    def __init__(self) -> None:
        self.ended = 0

    def end_idle(self) -> None:
        self.ended += 1

    end_head = end_lingering = end_idle


def test_of_too_many_that_wait_the_oldest_is_ended():
    waiting = Waiting(2, 10.0, lambda connection: connection.end_idle())
    one, two, three = Counted(), Counted(), Counted()
    for now_s, each in enumerate([one, two]):
        waiting.add(each, float(now_s))
    waiting.discard(one)
    waiting.add(one, 2.0)
    waiting.add(three, 3.0)

    assert ([one.ended, two.ended, three.ended], len(waiting)) == ([0, 1, 0], 2)


@pytest.mark.parametrize("kind", ["idle", "heads", "lingering"])
def test_the_number_of_connections_that_wait_is_bounded(kind):
    waiting = getattr(HttpState(), kind)
    connections = [Counted() for _ in range(2000)]
    for each in connections:
        waiting.add(each, 0.0)

    assert len(waiting) <= 400
    assert sum(each.ended for each in connections) == 2000 - len(waiting)


def test_a_closed_connection_is_forgotten():
    async def check(each):
        each.connection.connection_lost(None)
        await settled()
        assert [len(each.state.idle), len(each.state.heads), len(each.state.lingering)] == [0, 0, 0]

    run(check)


@pytest.mark.parametrize("path", [b"/", b"/stream"])
def test_a_client_that_closes_its_side_still_gets_its_answers(path):
    async def check(each):
        request = b"POST %b HTTP/1.1\r\n" % path + HEAD + b"Content-Length: 2\r\n\r\nhi"
        each.connection.data_received(request * 2)
        assert each.connection.eof_received() is True
        await settled()
        assert statuses(b"".join(each.transport.writes)) == [200, 200]
        assert each.transport.closed

    run(check)


@pytest.mark.parametrize(
    "sent", [b"", POST, POST + b"Content-Length: 9\r\n\r\nhi", POST + b"Content-Length: 0\r\n\r\n"]
)
def test_a_client_that_closes_its_side_and_waits_for_nothing_is_gone(sent):
    async def check(each):
        await each.send(sent)
        assert each.connection.eof_received() is False

    run(check)


@pytest.mark.parametrize("path", [b"/stream", b"/wait"])
def test_a_lost_connection_ends_the_request_that_others_wait_behind(path, caplog):
    async def check(each):
        each.connection.pause_writing()
        await each.send((b"GET " + path + b" HTTP/1.1\r\n" + HEAD + b"\r\n") * 3)
        assert (len(each.state.tasks), each.transport.writes) == (1, [])
        each.connection.connection_lost(None)
        await settled()
        assert (len(each.state.tasks), each.transport.writes, caplog.records) == (0, [], [])

    run(check)


def test_a_page_that_reads_nothing_does_not_hold_up_a_stop(caplog):
    async def check(each):
        await each.send(b"GET /events HTTP/1.1\r\n" + HEAD + b"\r\n")
        each.state.is_ending = True
        each.connection.shutdown()
        await asyncio.wait_for(each.transport.aborted.wait(), 20)
        each.connection.connection_lost(None)
        await settled()
        assert (len(each.state.tasks), caplog.records) == (0, [])

    run(check)


@pytest.mark.parametrize(
    ("path", "codes", "is_cut"), [(b"/wait", [500], False), (b"/events", [200], True)], ids=["no answer", "a part"]
)
def test_a_request_that_a_stop_cannot_wait_for_ends_without_a_traceback(path, codes, is_cut, caplog):
    async def check(each):
        await each.send(b"GET " + path + b" HTTP/1.1\r\n" + HEAD + b"\r\n")
        each.state.is_ending = True
        (task,) = each.state.tasks
        task.cancel()
        await settled()
        assert (statuses(b"".join(each.transport.writes)), each.transport.aborted.is_set()) == (codes, is_cut)
        assert caplog.records == []

    run(check)
