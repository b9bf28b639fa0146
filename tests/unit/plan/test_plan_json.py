import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from kraftd.errors import KraftdError
from kraftd.plan.plan import Plan
from kraftd.plan.plan_json import parse_plan, plan_json
from tests.plans import TOOLS, plan_of

PATH = Path("/srv/plan.json")
RICH = (
    '[cluster]\nbrokers = 3\n[kafka]\nhome = "/opt/k"\n[java]\nhome = "/opt/j"\noptions = ["-Xss1m"]\n'
    '[broker.config]\nlog.retention.hours = 1\n[[topic]]\nname = "test-topic"\nconfig = { "retention.ms" = 1 }\n'
    '[producer]\nenv = { A = "é" }'
)


@pytest.mark.parametrize("toml", ["", RICH])
def test_a_plan_reads_back_as_it_was_written(toml):
    plan = plan_of(toml)

    assert parse_plan(plan_json(plan), PATH) == plan


def test_every_field_of_a_plan_is_written():
    assert set(json.loads(plan_json(plan_of()))) == {"schema_version", *(field.name for field in fields(Plan))}


def test_the_same_plan_makes_the_same_bytes():
    assert plan_json(plan_of(RICH)) == plan_json(plan_of(RICH))


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", "null"])
def test_a_damaged_plan_is_refused_by_its_path(text):
    with pytest.raises(KraftdError, match=f"cannot read the plan {PATH}: it is damaged") as caught:
        parse_plan(text, PATH)

    assert (caught.value.code, caught.value.exit_code) == ("plan_damaged", 1)
    assert "kraftd start" in caught.value.hint


def test_a_plan_with_a_value_of_another_type_is_damaged():
    text = plan_json(plan_of()).replace('"brokers":', '"broker":').replace('"node_id": 1,', '"node_id": "one",')

    with pytest.raises(KraftdError, match="it is damaged"):
        parse_plan(text, PATH)


def test_a_plan_of_a_newer_kraftd_is_refused():
    text = plan_json(plan_of()).replace('"schema_version": 2', '"schema_version": 3')

    with pytest.raises(KraftdError, match="it has schema version 3, and this kraftd reads 2") as caught:
        parse_plan(text, PATH)

    assert caught.value.code == "plan_too_new"


TEXT = (Path(__file__).parent / "plan_schema_1.json").read_text()
TOML = (
    f"{TOOLS}[metrics_agent]\nenabled = false\n[cluster]\nport_offset = 100\n"
    '[java]\noptions = ["-Xss1m"]\n[consumer]\ninstances = 2\n'
)


def without(environment, *names):
    return tuple(pair for pair in environment if pair[0] not in names)


def test_it_is_read_as_the_plan_that_the_same_configuration_makes_now():
    plan = plan_of(TOML)

    # What the user stated of a topic was not recorded.
    topics = tuple(replace(topic, stated=()) for topic in plan.topics)
    # The apps took a number of workers, which today's do not read, no file of the member, and no links.
    found = parse_plan(TEXT, PATH)
    apps = tuple(replace(app, environment=without(app.environment, "APP_WORKERS")) for app in found.apps)
    now = tuple(replace(app, environment=without(app.environment, "APP_MEMBER_FILE", "APP_LINKS")) for app in plan.apps)
    assert replace(found, apps=apps) == replace(plan, topics=topics, apps=now)


def test_a_tool_that_is_known_no_more_is_left_out():
    plan = parse_plan(TEXT.replace('"name": "grafana"', '"name": "forgotten"'), PATH)

    assert [tool.name for tool in plan.tools] == ["prometheus"]


@pytest.mark.parametrize("text", ["{}", TEXT.replace('"node_id": 1,', '"node_id": "one",')])
def test_one_that_is_damaged_is_refused_as_any_other(text):
    with pytest.raises(KraftdError, match="it is damaged"):
        parse_plan(text, PATH)
