"""What the description promises is what is answered."""

import asyncio
import json

import msgspec
import pytest
from pydantic import TypeAdapter

from kraftd.health.report.documents import HealthDocument, NothingSeen
from kraftd.serve.app import Target, create_app
from kraftd.serve.front import Live, Ready, livez, readyz
from kraftd.serve.openapi import Problem
from tests.clocks import ManualClock
from tests.plans import plan_of
from tests.unit.health.views import full_snapshot, snapshot
from tests.unit.serve.seen import Seen
from tests.unit.web.asgi_client import call

EMPTY = snapshot()


def answer(newest, target):
    app = create_app(plan_of(), Seen(newest), ManualClock(1000.0))
    return asyncio.run(call(app, "GET", target))


@pytest.mark.parametrize("newest", [full_snapshot(), EMPTY], ids=["full", "empty"])
def test_health_has_the_described_shape_and_nothing_else(newest):
    body = answer(newest, "/health").body

    described = TypeAdapter(HealthDocument).validate_json(body)

    # Read by its description and written again: a key that is not described would be lost on the way.
    assert json.loads(TypeAdapter(HealthDocument).dump_json(described)) == json.loads(body)
    assert msgspec.json.encode(msgspec.json.decode(body, type=HealthDocument)) == body


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        (NothingSeen, answer(None, "/health").body),
        (Problem, answer(EMPTY, "/nothing").body),
        (Problem, answer(EMPTY, "/health/brokers/9").body),
        (list[Target], answer(EMPTY, "/sd/prometheus").body),
        (Live, livez(None, 0.0, 1.0).body),
        (Ready, readyz(EMPTY, ()).body),
    ],
    ids=["not looked at yet", "unknown path", "unknown broker", "targets", "livez", "readyz"],
)
def test_every_other_answer_has_the_described_shape(shape, body):
    described = TypeAdapter(shape)

    assert json.loads(described.dump_json(described.validate_json(body))) == json.loads(body)


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
        "/runbooks/{alert}": {"200", "400", "404", "421"},
    }
