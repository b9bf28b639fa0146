import http.client

import pytest

from kraftd_apps.consumer.record import SeenRecord
from kraftd_apps.consumer.resend import request_for, send_again
from kraftd_apps.web.problems import Refused


def test_a_record_is_sent_again_with_its_key_its_headers_and_its_bytes():
    record = SeenRecord(0, 0, None, "kö&=".encode(), b' {"a":1.10}', (("trace", b"a b"),))
    request = request_for(record)
    assert (request.method, request.target, request.body) == ("POST", "/send?key=k%C3%B6%26%3D", b' {"a":1.10}')
    assert request.headers == {"X-Kafka-Header-trace": b"a b"}


def test_a_tombstone_is_sent_again_as_one():
    assert request_for(SeenRecord(0, 0, None, b"k", None)).method == "DELETE"


@pytest.mark.parametrize(
    "record",
    [
        SeenRecord(0, 0, None, b"\xff", b"1"),
        SeenRecord(0, 0, None, None, b"1", (("a", None),)),
        SeenRecord(0, 0, None, None, b"1", (("a", b"x\r\nInjected: 1"),)),
        SeenRecord(0, 0, None, None, b"1", (("a", b" x"),)),
        SeenRecord(0, 0, None, None, b"1", (("a", b"\xff"),)),
        SeenRecord(0, 0, None, None, b"1", (("A", b"x"),)),
        SeenRecord(0, 0, None, None, b"1", (("a b", b"x"),)),
        SeenRecord(0, 0, None, None, b"1", (("a", b"1"), ("a", b"2"))),
    ],
)
def test_what_http_cannot_carry_unchanged_is_refused(record):
    with pytest.raises(Refused) as caught:
        request_for(record)
    assert caught.value.problem.code == "invalid_record"


class Connection:
    """A connection to a producer app that answers, is away, or cuts the connection."""

    def __init__(self, *, away=False, cut=False):
        self.away, self.cut, self.closed = away, cut, False
        self.requests = []

    def __call__(self, host, port, timeout_s):
        self.place = (host, port)
        return self

    def connect(self):
        if self.away:
            raise ConnectionRefusedError("nobody listens")

    def request(self, *request):
        self.requests.append(request)

    def getresponse(self):
        if self.cut:
            raise http.client.RemoteDisconnected("cut off")
        return self

    status = 200

    def getheader(self, name):
        return "application/json"

    def read(self):
        return b'{"status":"sent"}'

    def close(self):
        self.closed = True


RECORD = SeenRecord(0, 0, None, None, b"1")


@pytest.mark.parametrize(
    ("connection", "outcome"), [(Connection(away=True), "not_written"), (Connection(cut=True), "unknown")]
)
def test_a_producer_that_does_not_answer_is_told_with_what_is_known(connection, outcome):
    with pytest.raises(Refused) as caught:
        send_again(RECORD, "http://127.0.0.1:8001", "", connection)
    assert (caught.value.problem.code, caught.value.problem.outcome) == ("producer_away", outcome)


def test_the_answer_of_the_producer_is_passed_on_and_the_token_with_the_request():
    connection = Connection()
    answer = send_again(RECORD, "http://[::1]:8001", "secret", connection)
    assert (answer.status, answer.body, answer.content_type) == (200, b'{"status":"sent"}', b"application/json")
    assert connection.place == ("::1", 8001)
    assert connection.requests[0][3]["Authorization"] == "Bearer secret"
    assert connection.closed
