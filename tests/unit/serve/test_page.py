import asyncio
import json
import re
from dataclasses import replace
from datetime import UTC

import pytest
from markupsafe import escape

from kraftd.health.lag.status import LagStatus
from kraftd.health.lag.view import CollectorRun, GroupStatus, KafkaView
from kraftd.health.programs.alerts import Alert, Alerts
from kraftd.health.programs.backups import BackupHistory, BackupOutcome, backup_view
from kraftd.health.programs.state import ServiceState
from kraftd.health.report.history import History, Moment
from kraftd.host.events import Event, EventLog
from kraftd.kafka.model import GroupState
from kraftd.plan.kinds import ScheduledBackups
from kraftd.serve.app import create_app
from kraftd.serve.page import MOST_PAGES, LiveUpdates, Page, charts, sparkline, stale_after_s
from kraftd.web.asgi import PROBLEM_CONTENT_TYPE
from tests.clocks import ManualClock
from tests.plans import plan_of
from tests.unit.health.views import full_snapshot, program, snapshot, topic
from tests.unit.serve.seen import Seen
from tests.unit.web.asgi_client import call, until

PLAN = plan_of()
HOSTILE = ["<script>window.hacked=1</script>", "\"><img src=x onerror='hacked'>", "</main>", "{{ 7*7 }}"]
MOMENTS = (Moment(990.0, 2.5, 7, 0.012, 0.002), Moment(995.0, 3.5, 9, 0.013, 0.003))

FIRST = snapshot(program("broker-1"))
SECOND = snapshot(program("broker-2"))


def whole(newest, *, now_s=1000.0, events=(), history=None):
    return Page(PLAN).whole(newest, history or History(), events, now_s)


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_everything_that_is_known_is_shown():
    text = text_of(whole(full_snapshot(), history=History(MOMENTS)))

    for shown in (
        "local degraded",
        "broker-2 is DOWN: it ended",
        "Alerts critical BrokerDown Broker 2 is down. Runbook",
        "Throughput 3.5/s",
        "Lag of all groups 9",
        "Round trip of a record 13 ms",
        "broker-1 127.0.0.1:9092",
        "Answers in 2.0 ms",
        "Round trip 5.0 ms , 2 s ago",
        "2.0 KiB, 0.4 KiB free /bad: it is read-only",
        "Leader 1 Epoch 3",
        "readers orders-1: it was deleted Stable 1 at least 3 12 s stall",
        "SIGKILL",
        "out of memory",
        "858.3 MiB",
        "end offset of partition orders-1 it was deleted",
        "left out by the settings 2 topics, 0 groups",
    ):
        assert shown in text


def test_the_scheduled_backups_are_shown_with_the_last_and_the_next():
    scheduled = ScheduledBackups("every 1h", "/backups/<b>")
    made = BackupHistory(0.0).begun(900.0, 7, 1.0).succeeded(910.0, "b1", 2048)
    failed = made.begun(950.0, 8, 1.0).ended(960.0, BackupOutcome.FAILED, "no <room>")

    html = whole(replace(snapshot(program("broker-1")), backup=backup_view(scheduled, failed, 1000.0, UTC)))

    kept = made.kept_too_many("older ones stay")
    page = whole(replace(snapshot(program("broker-1")), backup=backup_view(scheduled, kept, 1000.0, UTC)))

    assert "The last one failed: no &lt;room&gt;" in html
    assert "older ones stay" in text_of(page)
    assert "The last one failed" not in page
    assert "Last 1 min 30 s ago, 2.0 KiB in 10 s" in text_of(html)
    assert "/backups/&lt;b&gt;" in html
    assert 'id="backup"' not in whole(snapshot(program("broker-1")))


def test_what_is_not_known_is_called_unknown_with_its_reason():
    failures = {"quorum": "no broker answered", "topics": "it timed out", "groups": "they are loading"}
    kafka = KafkaView(failures=failures, runs={"topics": CollectorRun(up=False, duration_s=2.0, last_success_s=900.0)})

    text = text_of(whole(snapshot(program("broker-1"), kafka=kafka)))

    assert "Quorum unknown no broker answered" in text
    assert "Topics unknown it timed out" in text
    assert "as of" not in text
    assert "unknown they are loading" in text
    assert "Throughput unknown" in text


def test_before_the_first_look_the_page_says_so():
    text = text_of(whole(None))

    assert "The cluster was not observed yet" in text
    assert "local starting" in text


@pytest.mark.parametrize(("now_s", "is_old"), [(1000.0, False), (1004.9, False), (1005.0, True), (1090.0, True)])
def test_an_old_look_is_called_old_with_its_age(now_s, is_old):
    notice = re.search(r'<p id="old"[^>]*>[^<]*</p>', whole(snapshot(program("broker-1")), now_s=now_s))[0]

    assert ("hidden" not in notice) == is_old
    assert f"seen {'1 min 30' if now_s == 1090.0 else int(now_s - 1000)} s ago" in notice


def test_a_slow_daemon_is_not_called_old_at_once():
    assert stale_after_s(plan_of("[daemon]\ninterval_s = 5.0")) == 25.0


def page_with(text):
    """Return a page with a text wherever Kafka, a log or an event has the word."""
    group = GroupState(text, text, "consumer", "classic", 1, ())
    kafka = KafkaView(
        topics=(topic(text, 1),), groups={text: group}, lags={}, failures={text: text}, lags_taken_at_s=1000.0
    )
    newest = snapshot(program("broker-1"), program("broker-2", ServiceState.DOWN, text), kafka=kafka)
    return whole(newest, events=[Event("1970-01-01T00:16:30.000Z", text, text, text, text)])


def test_control_characters_are_shown_as_they_are_in_a_terminal():
    html = whole(snapshot(program("broker-1", ServiceState.DOWN, "a\x1b[2J\0b\nc\u202ed\\x1b")))

    assert r"a\x1b[2J\x00b\nc\u202ed\\x1b" in html
    assert not re.search("[\0-\x09\x0b-\x1f\x7f-\x9f\u202e]", html)


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_kafka_names_and_logs_hold_is_only_text(text):
    hostile, harmless = page_with(text), page_with("orders")

    assert re.findall(r"<[^>]*>", hostile.replace(str(escape(text)), "orders")) == re.findall(r"<[^>]*>", harmless)
    assert hostile.count(str(escape(text))) == harmless.count("orders") > 5


def test_nothing_is_inline_and_nothing_comes_from_elsewhere():
    html = whole(full_snapshot(), history=History(MOMENTS))

    assert "style=" not in html
    assert "<style" not in html
    assert not re.search(r"\son\w+=", html)
    assert re.search(r"<script[^>]*></script>", html)
    assert set(re.findall(r'(?:src|href)="(https?://[^"]+)"', html)) == {app.url for app in PLAN.apps}


def test_very_many_topics_and_groups_are_cut_and_counted():
    group = GroupState("g", "Empty", "consumer", "classic", 1, ())
    kafka = KafkaView(
        topics=tuple(topic(f"t{number}", 1) for number in range(5000)),
        groups={f"g{number}": replace(group, name=f"g{number}") for number in range(200)},
        lags={},
        lags_taken_at_s=1000.0,
    )

    html = whole(snapshot(program("broker-1"), kafka=kafka))

    assert re.findall(r'class="quiet (\w+)">and (\d+) more', html) == [
        *(("wide", "100"), ("phone", "175")),
        *(("wide", "4900"), ("phone", "4975")),
    ]
    # A phone shows 25 rows.
    assert len(re.findall(r'<tr class="[^"]*wide"><th data-label="Group">', html)) == 75
    assert len(html) < 200_000


def test_what_is_not_well_is_not_among_the_rows_that_are_left_out():
    group = GroupState("g", "Empty", "consumer", "classic", 1, ())
    kafka = KafkaView(
        topics=(*(topic(f"t{number}", 1) for number in range(200)), topic("late", 1, in_sync=())),
        groups={name: replace(group, name=name) for name in (*(f"g{number}" for number in range(200)), "stopped")},
        lags={},
        lags_taken_at_s=1000.0,
        statuses={"stopped": GroupStatus(LagStatus.STOP, {}), "g0": GroupStatus(LagStatus.OK, {})},
    )

    text = text_of(whole(snapshot(program("broker-1"), kafka=kafka)))

    assert re.search(r"Keeps up stopped .* g0 ", text)
    assert re.search(r"On disk late 1 .* t0 1 ", text)


def test_events_are_newest_first_with_their_age():
    events = [
        Event("1970-01-01T00:16:30.000Z", "daemon", "exited", "broker-2", "ended with signal SIGKILL"),
        Event("1970-01-01T00:16:35.000Z", "daemon", "given_up", "broker-2", "it does not help"),
    ]

    text = text_of(whole(full_snapshot(), events=events))

    assert text.index("5 s ago broker-2 given up: it does not help") < text.index(
        "10 s ago broker-2 exited: ended with"
    )


def test_without_a_canary_the_answers_stand_in_for_it():
    with_canary = charts(MOMENTS, 1000.0)[2]
    without = charts(tuple(replace(moment, round_trip_s=None) for moment in MOMENTS), 1000.0)[2]

    assert (with_canary.title, with_canary.line.newest) == ("Round trip of a record", 0.013)
    assert (without.title, without.line.newest) == ("Answer of the slowest broker", 0.003)


def test_a_static_file_is_named_by_its_content():
    assert sorted(re.sub(r"\.[0-9a-f]{12}\.", ".", path) for path in Page(PLAN).static.hashed) == [
        "/static/colours.css",
        "/static/icon.svg",
        "/static/live.js",
        "/static/status.css",
    ]


def line(*values, begin_s=0.0, end_s=100.0):
    points = [(begin_s + number * 50.0, value) for number, value in enumerate(values)]
    return sparkline(points, begin_s=begin_s, end_s=end_s)


def test_a_line_goes_from_left_to_right_between_nothing_and_the_highest():
    drawn = line(0.0, 5.0, 10.0)

    assert drawn.line == "M0.0 45.0L0.0 45.0L150.0 24.0L300.0 3.0"
    assert (drawn.highest, drawn.newest) == (10.0, 10.0)


def test_what_is_not_known_is_a_gap():
    drawn = line(5.0, None, 5.0)

    assert drawn.line == "M0.0 3.0L0.0 3.0M300.0 3.0L300.0 3.0"


def test_a_newest_value_that_is_not_known_is_not_the_one_before():
    assert line(5.0, 5.0, None).newest is None


def test_nothing_but_zeros_is_a_line_at_the_bottom():
    assert line(0, 0).line == "M0.0 45.0L0.0 45.0L150.0 45.0"


def test_without_points_there_is_no_line():
    assert (line().line, line().highest, line().newest) == ("", None, None)


def test_points_outside_the_time_shown_do_not_count():
    assert sparkline([(-1.0, 99.0), (50.0, 2.0), (101.0, 99.0)], begin_s=0.0, end_s=100.0).highest == 2.0


def alerted(*firing, total=None, reason=None):
    found = Alerts(firing or None, len(firing) if total is None else total, reason)
    return whole(replace(full_snapshot(), alerts=found))


def test_alerts_are_shown_with_their_runbooks_and_hostile_text_in_them_is_text():
    html = alerted(*(Alert(f'A"{hostile}', hostile, hostile, "", "") for hostile in HOSTILE), total=9)

    assert all(str(escape(hostile)) in html for hostile in HOSTILE)
    assert not any(hostile in html for hostile in HOSTILE[:2])
    assert html.count('href="/runbooks/A%22') == len(HOSTILE)
    assert "and 5 more" in text_of(html)


def test_a_prometheus_that_does_not_tell_is_named_and_none_at_all_is_not():
    assert "Alerts: unknown Prometheus did not answer" in text_of(alerted(reason="Prometheus did not answer"))
    assert "Alerts" not in text_of(whole(replace(full_snapshot(), alerts=None)))


def live_of(seen, rendered=None, now_s=1000.0, ping_s=60.0):
    def render(look):
        if rendered is not None:
            rendered.append(look)
        return "\n".join(each.name for each in look.programs) if look else "nothing"

    return LiveUpdates(seen, render, ManualClock(now_s), ping_s=ping_s)


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
        live = LiveUpdates(seen, lambda _look: "", clock)
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

        frames = LiveUpdates(seen, render, ManualClock()).frames()
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


def test_the_live_part_is_a_stream_that_no_proxy_holds_back():
    async def run():
        app = create_app(plan_of(), Seen(full_snapshot()), ManualClock(1000.0))
        sent = []
        page = asyncio.create_task(call(app, "GET", "/events", tell=sent.append, stays=True))
        await until(lambda: sent)
        page.cancel()
        await asyncio.gather(page, return_exceptions=True)
        return sent[0]

    start = asyncio.run(run())

    assert start["status"] == 200
    assert start["headers"] == [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"x-accel-buffering", b"no"),
    ]


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
