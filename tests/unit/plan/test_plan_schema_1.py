"""What an earlier kraftd wrote: a cluster that it started may still run."""

from dataclasses import replace
from pathlib import Path

import pytest

from kraftd.errors import KraftdError
from kraftd.plan.plan_json import parse_plan
from tests.plans import TOOLS, plan_of

TEXT = (Path(__file__).parent / "plan_schema_1.json").read_text()
TOML = (
    f"{TOOLS}[metrics_agent]\nenabled = false\n[cluster]\nport_offset = 100\n"
    '[java]\noptions = ["-Xss1m"]\n[consumer]\ninstances = 2\n'
)
PATH = Path("/srv/plan.json")


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
