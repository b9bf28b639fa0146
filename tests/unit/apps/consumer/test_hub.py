import asyncio
import itertools
import json

import pytest

from kraftd_apps.common.problems import ProblemError
from kraftd_apps.consumer.hub import EventsRoute, Hub, Subscriber, event, last_seen
from kraftd_apps.consumer.record import SeenRecord
from kraftd_apps.consumer.ring import Ring
from tests.unit.web.asgi_client import until


def records(*offsets: int, value: bytes = b"{}") -> list[SeenRecord]:
    return [SeenRecord(0, offset, 1_700_000_000_000, None, value) for offset in offsets]


def events(content: bytes) -> list[tuple[str, dict]]:
    """Take a stream apart as a browser does."""
    found = []
    for block in content.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def with_hub(check, *, ring=None, clock=lambda: 0.0, **options):
    async def main():
        kept = ring or Ring(1000)
        most, ping_s = options.get("most", 10), options.get("ping_s", 15.0)
        await check(Hub(kept, max_subscribers=most, clock=clock, ping_s=ping_s), kept)

    asyncio.run(main())


def seconds():
    """Return a clock of which every reading is a second later."""
    readings = itertools.count()
    return lambda: float(next(readings))


async def content_of(subscriber: Subscriber) -> list[tuple[str, dict]]:
    return events(await subscriber.next())


def test_a_record_goes_to_every_page_at_once_and_is_encoded_once():
    async def check(hub, ring):
        pages = [hub.join(""), hub.join("")]
        hub.arrived(ring.add(records(7)))
        first, second = [page._frames[-1] for page in pages]
        assert first is second
        ((name, data),) = await content_of(pages[0])
        assert (name, data["messages"][0]["offset"], data["skipped"]) == ("messages", 7, 0)

    with_hub(check)


def test_records_that_follow_soon_go_out_together_and_the_newest_of_many():
    async def check(hub, ring):
        page = hub.join("")
        hub.arrived(ring.add(records(0)))
        await page.next()
        hub.arrived(ring.add(records(*range(1, 40))))
        hub.arrived(ring.add(records(*range(40, 101))))
        assert not page._frames
        ((_, data),) = await content_of(page)
        assert [message["offset"] for message in data["messages"]] == list(range(51, 101))
        assert data["skipped"] == 50

    with_hub(check)


def test_a_page_that_comes_back_gets_what_it_missed():
    async def check(hub, ring):
        ring.add(records(1, 2, 3))
        page = hub.join(hub.identifier(1))
        ((_, data),) = await content_of(page)
        assert [message["offset"] for message in data["messages"]] == [2, 3]
        assert await hub.join(hub.identifier(3)).next() == b"retry: 2000\n\n"

    with_hub(check)


def test_a_page_that_missed_more_than_is_kept_is_told_how_much():
    async def check(hub, ring):
        ring.add(records(*range(100)))
        ((_, data),) = await content_of(hub.join(hub.identifier(0)))
        assert len(data["messages"]) + data["skipped"] == 100
        assert data["messages"][-1]["offset"] == 99

    with_hub(check, ring=Ring(20))


@pytest.mark.parametrize("sequence", ["--5", "²", "٣", "", "-", "5 ", "9" * 5000])
def test_a_page_with_an_id_that_is_no_number_is_told_that_it_may_have_missed_some(sequence):
    async def check(hub, _ring):
        life, _, _ = hub.identifier(0).partition(":")
        assert await content_of(hub.join(f"{life}:{sequence}")) == [("gap", {"dropped": None})]

    with_hub(check)


@pytest.mark.parametrize("after", ["another-life:5", "x", ":", "a:b:c"])
def test_a_page_of_another_life_is_told_that_it_cannot_know_what_it_missed(after):
    async def check(hub, ring):
        assert await content_of(hub.join(after)) == [("gap", {"dropped": None})]

    with_hub(check)


def test_a_page_that_does_not_read_loses_its_oldest_frames_and_is_told_how_many():
    async def check(hub, ring):
        stuck = hub.join("")
        for offset in range(300):
            hub.arrived(ring.add(records(offset)))
        assert len(stuck._frames) <= 200
        name, data = (await content_of(stuck))[0]
        assert (name, data["dropped"]) == ("gap", 100)

    with_hub(check, clock=seconds())


def test_the_bytes_that_wait_for_a_page_are_bounded():
    async def check(hub, ring):
        stuck = hub.join("")
        # Each is a frame of half a MiB.
        for offset in range(30):
            hub.arrived(ring.add(records(*range(offset * 50, offset * 50 + 50), value=b"x" * 10_000)))
        assert 3_000_000 < sum(len(frame.content) for frame in stuck._frames) < 5_000_000

    with_hub(check, clock=seconds())


def test_nothing_is_encoded_while_no_page_is_open():
    async def check(hub, ring):
        hub.arrived(ring.add(records(1)))
        assert not hub._pending

    with_hub(check)


def test_a_status_is_told_when_it_changes_and_to_every_new_page():
    async def check(hub, ring):
        page = hub.join("")
        hub.show_status({"partitions": (0,)})
        hub.show_status({"partitions": (0,)})
        assert await content_of(page) == [("status", {"partitions": [0]})]
        assert await content_of(hub.join("")) == [("status", {"partitions": [0]})]

    with_hub(check)


def test_at_the_end_every_page_is_told_and_its_stream_ends():
    async def check(hub, ring):
        page = hub.join("")
        hub.close()
        assert await content_of(page) == [("bye", {})]
        assert await page.next() is None

    with_hub(check)


def test_a_page_that_comes_at_the_end_is_sent_away():
    async def check(hub, ring):
        hub.close()
        late = hub.join("")
        assert await content_of(late) == [("bye", {})]
        assert await late.next() is None

    with_hub(check)


def test_every_page_is_pinged_while_one_is_open():
    async def check(hub, ring):
        page = hub.join("")
        await page.next()
        assert await page.next() == b": ping\n\n"
        assert await page.next() == b": ping\n\n"
        hub.leave(page)
        await until(lambda: hub._pinging is None)

    with_hub(check, ping_s=0.001)


def test_pages_are_bounded():
    async def check(hub, ring):
        pages = [hub.join(""), hub.join("")]
        assert hub.is_full
        hub.leave(pages[0])
        assert not hub.is_full

    with_hub(check, most=2)


@pytest.mark.parametrize("text", ["a\nb", "a\r\n\r\ndata: forged", "\u2028", "\n\nevent: bye\ndata: {}\n\n", "\x00"])
def test_no_text_can_forge_an_event(text):
    content = event("messages", {"value": text}, "a:1")
    assert events(content) == [("messages", {"value": text})]
    assert content.count(b"\n") == 4
    assert b"\r" not in content


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
        with pytest.raises(ProblemError) as caught:
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
