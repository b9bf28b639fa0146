import asyncio
from html.parser import HTMLParser

import pytest
from confluent_kafka import TopicPartition

from kraftd_apps.consumer.record import record_of
from kraftd_apps.consumer.service import ConsumerService
from kraftd_apps.consumer.settings import read_settings
from tests.unit.apps.asgi_client import call, until
from tests.unit.apps.consumer.test_history import FakeReader
from tests.unit.apps.kafka_fakes import FakeMemberClient, FakeMessage


class Clients:
    def __init__(self, batches=(), log=None) -> None:
        self.member_client = FakeMemberClient(list(batches), assigned=[TopicPartition("test-topic", 0)])
        self.log = log or {0: []}

    def member(self, on_statistics):
        return self.member_client

    def reader(self):
        return FakeReader(self.log)


def running(check, clients=None, **variables):
    async def main():
        service = ConsumerService(read_settings(variables), clients or Clients())
        await service.start()
        try:
            await check(service)
        finally:
            service.begin_stop()
            await service.finish_stop()

    asyncio.run(main())


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
        assert page.text.count(text) == 4
        assert page.tags - harmless.tags <= {"b"}
        assert not any(name.startswith("on") for name in page.attributes)

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
