import asyncio
import json

import msgspec
import pytest
from pydantic import TypeAdapter

from kraftd.health.lag.view import KafkaView
from kraftd.health.programs.state import ServiceState
from kraftd.health.report.documents import HealthDocument, NothingSeen
from kraftd.serve.app import ScrapeTarget, create_app
from kraftd.serve.front import LivezDocument, ReadyzDocument, livez, readyz
from kraftd.web.api import ProblemDocument, StaticFiles
from kraftd.web.asgi import PROBLEM_CONTENT_TYPE
from tests.clocks import ManualClock
from tests.plans import plan_of
from tests.unit.health.views import full_snapshot, program, snapshot, topic
from tests.unit.serve.seen import Seen
from tests.unit.web.asgi_client import call

EMPTY = snapshot()
OK = snapshot(program("broker-1"), kafka=KafkaView(topics=(topic("test-topic", 1),)))
DEGRADED = snapshot(program("broker-1"), program("broker-2", ServiceState.DOWN, "it ended"))
DOWN = snapshot(program("broker-1", ServiceState.DOWN))


def answered(newest, target, *, now_s=1000.0, method="GET"):
    app = create_app(plan_of(), Seen(newest), ManualClock(now_s))
    return asyncio.run(call(app, method, target))


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
    assert 'kraftd_broker_up{broker_id="1"} 1\n' in answer.body.decode()


def test_metrics_are_openmetrics_for_those_who_accept_it():
    app = create_app(plan_of(), Seen(OK), ManualClock())

    answer = asyncio.run(call(app, "GET", "/metrics", headers=[(b"accept", b"application/openmetrics-text")]))

    assert answer.headers["content-type"].split(";")[0] == "application/openmetrics-text"
    assert answer.body.endswith(b"# EOF\n")


@pytest.mark.parametrize("path", ["/openapi.json", *StaticFiles("kraftd.serve").hashed])
def test_an_unknown_parameter_is_refused_of_files_too(path):
    answer = answered(OK, f"{path}?x=1")

    assert (answered(OK, path).status, answer.status, answer.headers["content-type"]) == (
        200,
        400,
        PROBLEM_CONTENT_TYPE,
    )
    assert answer.json["detail"] == "there is no parameter x"


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/stop", "/health/"])
def test_there_is_nothing_else(path):
    answer = answered(OK, path)

    assert (answer.status, answer.headers["content-type"]) == (404, PROBLEM_CONTENT_TYPE)
    assert answer.json["detail"] == f"the daemon has no path {path}; see /openapi.json"


@pytest.mark.parametrize("path", ["/health", "/livez", "/readyz", "/metrics", "/sd/prometheus", "/health/brokers/1"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_nothing_can_be_changed(path, method):
    answer = answered(OK, path, method=method)

    assert (answer.status, answer.headers["content-type"], answer.headers["allow"]) == (
        405,
        PROBLEM_CONTENT_TYPE,
        "GET, HEAD",
    )


@pytest.mark.parametrize(
    ("target", "detail"),
    [
        ("/health?strict=maybe", "strict: Input should be a valid boolean"),
        ("/health?strict=", "strict: "),
        ("/health?strickt=1", "there is no parameter strickt"),
        ("/metrics?name=x", "there is no parameter name"),
        ("/sd/prometheus?a=1&b=2", "there is no parameter a; there is no parameter b"),
        ("/health/brokers/1?strict=1", "there is no parameter strict"),
        ("/health/brokers/one", "broker_id: "),
        ("/livez?a=1", "there is no parameter a"),
        ("/readyz?fresh=2", "fresh: Input should be '1'"),
        ("/readyz?fresh=1&strict=1", "there is no parameter strict"),
    ],
)
def test_a_wrong_parameter_is_named(target, detail):
    answer = answered(OK, target)

    assert (answer.status, answer.headers["content-type"]) == (400, PROBLEM_CONTENT_TYPE)
    assert answer.json["detail"].startswith(detail)
    assert (answer.json["status"], answer.json["title"]) == (400, "A parameter is wrong")


def test_a_fault_of_the_daemon_tells_nothing_of_its_inside():
    class Broken(Seen):
        def newest(self):
            raise LookupError("secret")

    app = create_app(plan_of(), Broken(), ManualClock(1000.0))
    sent = []
    with pytest.raises(LookupError):
        asyncio.run(call(app, "GET", "/health", tell=sent.append))

    assert sent[0]["status"] == 500
    assert b"secret" not in sent[1]["body"]


@pytest.mark.parametrize(
    ("newest", "broker_id", "status"),
    [(OK, 1, 204), (OK, 7, 404), (DOWN, 1, 503), (None, 1, 503)],
)
def test_a_broker_is_asked_for_by_its_id(newest, broker_id, status):
    assert answered(newest, f"/health/brokers/{broker_id}").status == status


def test_a_broker_that_does_not_serve_says_why():
    answer = answered(DEGRADED, "/health/brokers/2")

    assert (answer.headers["content-type"], answer.json["detail"]) == (PROBLEM_CONTENT_TYPE, "it ended")


def test_prometheus_finds_the_daemon_the_apps_and_the_agents_of_the_nodes():
    found = answered(OK, "/sd/prometheus").json

    assert [(each["targets"], each["labels"]["job"], each["labels"]["program"]) for each in found] == [
        (["127.0.0.1:8000"], "kraftd", "kraftd"),
        (["127.0.0.1:8001"], "kraftd-apps", "producer"),
        (["127.0.0.1:8002"], "kraftd-apps", "consumer"),
        (["127.0.0.1:7071"], "kafka", "broker-1"),
        (["127.0.0.1:7072"], "kafka", "broker-2"),
        (["127.0.0.1:7171"], "kafka", "controller-101"),
    ]
    assert [each["labels"].get("node_id") for each in found] == [None, None, None, "1", "2", "101"]


def test_a_runbook_is_served_under_the_name_of_its_alert():
    found = answered(snapshot(), "/runbooks/DaemonStale")

    assert (found.status, found.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert found.body.decode().startswith("DaemonStale\n\n**Means:** ")
    assert "CollectorFailing" not in found.body.decode()


def test_a_runbook_that_nobody_wrote_is_not_found():
    assert answered(snapshot(), "/runbooks/Unheard").status == 404


@pytest.mark.parametrize("newest", [full_snapshot(), EMPTY], ids=["full", "empty"])
def test_health_has_the_described_shape_and_nothing_else(newest):
    body = answered(newest, "/health").body

    described = TypeAdapter(HealthDocument).validate_json(body)

    # Read by its description and written again: a key that is not described would be lost on the way.
    assert json.loads(TypeAdapter(HealthDocument).dump_json(described)) == json.loads(body)
    assert msgspec.json.encode(msgspec.json.decode(body, type=HealthDocument)) == body


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        (NothingSeen, answered(None, "/health").body),
        (ProblemDocument, answered(EMPTY, "/nothing").body),
        (ProblemDocument, answered(EMPTY, "/health/brokers/9").body),
        (list[ScrapeTarget], answered(EMPTY, "/sd/prometheus").body),
        (LivezDocument, livez(None, 0.0, 1.0).body),
        (ReadyzDocument, readyz(EMPTY, ()).body),
    ],
    ids=["not looked at yet", "unknown path", "unknown broker", "targets", "livez", "readyz"],
)
def test_every_other_answer_has_the_described_shape(shape, body):
    described = TypeAdapter(shape)

    assert json.loads(described.dump_json(described.validate_json(body))) == json.loads(body)


def test_every_route_describes_its_answers():
    description = answered(EMPTY, "/openapi.json").json

    assert {path: set(routes["get"]["responses"]) for path, routes in description["paths"].items()} == {
        "/": {"200", "400", "421"},
        "/events": {"200", "400", "421", "503"},
        "/livez": {"200", "400", "421", "503"},
        "/readyz": {"200", "400", "421", "503"},
        "/health": {"200", "400", "421", "503"},
        "/health/brokers/{broker_id}": {"204", "400", "404", "421", "503"},
        "/sd/prometheus": {"200", "400", "421"},
        "/metrics": {"200", "400", "421"},
        "/runbooks/{alert}": {"200", "400", "404", "421"},
    }
