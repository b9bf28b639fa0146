import asyncio
import re

import pytest

from kraftd.host.events import EventLog
from kraftd.serve.app import create_app
from kraftd.serve.live import MOST_PAGES
from kraftd.web.problems import CONTENT_TYPE
from tests.clocks import ManualClock
from tests.plans import plan_of
from tests.unit.serve.seen import Seen
from tests.unit.watch.programs import full_snapshot
from tests.unit.web.asgi_client import call, until


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

    assert (answer.status, answer.headers["content-type"]) == (400, CONTENT_TYPE)


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

    assert (answer.status, answer.headers["content-type"]) == (503, CONTENT_TYPE)
    assert answer.json["detail"] == f"{MOST_PAGES} pages are open; close another"
