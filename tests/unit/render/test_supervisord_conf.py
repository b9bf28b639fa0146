from dataclasses import replace
from io import StringIO

import jinja2
import pytest
from dotenv import dotenv_values

from kraftd.errors import ConfigurationError
from kraftd.plan import kinds
from kraftd.render.java_command import node_command
from kraftd.render.supervisord_conf import dotenv, groups_of, programs_of, supervisord_conf
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
        "/opt/venv/bin/python", "-P", "-X", "kraftd=/srv/kraftd/local/kraftd", "-m", "kraftd.daemon",
        "--state-dir", "/srv/kraftd/local",
    )  # fmt: skip
    assert program("consumer-2", "[consumer]\ninstances = 2").command == (
        "/opt/venv/bin/python", "-P", "-X", "kraftd=/srv/kraftd/local/consumer-2", "-m", "kraftd_apps.consumer",
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


def render(template):
    plan = plan_of()
    return supervisord_conf(template, plan, programs_of(plan, LAUNCH, PYTHON))


def test_a_value_doubles_the_percent_sign_and_a_logfile_doubles_it_twice():
    assert render("{{ '1%' | value }} {{ '1%' | logfile }}") == "1%% 1%%%%"


def test_a_command_is_quoted_argument_by_argument():
    assert render("""{{ ["a b", "it's", "5%"] | command }}""") == """'a b' 'it'"'"'s' 5%%"""


def test_quotes_are_not_escaped_as_in_html():
    assert render("""{{ '<"&' | value }}""") == '<"&'


def test_a_template_that_names_nothing_that_exists_fails():
    with pytest.raises(jinja2.UndefinedError):
        render("{{ plan.typo }}")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("a ;b", "it reads ' ;' as the start of a comment"),
        ("a\t#b", r"it reads '\t#' as the start of a comment"),
        ("a\nb", "it reads a line break as the end of the value"),
        (" a", "it drops space at either end"),
        ("a ", "it drops space at either end"),
    ],
)
def test_a_value_that_would_not_survive_is_refused_with_the_reason(value, reason):
    with pytest.raises(ConfigurationError) as caught:
        supervisord_conf("{{ plan.cluster | value }}", replace(plan_of(), cluster=value), ())

    assert str(caught.value) == f"cannot write {value!r} into supervisord.conf: {reason}"
    assert caught.value.code == "unwritable_value"
