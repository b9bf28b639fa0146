from io import StringIO

import pytest
from dotenv import dotenv_values

from kraftd.render.java_command import node_command
from kraftd.render.programs import dotenv, groups_of, programs_of
from kraftd.spec import kinds
from tests.plans import LAUNCH, PYTHON, TOOLS, plan_of


def programs(toml=""):
    return programs_of(plan_of(toml), LAUNCH, PYTHON)


def program(name, toml=""):
    return next(each for each in programs(toml) if each.name == name)


@pytest.mark.parametrize(
    ("name", "autostart", "autorestart", "startsecs", "startretries", "exitcodes", "stopwaitsecs"),
    [
        ("kraftd", True, True, 10, 1000, (0,), 10),
        ("prometheus", False, False, 1, 0, (0, 143), 20),
        ("producer", False, False, 1, 0, (0, 143), 20),
        ("consumer", False, False, 1, 0, (0, 143), 20),
        ("broker-1", False, False, 1, 0, (0, 143), 330),
        ("controller-101", False, False, 1, 0, (0, 143), 30),
    ],
)
def test_every_program_has_its_line_of_the_contract(
    name, autostart, autorestart, startsecs, startretries, exitcodes, stopwaitsecs
):
    found = program(name, TOOLS)

    assert (found.autostart, found.autorestart) == (autostart, autorestart)
    assert (found.startsecs, found.startretries) == (startsecs, startretries)
    assert (found.exitcodes, found.stopwaitsecs) == (exitcodes, stopwaitsecs)


def test_the_programs_are_the_daemon_the_apps_and_the_nodes():
    names = [each.name for each in programs("[consumer]\ninstances = 2")]

    assert names == ["kraftd", "producer", "consumer", "consumer-2", "broker-1", "broker-2", "controller-101"]


def test_a_node_runs_its_java_command_in_its_configuration_directory():
    plan = plan_of()

    found = program("broker-2")

    assert found.command == node_command(plan, plan.nodes[1], LAUNCH)
    assert found.directory == plan.layout.config("broker-2")
    assert found.console == plan.layout.console("broker-2")


def test_python_programs_carry_their_mark():
    assert program("kraftd").command == (
        "/opt/venv/bin/python", "-X", "kraftd=/srv/kraftd/local/kraftd", "-m", "kraftd.daemon",
        "--state-dir", "/srv/kraftd/local",
    )  # fmt: skip
    assert program("consumer-2", "[consumer]\ninstances = 2").command == (
        "/opt/venv/bin/python", "-X", "kraftd=/srv/kraftd/local/consumer-2", "-m", "kraftd_apps.consumer",
    )  # fmt: skip


def test_groups_come_in_the_order_in_which_they_stop():
    assert [(group.name, group.programs, group.priority) for group in groups_of(programs())] == [
        ("daemon", ("kraftd",), 400),
        ("apps", ("producer", "consumer"), 300),
        ("brokers", ("broker-1", "broker-2"), 200),
        ("controllers", ("controller-101",), 100),
    ]


def test_tools_stop_after_the_daemon_and_before_the_apps():
    names = [(group.name, group.programs) for group in groups_of(programs(TOOLS))]

    assert names[:3] == [
        ("daemon", ("kraftd",)),
        ("tools", ("prometheus", "grafana")),
        ("apps", ("producer", "consumer")),
    ]


def test_a_group_without_members_is_left_out():
    toml = "[cluster]\nbrokers = 3\n[producer]\nenabled = false\n[consumer]\nenabled = false"

    assert [group.name for group in groups_of(programs(toml))] == ["daemon", "brokers"]


@pytest.mark.parametrize(
    "value",
    [
        *("plain", "", "it's", 'say "hi"', "a b", " led ", "a=b", "a#b", "a #b", "${HOME}", "$HOME", "`id`", "%s"),
        *("back\\slash", "\\'", "\\", "\\n", "é漢😀", "line\nbreak", "tab\t"),
    ],
)
def test_an_apps_environment_reads_back_as_it_was_planned(value):
    app = kinds.app("producer", "producer", 8001, (("A", "before"), ("VALUE", value), ("Z", "after")))

    found = dotenv_values(stream=StringIO(dotenv(app)), interpolate=False)

    assert found == {"A": "before", "VALUE": value, "Z": "after"}


def test_no_environment_value_shows_in_a_command_line():
    toml = '[producer.env]\nAPP_API_TOKEN = "s3cret"'

    assert "s3cret" in dotenv(plan_of(toml).apps[0])
    assert not [each for each in programs(toml) if "s3cret" in " ".join(each.command)]
