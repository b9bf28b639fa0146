import asyncio
import json
import re

import pytest

from kraftd.host.events import EventLog
from kraftd.serve.app import create_app
from kraftd.serve.page_routes import MOST_PAGES, Live
from kraftd.web.asgi import PROBLEM_CONTENT_TYPE
from tests.clocks import ManualClock
from tests.plans import plan_of
from tests.unit.health.views import full_snapshot, program, snapshot
from tests.unit.serve.seen import Seen
from tests.unit.web.asgi_client import call, until

FIRST = snapshot(program("broker-1"))
SECOND = snapshot(program("broker-2"))


def live_of(seen, rendered=None, now_s=1000.0, ping_s=60.0):
    def render(look):
        if rendered is not None:
            rendered.append(look)
        return "\n".join(each.name for each in look.programs) if look else "nothing"

    return Live(seen, render, ManualClock(now_s), ping_s=ping_s)


def look_of(frame):
    kind, data = frame.decode().rstrip("\n").split("\n")
    assert kind == "event: snapshot"
    return json.loads(data.removeprefix("data: "))


async def take(frames, count):
    return [await anext(frames) for _ in range(count)]


def test_a_page_gets_the_newest_look_at_once_and_each_new_one():
    async def run():
        seen = Seen(FIRST)
        frames = live_of(seen, now_s=1002.5).frames()
        retry, first = await take(frames, 2)
        seen.show(SECOND)
        (second,) = await take(frames, 1)
        return retry, look_of(first), look_of(second)

    retry, first, second = asyncio.run(run())

    assert retry == b"retry: 1000\n\n"
    assert (first, second["html"]) == ({"age_s": 2.5, "html": "broker-1"}, "broker-2")


def test_a_look_is_rendered_once_for_all_pages():
    rendered = []

    async def run():
        live = live_of(Seen(FIRST), rendered)
        for frames in [live.frames() for _ in range(5)]:
            await take(frames, 2)

    asyncio.run(run())

    assert rendered == [FIRST]


def test_an_old_look_is_sent_with_its_age_of_now():
    async def run():
        seen, clock = Seen(FIRST), ManualClock(1000.0)
        live = Live(seen, lambda _look: "", clock)
        await take(live.frames(), 2)
        clock.advance(60.0)
        return look_of((await take(live.frames(), 2))[1])

    assert asyncio.run(run())["age_s"] == 60.0


def test_before_the_first_look_there_is_no_age():
    async def run():
        return look_of((await take(live_of(Seen()).frames(), 2))[1])

    assert asyncio.run(run()) == {"age_s": None, "html": "nothing"}


def test_a_slow_page_gets_the_newest_and_none_that_came_in_between():
    async def run():
        seen = Seen(FIRST)
        slow = live_of(seen).frames()
        await take(slow, 2)
        for number in range(100):
            seen.show(snapshot(program(f"broker-{number}")))
        return look_of((await take(slow, 1))[0])

    assert asyncio.run(run())["html"] == "broker-99"


def test_pages_are_let_go_when_the_daemon_ends():
    async def run():
        seen = Seen(FIRST)
        live = live_of(seen)
        frames = live.frames()
        await take(frames, 2)
        seen.end()
        return [frame async for frame in frames], live.pages

    assert asyncio.run(run()) == ([], 0)


def test_a_waiting_page_is_woken_from_another_thread_by_a_look_and_by_the_end():
    async def run():
        seen = Seen(FIRST)
        frames = live_of(seen).frames()
        await take(frames, 2)
        waiting = asyncio.ensure_future(anext(frames))
        await asyncio.to_thread(seen.show, SECOND)
        second = await waiting
        waiting = asyncio.ensure_future(anext(frames, None))
        await asyncio.to_thread(seen.end)
        return look_of(second)["html"], await waiting

    assert asyncio.run(run()) == ("broker-2", None)


def test_a_look_that_comes_while_one_is_rendered_is_sent_next():
    async def run():
        seen = Seen(FIRST)

        def render(look):
            if look is FIRST:
                seen.show(SECOND)
            return look.programs[0].name

        frames = Live(seen, render, ManualClock()).frames()
        return [look_of(frame)["html"] for frame in (await take(frames, 3))[1:]]

    assert asyncio.run(run()) == ["broker-1", "broker-2"]


def test_a_look_after_the_last_page_has_gone_disturbs_nobody():
    seen = Seen(FIRST)

    async def run():
        await take(live_of(seen).frames(), 2)

    asyncio.run(run())

    seen.show(SECOND)


def test_a_page_that_leaves_makes_room():
    async def run():
        live = live_of(Seen(FIRST))
        pages = [live.frames() for _ in range(MOST_PAGES)]
        for frames in pages:
            await take(frames, 1)
        was_full = live.is_full
        await pages[0].aclose()
        return was_full, live.is_full

    assert asyncio.run(run()) == (True, False)


def test_a_quiet_stream_is_kept_open_by_pings():
    async def run():
        return (await take(live_of(Seen(FIRST), ping_s=0.0).frames(), 3))[2]

    assert asyncio.run(run()) == b": ping\n\n"


def answered(target, plan=None):
    app = create_app(plan or plan_of(), Seen(full_snapshot()), ManualClock(1000.0))
    return asyncio.run(call(app, "GET", target))


def test_the_page_and_its_files_are_served():
    page = answered("/")
    files = {path: answered(path) for path in re.findall(r'"(/static/[^"]+)"', page.body.decode())}

    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert {answer.headers["content-type"].split(";")[0] for answer in files.values()} == {
        "image/svg+xml",
        "text/css",
        "text/javascript",
    }
    assert all("immutable" in answer.headers["cache-control"] for answer in files.values())


def test_the_page_shows_what_happened(tmp_path):
    plan = plan_of(state_dir=tmp_path)
    EventLog(plan.layout.events, "daemon", ManualClock(990.0)).record(
        "exited", "ended with SIGKILL", program="broker-2"
    )

    assert "ended with SIGKILL" in answered("/", plan).body.decode()


@pytest.mark.parametrize("target", ["/?theme=dark", "/events?after=1"])
def test_a_parameter_is_refused(target):
    answer = answered(target)

    assert (answer.status, answer.headers["content-type"]) == (400, PROBLEM_CONTENT_TYPE)


@pytest.mark.parametrize("target", ["/static/", "/static/live.js", "/static/../page.py", "/index.html"])
def test_no_other_file_is_served(target):
    assert answered(target).status == 404


def test_one_page_too_many_is_told_so():
    async def run():
        app = create_app(plan_of(), Seen(full_snapshot()), ManualClock(1000.0))
        opened = []
        pages = [
            asyncio.create_task(call(app, "GET", "/events", tell=opened.append, stays=True)) for _ in range(MOST_PAGES)
        ]
        await until(lambda: len(opened) >= 2 * MOST_PAGES)
        refused = await call(app, "GET", "/events")
        for page in pages:
            page.cancel()
        await asyncio.gather(*pages, return_exceptions=True)
        return refused

    answer = asyncio.run(run())

    assert (answer.status, answer.headers["content-type"]) == (503, PROBLEM_CONTENT_TYPE)
    assert answer.json["detail"] == f"{MOST_PAGES} pages are open; close another"
