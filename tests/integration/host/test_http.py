import contextlib
import socket
import threading
import time

import pytest

from kraftd.host.http import get

pytestmark = pytest.mark.integration


@contextlib.contextmanager
def server(answer, *, then_silent=False, then_drip=False):
    """Answer one connection with bytes, and close it unless it shall fall silent or go on with a byte every 20 ms."""
    done = threading.Event()

    def serve(listener):
        connection, _ = listener.accept()
        with connection:
            requests.append(connection.recv(65536))
            connection.sendall(answer)
            if then_silent:
                done.wait(10)
            with contextlib.suppress(OSError):
                while then_drip and not done.wait(0.02):
                    connection.sendall(b"x")

    requests = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1], requests
        finally:
            done.set()
            thread.join(10)


def test_an_answer_is_returned_with_its_status_and_body():
    with server("HTTP/1.1 503 Away\r\nContent-Length: 3\r\n\r\né!".encode()) as (port, requests):
        answer = get("127.0.0.1", port, "/readyz", timeout_s=5.0)

    assert (answer.status, answer.body) == (503, "é!")
    assert requests[0].startswith(b"GET /readyz HTTP/1.1\r\n")


def test_a_redirect_is_an_answer_and_is_not_followed():
    with server(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n") as (port, _):
        assert get("127.0.0.1", port, "/", timeout_s=5.0).status == 302


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_a_server_that_falls_silent_costs_the_timeout_and_no_more(answer):
    began_s = time.monotonic()
    with server(answer, then_silent=True) as (port, _):
        found = get("127.0.0.1", port, "/", timeout_s=0.2)

    assert (found.status, found.body) == (None, "no answer within 0.2 s")
    assert time.monotonic() - began_s < 5


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 ", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"])
def test_a_server_that_drips_costs_the_timeout_and_no_more(answer):
    began_s = time.monotonic()
    with server(answer, then_drip=True) as (port, _):
        found = get("127.0.0.1", port, "/", timeout_s=0.2)
        took_s = time.monotonic() - began_s

    assert (found.status, found.body) == (None, "no answer within 0.2 s")
    assert took_s < 5


@pytest.mark.parametrize("length", [b"Content-Length: 30000\r\n", b""], ids=["announced", "unannounced"])
def test_an_answer_that_is_too_long_is_none(length):
    with server(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n" + b"x" * 30000) as (port, _):
        answer = get("127.0.0.1", port, "/", timeout_s=5.0, most_bytes=1000)

    assert answer.status is None
    assert "longer" in answer.body


def test_a_body_that_breaks_off_is_told():
    with server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf") as (port, _):
        assert get("127.0.0.1", port, "/", timeout_s=5.0).status is None


def test_a_port_that_nobody_listens_on_is_told():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    answer = get("127.0.0.1", port, "/", timeout_s=5.0)

    assert (answer.status, answer.body) == (None, "connection refused")


@pytest.mark.parametrize("nonsense", [b"", b"220 smtp.example ESMTP\r\n", b"HTTP/1.1 two hundred\r\n\r\n"])
def test_a_server_that_speaks_another_language_is_told(nonsense):
    with server(nonsense) as (port, _):
        answer = get("127.0.0.1", port, "/", timeout_s=5.0)

    assert answer.status is None
    assert answer.body


def test_a_proxy_of_the_environment_is_not_used(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with server(b"HTTP/1.1 204 No Content\r\n\r\n") as (port, _):
        assert get("127.0.0.1", port, "/", timeout_s=5.0).status == 204
