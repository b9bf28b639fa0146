import shlex

import pytest

from kraftd.errors import ConfigurationError, NeedsRunningClusterError
from kraftd.operate.clients import client_environment, exports, require_broker
from kraftd.render.kafka_tools import find_tool
from tests.plans import plan_of
from tests.unit.operate.fake_cluster import FakeCluster


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


def test_a_tool_that_asks_a_stopped_cluster_is_refused_at_once(tmp_path):
    cluster = FakeCluster(tmp_path)

    with pytest.raises(
        NeedsRunningClusterError, match="cannot run topics: no broker of the cluster local runs"
    ) as caught:
        require_broker(cluster.context, find_tool("topics", "3.9.2"), ("--list",))

    assert "'kraftd start'" in caught.value.hint
    require_broker(cluster.context, find_tool("storage", "3.9.2"), ("random-uuid",))


def test_a_tool_may_wait_for_a_broker_that_starts(tmp_path):
    cluster = FakeCluster(tmp_path)
    cluster.runs("broker-2")

    require_broker(cluster.context, find_tool("topics", "3.9.2"), ("--list",))
