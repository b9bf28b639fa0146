"""What the description promises is what is answered."""

import asyncio

import pytest
from pydantic import TypeAdapter, ValidationError

from kraftd.serve.app import create_app
from kraftd.serve.models import Health, Live, NothingSeen, Problem, Ready, Target
from kraftd.serve.probes import livez, readyz
from kraftd.watch.documents import health_document
from kraftd.watch.health import judge
from tests.clocks import ManualClock
from tests.plans import plan_of
from tests.unit.apps.asgi_client import call
from tests.unit.serve.seen import Seen
from tests.unit.watch.programs import full_snapshot, snapshot

EMPTY = snapshot()


def answer(newest, target):
    app = create_app(plan_of(), Seen(newest), ManualClock(1000.0))
    return asyncio.run(call(app, "GET", target))


@pytest.mark.parametrize("newest", [full_snapshot(), EMPTY], ids=["full", "empty"])
def test_health_has_the_described_shape(newest):
    Health.model_validate_json(answer(newest, "/health").body)


def test_a_key_that_is_not_described_is_noticed():
    document = health_document(plan_of(), EMPTY, judge(EMPTY), 1000.0)

    with pytest.raises(ValidationError):
        Health.model_validate({**document, "surprise": 1})


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        (NothingSeen, answer(None, "/health").body),
        (Problem, answer(EMPTY, "/nothing").body),
        (Problem, answer(EMPTY, "/health/brokers/9").body),
        (list[Target], answer(EMPTY, "/sd/prometheus").body),
        (Live, livez(None, 0.0).body),
        (Ready, readyz(EMPTY, ()).body),
    ],
    ids=["not looked at yet", "unknown path", "unknown broker", "targets", "livez", "readyz"],
)
def test_every_other_answer_has_the_described_shape(shape, body):
    TypeAdapter(shape).validate_json(body)


def test_every_route_describes_its_answers():
    description = answer(EMPTY, "/openapi.json").json

    assert {path: set(routes["get"]["responses"]) for path, routes in description["paths"].items()} == {
        "/": {"200", "400", "421"},
        "/events": {"200", "400", "421", "503"},
        "/livez": {"200", "400", "421", "503"},
        "/readyz": {"200", "400", "421", "503"},
        "/health": {"200", "400", "421", "503"},
        "/health/brokers/{broker_id}": {"204", "400", "404", "421", "503"},
        "/sd/prometheus": {"200", "400", "421"},
        "/metrics": {"200", "400", "421"},
    }
