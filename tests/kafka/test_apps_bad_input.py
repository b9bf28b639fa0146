"""What a client may send, over real sockets: each is answered, and the app goes on."""

import json
import socket

import pytest

from tests.harness import eventually
from tests.kafka.app_processes import Apps

pytestmark = pytest.mark.kafka

FIVE_MIB = 5 * 1024 * 1024


@pytest.fixture(scope="module")
def producer(cluster, tmp_path_factory):
    apps = Apps(tmp_path_factory.mktemp("apps"), cluster.bootstrap_servers, cluster.topic)
    try:
        yield apps.start_ready("producer", APP_BODY_TIMEOUT_SECONDS="1")
    finally:
        apps.kill()


@pytest.fixture(autouse=True)
def works_afterwards(producer):
    yield
    assert producer.request("/healthz")[0] == 200
    assert producer.json("/send", b'"still here"')["status"] == "sent"


def exchange(producer, head: str, *body: bytes) -> tuple[int, bytes]:
    """Send raw bytes, as far as they are taken, and return the status and body of the answer."""
    with socket.create_connection(("127.0.0.1", producer.port), timeout=10) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode("latin-1"))
        for part in body:
            try:
                connection.sendall(part)
            except OSError:
                break
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
            start, _, rest = answer.partition(b"\r\n\r\n")
            if rest and len(rest) >= length_of(start):
                break
    return int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n\r\n")[2]


def length_of(head: bytes) -> int:
    fields = (line.partition(b":") for line in head.lower().split(b"\r\n"))
    return next((int(value) for name, _, value in fields if name == b"content-length"), 0)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'"\xff"', "invalid_json"),
        (b'{"a": NaN}', "invalid_json"),
        (b"[1e400]", "invalid_json"),
        (b"[" * 100_000 + b"]" * 100_000, "invalid_json"),
        (b"", "invalid_json"),
        (b'"' + b"a" * FIVE_MIB + b'"', "too_large"),
    ],
)
def test_a_bad_body_is_answered(producer, body, code):
    head = f"POST /send HTTP/1.1\nHost: localhost\nContent-Length: {len(body)}\n\n"
    status, answer = exchange(producer, head, body[:200_000])
    problem = json.loads(answer)
    assert (problem["code"], problem["outcome"], problem["status"]) == (code, "not_written", status)


def test_a_long_body_without_its_length_is_answered_before_it_is_read_to_the_end(producer):
    head = "POST /send HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked\n\n"
    chunk = b"10000\r\n" + b"1" * 0x10000 + b"\r\n"
    status, answer = exchange(producer, head, *[chunk] * 20)
    assert (status, json.loads(answer)["code"]) == (413, "too_large")


def test_a_body_that_does_not_come_is_given_up_in_time(producer):
    status, answer = exchange(producer, "POST /send HTTP/1.1\nHost: localhost\nContent-Length: 10\n\n", b"{")
    assert (status, json.loads(answer)["code"]) == (408, "slow_body")


@pytest.mark.parametrize(
    ("target", "headers", "status", "code"),
    [
        ("/send?partition=-1", "", 400, "bad_parameter"),
        ("/send?partition=99", "", 422, "unknown_partition"),
        ("/send?key=" + "k" * 9000, "", 413, "too_large"),
        ("/send", "X-Kafka-Key: " + "k" * 9000 + "\n", 413, "too_large"),
        ("/send", "Origin: http://evil.example\n", 403, "cross_site"),
        ("/send", "Sec-Fetch-Site: cross-site\nContent-Type: application/x-www-form-urlencoded\n", 403, "cross_site"),
        ("/send?key=a%0d%0aX-Injected:%201", "", 200, None),
        ("/send", "X-Kafka-Header-A: \xff\n", 400, "bad_parameter"),
    ],
)
def test_a_wrong_request_is_answered(producer, target, headers, status, code):
    head = f"POST {target} HTTP/1.1\nHost: localhost\n{headers}Content-Length: 2\n\n"
    got, answer = exchange(producer, head, b"{}")
    assert (got, json.loads(answer).get("code")) == (status, code)
    assert b"X-Injected" not in answer


def test_a_foreign_host_is_not_served(producer):
    status, answer = exchange(producer, "GET /metrics HTTP/1.1\nHost: evil.example\n\n")
    assert (status, json.loads(answer)["code"]) == (421, "bad_host")


@pytest.mark.parametrize("bad", ["X-Kafka-Header-A: a\x00b\n", "X Kafka: 1\n", "Content-Length: -1\n"])
def test_what_is_no_http_is_refused(producer, bad):
    assert exchange(producer, f"POST /send HTTP/1.1\nHost: localhost\n{bad}\n")[0] == 400


def test_an_unknown_topic_is_told_soon(cluster, tmp_path):
    apps = Apps(tmp_path, cluster.bootstrap_servers, "no-such-topic")
    try:
        app = apps.start("producer")
        eventually(app.is_alive)
        status, answer = app.request("/send", b"1")
        assert (status, json.loads(answer)["code"]) == (404, "unknown_topic")
        assert "does not exist" in app.request("/readyz")[1].decode()
    finally:
        apps.kill()
