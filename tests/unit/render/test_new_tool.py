"""A tool more is a definition and a module below render: nothing else knows its name."""

from pathlib import Path

import pytest

from kraftd.errors import ConfigurationError
from kraftd.health.programs.state import ObservedPrograms, views
from kraftd.host.environment import installed_tool
from kraftd.plan.desired import NOTHING_DESIRED
from kraftd.plan.kinds import TOOL_DEFINITIONS, Executable, ToolDefinition
from kraftd.plan.loading import parse_toml
from kraftd.plan.plan_json import parse_plan, plan_json
from kraftd.plan.planning import build_plan
from kraftd.plan.program import Marker, Question, StartStage, StopStage
from kraftd.plan.settings import settings_model
from kraftd.render.files import render
from kraftd.render.supervisord_conf import groups_of, programs_of
from kraftd.render.tools import MonitoringFiles
from tests.plans import LAUNCH, PYTHON, layout_at

PAGER = ToolDefinition(
    name="pager",
    default_port=9300,
    does="it wakes somebody",
    health_path="/-/healthy",
    configuration_option="--config.file",
    configuration="pager.yml",
    source="pager.example",
    renderer="tests.unit.render.invented_tool",
)
KNOWN = (*TOOL_DEFINITIONS, PAGER)
TOML = "[cluster]\nport_offset = 1000\n[pager]\nenabled = true\n"
CONFIGURATION = Path("/srv/kraftd/local/config/pager/pager.yml")


@pytest.fixture
def plan(tmp_path):
    executable = tmp_path / "pager"
    executable.touch(mode=0o755)
    found = installed_tool(PAGER, {"PATH": str(tmp_path)})
    settings = settings_model(KNOWN).model_validate(parse_toml(TOML, "kraftd.toml").values)
    return build_plan(settings, layout_at(), "3.9.2", None, {"pager": found}, KNOWN)


def test_it_is_planned_with_its_port_shifted_and_reads_back(plan):
    assert [(tool.name, tool.url) for tool in plan.tools] == [("pager", "http://127.0.0.1:10300/")]
    assert "pager" in [program.name for program in plan.web_programs]
    assert parse_plan(plan_json(plan), Path("plan.json")) == plan


def test_it_is_known_by_its_mark_asked_started_and_ended_as_tools_are(plan):
    pager = plan.program("pager")

    assert plan.marker("pager") == Marker((f"--config.file={CONFIGURATION}",), executable="pager")
    assert (pager.probe.question, pager.probe.path) == (Question.HTTP, "/-/healthy")
    assert (pager.start.stage, pager.stop.stage) == (StartStage.OPTIONAL, StopStage.CLIENTS)
    assert pager.supervised_name == "tools:pager"


def test_it_is_rendered_by_its_own_module(plan):
    template = (Path(__file__).parents[3] / "supervisord.conf.j2").read_text()

    files = render(plan, LAUNCH, python=PYTHON, template=template, monitoring=MonitoringFiles((Path("a.yml"),)))

    assert files[CONFIGURATION] == f"kafka: {plan.access.bootstrap_servers}\nrules: 1\n"
    section = next(each for each in programs_of(plan, LAUNCH, PYTHON) if each.name == "pager")
    assert section.command[1:] == (*plan.marker("pager").arguments, "--listen=127.0.0.1:10300")
    assert [group.programs for group in groups_of((section,))] == [("pager",)]


def test_it_is_shown_among_the_programs(plan):
    (pager,) = (each for each in views(plan, ObservedPrograms({}, {}, NOTHING_DESIRED), 0.0) if each.name == "pager")

    assert (pager.kind.value, pager.listeners) == ("tool", ("127.0.0.1:10300",))


def test_a_port_that_it_shares_is_refused_by_its_setting():
    settings = settings_model(KNOWN).model_validate({"pager": {"enabled": True, "port": 8000}})

    with pytest.raises(ConfigurationError, match=r"change pager\.port or daemon\.port"):
        build_plan(settings, layout_at(), "3.9.2", None, {"pager": Executable(Path("/usr/bin/pager"))}, KNOWN)
