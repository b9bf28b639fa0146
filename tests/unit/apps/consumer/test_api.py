import asyncio
import http.client
import json
import re
import threading
from html.parser import HTMLParser

import pytest
from confluent_kafka import KafkaError, TopicPartition

from kraftd_apps.common.problems import ProblemError
from kraftd_apps.consumer.api import request_for, send_again
from kraftd_apps.consumer.record import SeenRecord, record_of, undecodable
from kraftd_apps.consumer.service import ConsumerService
from kraftd_apps.consumer.settings import read_settings
from tests.unit.apps.kafka_fakes import FakeAdmin, FakeMemberClient, FakeMessage, FakeReader
from tests.unit.hostile import TEXTS
from tests.unit.web.asgi_client import call, until


class Clients:
    def __init__(self, batches=(), log=None, **reader) -> None:
        self.reader_properties = reader
        self.member_client = FakeMemberClient(list(batches), assigned=[TopicPartition("test-topic", 0)])
        self.log = log or {0: []}
        self.left = []
        self.are_listening = True

    def take_connections(self):
        return self.are_listening

    def member(self, on_statistics, on_error):
        return self.member_client

    def leave(self, group, member_id, timeout_s):
        self.left.append((group, member_id))

    def admin(self):
        return FakeAdmin()

    def has_free_partition(self):
        return False

    def stands_by(self, member_id):
        return False

    def reader(self):
        return FakeReader(self.log, **self.reader_properties)

    def batch(self, partition, offset, timeout_s):
        return self.reader().read_batch(partition, offset, timeout_s)


def running(check, clients=None, **variables):
    async def main():
        service = ConsumerService(read_settings(variables), clients=clients or Clients())
        await service.start()
        try:
            await check(service)
        finally:
            service.begin_stop()
            await service.finish_stop()

    asyncio.run(main())


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_each_page_links_to_the_pages_that_the_app_was_told(path):
    async def check(service):
        page = (await call(service.app, "GET", path)).body.decode()
        assert '<nav><a href="http://127.0.0.1:8000/">Status</a> ' in page

    running(check, APP_LINKS="Status=http://127.0.0.1:8000/")


HOSTILE = [
    "<script>alert(1)</script>",
    "</pre></script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "\u2028javascript:alert(1)",
]


class Elements(HTMLParser):
    """Collects what a page is made of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stands_on_the_page_as_text(text):
    message = FakeMessage(value_=text.encode(), key_=text.encode(), headers_=[(text, text.encode())])

    async def check(service):
        harmless = Elements((await call(service.app, "GET", "/")).body.decode())
        service.ring.add([record_of(message)])
        page = Elements((await call(service.app, "GET", "/")).body.decode())
        # What cannot be seen is content in a key or a value, and can mislead in a name.
        name = text.replace("\u2028", r"\u2028")
        assert page.text.count(text) == (4 if name == text else 3)
        assert name in page.text
        assert page.tags - harmless.tags <= {"b"}
        assert not any(name.startswith("on") for name in page.attributes)

    running(check)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_from_outside_is_exact_in_documents_and_acts_on_no_page(text):
    content = text.encode()
    message = FakeMessage(value_=content, key_=content, headers_=[(text, content)])
    entries = [record_of(message), undecodable(0, 1, text)]

    async def check(service):
        service.ring.add(entries)
        page = (await call(service.app, "GET", "/")).body.decode()
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", page)
        assert "<script>a" not in page
        fault, whole = (await call(service.app, "GET", "/api/messages")).json["messages"]
        lines = (await call(service.app, "GET", "/api/messages?format=ndjson")).body.decode().splitlines()
        assert [json.loads(line) for line in lines] == [fault, whole]
        assert (whole["key"], whole["value"], whole["headers"][0]["name"], fault["fault"]) == (text,) * 4
        frame = service.hub.join(service.hub.identifier(0))
        assert json.loads((await frame.next()).split(b"data: ", 2)[-1])["messages"][0]["partition"] == 0

    running(check)


def test_the_page_shows_the_last_ten_newest_first():
    async def check(service):
        await until(lambda: len(service.ring.newest(20)) == 12)
        page = (await call(service.app, "GET", "/")).body.decode()
        page = page.partition("<template")[0]
        positions = [page.find(f">0:{offset}</a>") for offset in range(12)]
        assert positions[:2] == [-1, -1]
        assert positions[2:] == sorted(positions[2:], reverse=True)
        assert "Reads partitions 0" in page

    running(check, Clients([[FakeMessage(0, offset) for offset in range(12)]]))


def test_a_page_after_a_restart_shows_the_end_of_the_log():
    async def check(service):
        answer = await call(service.app, "GET", "/api/messages?limit=3")
        assert [message["offset"] for message in answer.json["messages"]] == [99, 98, 97]

    running(check, Clients(log={0: list(range(100))}))


@pytest.mark.parametrize("limit", ["0", "1001", "x", ""])
def test_a_wrong_limit_is_a_problem(limit):
    async def check(service):
        answer = await call(service.app, "GET", f"/api/messages?limit={limit}")
        assert (answer.status, answer.json["code"]) == (400, "bad_parameter")

    running(check)


def test_readiness_comes_with_the_assignment():
    async def check(service):
        await until(lambda: not service.member.unready_reasons())
        assert (await call(service.app, "GET", "/readyz")).status == 200

    running(check)


def test_files_are_served_under_addresses_that_change_with_them():
    async def check(service):
        page = (await call(service.app, "GET", "/")).body.decode()
        address = page.partition('stylesheet" href="')[2].partition('"')[0]
        answer = await call(service.app, "GET", address)
        assert (answer.status, answer.headers["content-type"]) == (200, "text/css; charset=utf-8")
        assert "immutable" in answer.headers["cache-control"]
        for wrong in ("/static/../page.html", "/static/", "/static/other.css"):
            assert (await call(service.app, "GET", wrong)).status == 404

    running(check)


def offsets(answer):
    return [message["offset"] for message in answer.json["messages"]]


def test_the_log_is_read_without_the_group_where_a_place_is_given():
    clients = Clients(log={0: list(range(100))})

    async def check(service):
        assert offsets(await call(service.app, "GET", "/api/messages?partition=0&offset=40&limit=2")) == [40, 41]
        assert offsets(await call(service.app, "GET", "/api/messages?partition=0&timestamp=1050&limit=1")) == [50]
        assert clients.member_client.stored == []

    running(check, clients)


@pytest.mark.parametrize(
    "query", ["offset=1", "timestamp=1", "partition=0&offset=1&timestamp=1", "colour=red", "after=1", "header=a"]
)
def test_a_query_that_makes_no_sense_is_a_problem(query):
    async def check(service):
        answer = await call(service.app, "GET", f"/api/messages?{query}")
        assert (answer.status, answer.json["code"]) == (400, "bad_parameter")

    running(check)


def test_records_in_memory_can_be_searched_and_exported():
    messages = [FakeMessage(0, offset, value_=b'"v%d"' % offset, key_=b"k") for offset in range(5)]

    async def check(service):
        await until(lambda: len(service.ring.newest(9)) == 5)
        assert offsets(await call(service.app, "GET", "/api/messages?q=V3")) == [3]
        assert offsets(await call(service.app, "GET", "/api/messages?after=0:2&key=k")) == [4, 3]
        export = await call(service.app, "GET", "/api/messages?format=ndjson&limit=2")
        assert [json.loads(line)["offset"] for line in export.body.splitlines()] == [4, 3]
        assert export.headers["content-disposition"].startswith("attachment")

    running(check, Clients([messages]))


@pytest.mark.parametrize("value", [b"\xff\x00", b"", b"x" * 100_000])
def test_a_value_is_downloaded_byte_for_byte(value):
    async def check(service):
        await until(lambda: service.ring.newest(1))
        answer = await call(service.app, "GET", "/api/messages/0/0/raw")
        assert (answer.status, answer.body) == (200, value)
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")

    running(check, Clients([[FakeMessage(value_=value)]]))


def test_a_tombstone_has_nothing_to_download():
    async def check(service):
        await until(lambda: service.ring.newest(1))
        assert (await call(service.app, "GET", "/api/messages/0/0/raw")).status == 204

    running(check, Clients([[FakeMessage(value_=None)]]))


@pytest.mark.parametrize("path", ["/api/messages/0/999/raw", "/api/messages/0/x/raw", "/api/messages/-1/0/raw"])
def test_a_place_without_a_record_is_a_problem(path):
    async def check(service):
        answer = await call(service.app, "GET", path)
        assert answer.json["code"] in {"not_found", "bad_parameter"}

    running(check, Clients(log={0: [1]}))


def test_sending_again_can_be_switched_off():
    async def check(service):
        await until(lambda: service.ring.newest(1))
        answer = await call(service.app, "POST", "/api/messages/0/0/resend")
        assert (answer.status, answer.json["code"]) == (502, "producer_away")
        assert "Send again" not in (await call(service.app, "GET", "/")).body.decode()

    running(check, Clients([[FakeMessage()]]), APP_PRODUCER_URL="off")


def test_every_page_and_document_is_there():
    async def check(service):
        described = (await call(service.app, "GET", "/openapi.json")).json
        assert "/api/messages/{partition}/{offset}/raw" in described["paths"]
        assert (await call(service.app, "GET", "/docs")).status == 200

    running(check)


def test_the_description_names_the_stream_and_only_answers_that_are_given():
    async def check(service):
        described = await call(service.app, "GET", "/openapi.json")
        paths = described.json["paths"]
        assert {parameter["name"] for parameter in paths["/events"]["get"]["parameters"]} == {"Last-Event-ID", "after"}
        assert "text/event-stream" in paths["/events"]["get"]["responses"]["200"]["content"]
        assert "422" not in paths["/api/messages"]["get"]["responses"]
        assert "422" in paths["/api/messages/{partition}/{offset}/resend"]["post"]["responses"]
        for part in ("raw", "batch"):
            assert "502" in paths[f"/api/messages/{{partition}}/{{offset}}/{part}"]["get"]["responses"]
        assert b"$ref" not in described.body
        assert described.body == (await call(service.app, "GET", "/openapi.json")).body

    running(check)


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
        SeenRecord(0, 0, None, None, b"\xef\xbb\xbf1"),
    ],
)
def test_what_http_cannot_carry_unchanged_is_refused(record):
    with pytest.raises(ProblemError) as caught:
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
    with pytest.raises(ProblemError) as caught:
        send_again(RECORD, "http://127.0.0.1:8001", "", connection)
    assert (caught.value.problem.code, caught.value.problem.outcome) == ("producer_away", outcome)


def test_the_answer_of_the_producer_is_passed_on_and_the_token_with_the_request():
    connection = Connection()
    answer = send_again(RECORD, "http://[::1]:8001", "geheim-ü-€", connection)
    assert (answer.status, answer.body, answer.content_type) == (200, b'{"status":"sent"}', b"application/json")
    assert connection.place == ("::1", 8001)
    assert connection.requests[0][3]["Authorization"] == "Bearer geheim-ü-€".encode()
    assert connection.closed


def test_a_log_that_could_not_be_read_does_not_look_empty():
    async def check(service):
        for query in ("", "?partition=0&offset=0", "?partition=0&offset=9&format=ndjson"):
            answer = await call(service.app, "GET", f"/api/messages{query}", stays=True)
            assert (answer.status, answer.json["code"], answer.json["retriable"]) == (503, "brokers_down", True)
            assert answer.headers["retry-after"]
        assert (await call(service.app, "GET", "/api/messages/0/1/raw")).status == 503
        page = (await call(service.app, "GET", "/")).body.decode()
        assert "No records yet" not in page

    running(check, Clients(log={0: []}, has_watermarks=False))


def test_a_record_that_cannot_be_decoded_is_listed_and_its_batch_can_be_downloaded():
    async def check(service):
        listed = (await call(service.app, "GET", "/api/messages?partition=0&offset=0")).json["messages"]
        assert [bool(found["fault"]) for found in listed] == [False, True, False]
        for method, path in (("GET", "/api/messages/0/4/raw"), ("POST", "/api/messages/0/4/resend")):
            answer = await call(service.app, method, path)
            assert (answer.status, answer.json["code"]) == (502, "undecodable_record")
        answer = await call(service.app, "GET", "/api/messages/0/4/batch")
        assert (answer.status, answer.body) == (200, b"damaged")
        assert "test-topic-0-1.batch" in answer.headers["content-disposition"]

    running(check, Clients(log={0: [0, 9]}, undecodable={0: (1, 9)}))


def stopped(tmp_path, clients, *, has_error=False):
    """Return whether the file of the member is still there after a stop."""
    path = tmp_path / "member.json"

    async def check(service):
        await until(path.exists)
        if has_error:
            service.member.note_error(KafkaError(KafkaError._TRANSPORT))

    running(check, clients, APP_MEMBER_FILE=str(path))
    return path.exists()


@pytest.mark.parametrize(
    ("has_error", "are_listening", "is_kept"), [(False, True, False), (True, True, True), (False, False, True)]
)
def test_the_membership_is_forgotten_unless_a_broker_is_gone(has_error, are_listening, is_kept, tmp_path):
    clients = Clients()
    clients.are_listening = are_listening
    assert stopped(tmp_path, clients, has_error=has_error) is is_kept
    assert clients.left == []


def test_a_member_whose_last_commit_is_stuck_is_out_of_the_group_all_the_same(tmp_path):
    clients, answered = Clients(), threading.Event()
    clients.are_listening = False
    clients.member_client.close = lambda: answered.wait(10.0)
    try:
        assert stopped(tmp_path, clients)
    finally:
        answered.set()
    assert clients.left == [("test-group", clients.member_client.member_id)]
