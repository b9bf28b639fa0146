import asyncio
import json
from dataclasses import replace

import pytest

from kraftd.health.lag.view import KafkaView
from kraftd.health.programs.state import ServiceState
from kraftd.serve.front import create_front, livez, readyz
from kraftd.web.asgi import PROBLEM_CONTENT_TYPE
from tests.clocks import ManualClock
from tests.plans import plan_of
from tests.unit.health.views import program, snapshot, topic
from tests.unit.web.asgi_client import call

OK = snapshot(program("broker-1"))
PLAN = plan_of()
HOST = ((b"host", b"127.0.0.1:8000"),)


class Loaded:
    """An app that counts how often it was loaded and asked."""

    def __init__(self):
        self.loads = 0
        self.asked = []

    def load(self):
        self.loads += 1
        return self.answer

    async def answer(self, scope, receive, send):
        self.asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


def test_the_probes_are_answered_without_the_framework():
    loaded = Loaded()
    clock = ManualClock()
    clock.advance(0.5)
    front = create_front(PLAN, lambda: OK, clock, loaded.load)

    live, ready = (asyncio.run(call(front, "GET", path, host=HOST)) for path in ("/livez", "/readyz"))

    assert (live.status, live.json) == (200, {"live": True, "age_s": 0.5})
    assert (ready.status, ready.json) == (200, {"ready": True, "reasons": []})
    assert loaded.loads == 0


def test_everything_else_is_answered_by_the_app_that_is_loaded_once():
    loaded = Loaded()
    front = create_front(PLAN, lambda: OK, ManualClock(1000.0), loaded.load)

    statuses = [asyncio.run(call(front, "GET", "/health", host=HOST)).status for _ in range(2)]

    assert statuses == [299, 299]
    assert loaded.loads == 1


@pytest.mark.parametrize("path", ["/readyz", "/health"])
def test_a_foreign_host_is_refused_before_anything_is_loaded(path):
    loaded = Loaded()
    front = create_front(PLAN, lambda: OK, ManualClock(1000.0), loaded.load)

    answer = asyncio.run(call(front, "GET", path, host=((b"host", b"evil.example"),)))

    assert (answer.status, loaded.loads) == (421, 0)


@pytest.mark.parametrize("headers", [[(b"sec-fetch-site", b"cross-site")], [(b"origin", b"http://evil.example")]])
def test_a_page_of_another_origin_cannot_write(headers):
    loaded = Loaded()
    front = create_front(PLAN, lambda: OK, ManualClock(1000.0), loaded.load)

    answer = asyncio.run(call(front, "POST", "/health", host=HOST, headers=headers))

    assert (answer.status, answer.headers["content-type"], loaded.loads) == (403, PROBLEM_CONTENT_TYPE, 0)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST.", "[::1]:8000", "[::1]"])
def test_this_machine_is_served_by_each_of_its_names(host):
    front = create_front(PLAN, lambda: OK, ManualClock(1000.5), Loaded().load)

    assert asyncio.run(call(front, "GET", "/livez", host=((b"host", host.encode()),))).status == 200


def test_the_address_that_is_served_on_is_a_name_too():
    (listener,) = PLAN.daemon.listeners
    plan = replace(PLAN, daemon=replace(PLAN.daemon, listeners=(replace(listener, host="10.0.0.7"),)))
    front = create_front(plan, lambda: OK, ManualClock(1000.5), Loaded().load)

    assert asyncio.run(call(front, "GET", "/livez", host=((b"host", b"10.0.0.7:8000"),))).status == 200


@pytest.mark.parametrize(
    ("allowed", "host", "status"),
    [
        (("host.docker.internal",), b"Host.Docker.Internal:8000", 200),
        (("host.docker.internal",), b"localhost", 200),
        (("host.docker.internal",), b"evil.example", 421),
        (("*",), b"any.example", 200),
        ((), b"host.docker.internal", 421),
    ],
)
def test_further_names_are_served_where_the_plan_allows_them(allowed, host, status):
    plan = replace(PLAN, daemon=replace(PLAN.daemon, allowed_hosts=allowed))
    front = create_front(plan, lambda: OK, ManualClock(1000.5), Loaded().load)

    assert asyncio.run(call(front, "GET", "/livez", host=((b"host", host),))).status == status


@pytest.mark.parametrize("target", ["/livez", "/readyz"])
def test_a_probe_may_ask_for_the_head_alone(target):
    front = create_front(PLAN, lambda: OK, ManualClock(1000.0), Loaded().load)
    answer = asyncio.run(call(front, "HEAD", target, host=HOST))

    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"", "application/json")


@pytest.mark.parametrize(("method", "target"), [("POST", "/readyz"), ("GET", "/readyz?fresh=2"), ("GET", "/livez?a=1")])
def test_a_probe_that_is_asked_otherwise_is_left_to_the_app_to_refuse(method, target):
    loaded = Loaded()
    front = create_front(PLAN, lambda: OK, ManualClock(1000.0), loaded.load)

    asyncio.run(call(front, method, target, host=HOST))

    assert loaded.asked == [target.partition("?")[0]]


def test_a_cluster_that_is_not_ready_is_looked_at_again():
    asked = []
    front = create_front(PLAN, lambda: None, ManualClock(1000.0), Loaded().load, lambda: asked.append("again"))

    answer = asyncio.run(call(front, "GET", "/readyz", host=HOST))

    assert (answer.status, asked) == (503, ["again"])


def test_a_fresh_answer_is_from_a_look_that_began_after_the_question():
    views = [snapshot(program("broker-1"))]
    clock = ManualClock()
    clock.advance(0.2)

    def request_tick():
        views.append(
            replace(views[0], monotonic_s=clock.monotonic_s(), programs=(program("broker-1", ServiceState.DOWN),))
        )

    front = create_front(PLAN, lambda: views[-1], clock, Loaded().load, request_tick)

    plain = asyncio.run(call(front, "GET", "/readyz", host=HOST))
    fresh = asyncio.run(call(front, "GET", "/readyz?fresh=1", host=HOST))

    assert (plain.status, fresh.status) == (200, 503)


class HastyClock(ManualClock):
    """Goes on by 20 ms whenever it is read."""

    def monotonic_s(self):
        self.advance(0.02)
        return super().monotonic_s()


def test_a_fresh_answer_is_given_in_bounded_time_when_nobody_looks():
    front = create_front(PLAN, lambda: OK, HastyClock(), Loaded().load)

    answer = asyncio.run(call(front, "GET", "/readyz?fresh=1", host=HOST))

    assert answer.status == 200


def test_a_step_of_the_wall_clock_changes_no_age():
    clock = ManualClock()
    front = create_front(PLAN, lambda: OK, clock, Loaded().load)

    clock.step(3600.0)
    answer = asyncio.run(call(front, "GET", "/livez", host=HOST))

    assert (answer.status, answer.json["age_s"]) == (200, 0.0)


def test_who_asks_on_and_on_gets_five_looks_at_once_and_then_two_a_second():
    clock, asked = ManualClock(), []
    front = create_front(PLAN, lambda: None, clock, Loaded().load, lambda: asked.append("again"))

    def looks_within(seconds):
        before = len(asked)
        for _ in range(20 * seconds):
            clock.advance(0.05)
            asyncio.run(call(front, "GET", "/readyz", host=HOST))
        return len(asked) - before

    assert [looks_within(1), looks_within(5)] == [6, 10]


def test_who_asks_for_fresh_answers_on_and_on_waits_for_them():
    clock, views = HastyClock(), [OK]
    front = create_front(
        PLAN,
        lambda: views[-1],
        clock,
        Loaded().load,
        lambda: views.append(replace(OK, monotonic_s=clock.monotonic_s())),
    )

    began_s = clock.monotonic_s()
    for _ in range(10):
        asyncio.run(call(front, "GET", "/readyz?fresh=1", host=HOST))

    assert len(views) == 11
    assert clock.monotonic_s() - began_s > 2.0


WITH_TOPIC = snapshot(program("broker-1"), kafka=KafkaView(topics=(topic("test-topic", 1),)))
DEGRADED = snapshot(program("broker-1"), program("broker-2", ServiceState.DOWN, "it ended"))
DOWN = snapshot(program("broker-1", ServiceState.DOWN))


@pytest.mark.parametrize(
    ("newest", "monotonic_s", "interval_s", "status", "age_s"),
    [
        (WITH_TOPIC, 1000.5, 1.0, 200, 0.5),
        (WITH_TOPIC, 1010.9, 1.0, 200, 10.9),
        (WITH_TOPIC, 1011.0, 1.0, 503, 11.0),
        (WITH_TOPIC, 1030.9, 60.0, 200, 30.9),
        (DOWN, 1000.0, 1.0, 200, 0.0),
        (None, 1000.0, 1.0, 503, None),
    ],
)
def test_the_daemon_lives_while_its_loop_looks(newest, monotonic_s, interval_s, status, age_s):
    answer = livez(newest, monotonic_s, interval_s)

    assert answer.status == status
    assert json.loads(answer.body) == {
        "live": status == 200,
        "age_s": None if age_s is None else pytest.approx(age_s),
    }


@pytest.mark.parametrize(
    ("newest", "status", "reasons"),
    [
        (WITH_TOPIC, 200, []),
        (DEGRADED, 503, ["broker-2 is DOWN: it ended"]),
        (DOWN, 503, ["broker-1 is DOWN"]),
        (None, 503, ["the cluster was not observed yet"]),
        (snapshot(program("broker-1"), kafka=KafkaView(topics=())), 503, ["topic test-topic does not exist"]),
    ],
)
def test_the_cluster_is_ready_or_says_why_not(newest, status, reasons):
    answer = readyz(newest, ("test-topic",))

    assert (answer.status, json.loads(answer.body)) == (status, {"ready": status == 200, "reasons": reasons})
