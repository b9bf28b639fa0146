import asyncio

import pytest

from kraftd_apps.consumer.events import EventsRoute, last_seen
from kraftd_apps.consumer.hub import Hub
from kraftd_apps.consumer.ring import Ring
from kraftd_apps.web.problems import Refused


def scope(query=b"", headers=()):
    return {"type": "http", "method": "GET", "path": "/events", "query_string": query, "headers": list(headers)}


def test_a_reconnecting_browser_knows_better_than_its_pages_address():
    assert last_seen(scope()) == ""
    assert last_seen(scope(b"after=a%3A5")) == "a:5"
    assert last_seen(scope(b"after=a%3A5", [(b"last-event-id", b"a:9")])) == "a:9"


def test_a_page_too_many_is_refused_with_a_time_to_come_back():
    async def main():
        hub = Hub(Ring(10), max_subscribers=1, clock=lambda: 0.0)
        hub.join("")
        with pytest.raises(Refused) as caught:
            await EventsRoute(hub)(scope(), None, None)
        answer = caught.value.problem.answer()
        assert (answer.status, caught.value.problem.code) == (503, "too_many_clients")
        assert (b"retry-after", b"10") in answer.headers

    asyncio.run(main())


def test_a_page_that_leaves_is_forgotten():
    async def main():
        hub = Hub(Ring(10), max_subscribers=1, clock=lambda: 0.0)
        gone = asyncio.Event()

        async def receive():
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            if message["type"] == "http.response.body":
                gone.set()

        await EventsRoute(hub)(scope(), receive, send)
        assert hub.subscribers == 0

    asyncio.run(main())
