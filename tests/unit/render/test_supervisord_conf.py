"""The template's filters; how supervisord reads the whole text back: tests/integration/test_rendered_conf.py."""

from dataclasses import replace

import jinja2
import pytest

from kraftd.errors import ConfigurationError
from kraftd.render.programs import programs_of
from kraftd.render.supervisord_conf import supervisord_conf
from tests.plans import LAUNCH, PYTHON, plan_of


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
        ("a ;b", "it takes ' ;' for the start of a comment"),
        ("a\t#b", r"it takes '\t#' for the start of a comment"),
        ("a\nb", "it takes a line break for the end of the value"),
        (" a", "it drops space at either end"),
        ("a ", "it drops space at either end"),
    ],
)
def test_a_value_that_would_not_survive_is_refused_with_the_reason(value, reason):
    with pytest.raises(ConfigurationError) as caught:
        supervisord_conf("{{ plan.cluster | value }}", replace(plan_of(), cluster=value), ())

    assert str(caught.value) == f"cannot write {value!r} into supervisord.conf: {reason}"
    assert caught.value.code == "unwritable_value"
