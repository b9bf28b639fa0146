import shlex

import pytest

from kraftd.errors import ConfigurationError
from kraftd.operate.clients import client_environment, exports
from tests.plans import plan_of


def test_clients_get_the_brokers_and_the_first_topic():
    assert client_environment(plan_of()) == {
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092,127.0.0.1:9093",
        "KAFKA_TOPIC": "test-topic",
    }


@pytest.mark.parametrize("shell", ["bash", "sh", "zsh"])
def test_a_posix_shell_reads_the_lines_back(shell):
    (line,) = exports({"NAME": "it's $5; `id`"}, shell)

    assert shlex.split(line) == ["export", "NAME=it's $5; `id`"]


def test_fish_has_words_of_its_own():
    assert exports({"NAME": "a b"}, "fish") == ["set -gx NAME 'a b'"]


def test_an_unknown_shell_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match="'tcsh'") as caught:
        exports({}, "tcsh")

    assert "bash, zsh, sh or fish" in caught.value.hint
