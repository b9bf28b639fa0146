import asyncio

import pytest

from kraftd.serve.app import create_app
from kraftd.watch.kafka_view import KafkaView
from kraftd.watch.snapshot import ServiceState
from tests.clocks import ManualClock
from tests.plans import plan_of
from tests.unit.apps.asgi_client import call
from tests.unit.watch.programs import program, snapshot, topic

OK = snapshot(program("broker-1"), kafka=KafkaView(topics=(topic("test-topic", 1),)))
DEGRADED = snapshot(program("broker-1"), program("broker-2", ServiceState.DOWN, "it ended"))
DOWN = snapshot(program("broker-1", ServiceState.DOWN))


def answered(newest, target, *, now_s=1000.0, host="127.0.0.1:8000"):
    app = create_app(plan_of(), lambda: newest, ManualClock(now_s))
    return asyncio.run(call(app, "GET", target, host=((b"host", host.encode()),)))


@pytest.mark.parametrize(
    ("newest", "now_s", "status", "age_s"),
    [
        (OK, 1000.5, 200, 0.5),
        (OK, 1009.9, 200, 9.9),
        (OK, 1010.0, 503, 10.0),
        (DOWN, 1000.0, 200, 0.0),
        (None, 1000.0, 503, None),
    ],
)
def test_the_daemon_lives_while_its_loop_looks(newest, now_s, status, age_s):
    answer = answered(newest, "/livez", now_s=now_s)

    assert answer.status == status
    assert answer.json == {"live": status == 200, "age_s": None if age_s is None else pytest.approx(age_s)}


@pytest.mark.parametrize(
    ("newest", "status", "reasons"),
    [
        (OK, 200, []),
        (DEGRADED, 503, ["broker-2 is DOWN: it ended"]),
        (DOWN, 503, ["broker-1 is DOWN"]),
        (None, 503, ["nothing was looked at yet"]),
        (snapshot(program("broker-1"), kafka=KafkaView(topics=())), 503, ["topic test-topic does not exist"]),
    ],
)
def test_the_cluster_is_ready_or_says_why_not(newest, status, reasons):
    answer = answered(newest, "/readyz")

    assert (answer.status, answer.json) == (status, {"ready": status == 200, "reasons": reasons})


@pytest.mark.parametrize(
    ("newest", "relaxed", "strict", "word"),
    [(OK, 200, 200, "ok"), (DEGRADED, 200, 503, "degraded"), (DOWN, 503, 503, "down"), (None, 503, 503, "down")],
)
def test_health_fails_when_the_cluster_is_down_and_strictly_also_when_it_is_degraded(newest, relaxed, strict, word):
    assert answered(newest, "/health").status == relaxed
    assert answered(newest, "/health?strict=1").status == strict
    assert answered(newest, "/health").json["status"] == word


def test_an_unsupervised_cluster_is_healthy_but_strictly():
    newest = snapshot(program("broker-1"), supervised=False)

    assert (answered(newest, "/health").status, answered(newest, "/health?strict=1").status) == (200, 503)


def test_metrics_are_prometheus_text():
    answer = answered(OK, "/metrics")

    assert (answer.status, answer.headers["content-type"].split(";")[0]) == (200, "text/plain")
    assert 'kraftd_broker_up{broker_id="1"} 1.0' in answer.body.decode()
    assert 'kraftd_broker_up{broker_id="2"} 0.0' in answer.body.decode()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example"])
def test_a_page_that_rebinds_its_name_reads_nothing(host):
    assert answered(OK, "/health", host=host).status == 400


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "localhost"])
def test_this_machine_is_served(host):
    assert answered(OK, "/health", host=host).status == 200


def test_no_answer_is_kept_by_a_cache_or_taken_for_another_type():
    headers = answered(OK, "/health").headers

    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/stop"])
def test_there_is_nothing_else(path):
    assert answered(OK, path).status == 404


@pytest.mark.parametrize(
    ("newest", "broker_id", "status"),
    [(OK, 1, 204), (OK, 7, 404), (DOWN, 1, 503), (None, 1, 503)],
)
def test_a_broker_is_asked_for_by_its_id(newest, broker_id, status):
    assert answered(newest, f"/health/brokers/{broker_id}").status == status


def test_prometheus_finds_the_daemon_and_the_apps():
    found = answered(OK, "/sd/prometheus").json

    assert [(each["targets"], each["labels"]["program"]) for each in found] == [
        (["127.0.0.1:8000"], "kraftd"),
        (["127.0.0.1:8001"], "producer"),
        (["127.0.0.1:8002"], "consumer"),
    ]
