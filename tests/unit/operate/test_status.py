import pytest

from kraftd.errors import ConfigurationError
from kraftd.operate.status import Condition, parse_condition


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("ready", Condition("ready")),
        ("stopped", Condition("stopped")),
        ("broker-1:ready", Condition("ready", "broker-1")),
        ("producer:stopped", Condition("stopped", "producer")),
    ],
)
def test_a_condition_is_a_state_of_the_cluster_or_of_a_program(text, condition):
    assert parse_condition(text) == condition


@pytest.mark.parametrize("text", ["", "broker-1", "broker-1:", "broker-1:gone", "ready:broker-1", "READY"])
def test_anything_else_is_refused_with_what_there_is(text):
    with pytest.raises(ConfigurationError, match="no such condition") as caught:
        parse_condition(text)

    assert caught.value.exit_code == 2
    assert "broker-1:ready" in caught.value.hint
