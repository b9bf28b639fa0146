import pytest

from kraftd.render.files import render
from tests.plans import LAUNCH, PYTHON, STATE_DIR, TOOLS, plan_of

TEMPLATE = "{{ plan.cluster }} {% for program in programs %}{{ program.name }} {% endfor %}"


def rendered(plan):
    return render(plan, LAUNCH, python=PYTHON, template=TEMPLATE)


@pytest.mark.parametrize(("version", "logging"), [("3.9.2", "log4j.properties"), ("4.3.1", "log4j2.properties")])
def test_every_program_gets_its_files_below_the_state_directory(version, logging):
    names = {str(path.relative_to(STATE_DIR)) for path in rendered(plan_of(kafka_version=version))}

    nodes = ("broker-1", "broker-2", "controller-101")
    assert names == {
        "supervisord.conf",
        "config/producer/.env",
        "config/consumer/.env",
        *(f"config/{node}/server.properties" for node in nodes),
        *(f"config/{node}/{logging}" for node in nodes),
        *(f"config/{node}/metrics-agent" for node in nodes),
    }


def test_a_tool_gets_its_files_where_it_is_planned():
    names = {str(path.relative_to(STATE_DIR)) for path in rendered(plan_of(TOOLS)).keys() - rendered(plan_of()).keys()}

    assert names == {
        "config/prometheus/prometheus.yml",
        "config/grafana/grafana.ini",
        "config/grafana/provisioning/datasources/prometheus.yml",
    }


def test_the_template_sees_plan_and_programs():
    text = rendered(plan_of())[STATE_DIR / "supervisord.conf"]

    assert text == "local kraftd producer consumer broker-1 broker-2 controller-101 "


def test_the_same_plan_renders_to_the_same_bytes():
    assert list(rendered(plan_of()).items()) == list(rendered(plan_of()).items())


def test_every_text_file_ends_with_a_line_break():
    texts = [text for path, text in rendered(plan_of(TOOLS)).items() if path.name != "supervisord.conf"]

    assert all(text.endswith("\n") and not text.endswith("\n\n") for text in texts)
