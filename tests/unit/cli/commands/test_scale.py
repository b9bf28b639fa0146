"""What the options of a scale and of a reassignment mean."""

import pytest

from kraftd.cli.commands.cluster import InterruptedCommandError, interruption, report_running_programs
from kraftd.cli.commands.scale import bytes_per_s, places
from kraftd.cli.options import Invocation
from kraftd.errors import ConfigurationError
from kraftd.host.processes import Process
from kraftd.operate.rolling.journal import Journal, write_journal
from tests.unit.operate.fake_cluster import FakeCluster


@pytest.mark.parametrize(
    ("brokers", "assignment", "expected"),
    [
        (None, None, ((), ())),
        ("3,1,3", None, ((1, 3), ())),
        (None, "1:2,2:3", ((), ((1, 2), (2, 3)))),
    ],
)
def test_brokers_and_replicas_are_ids(brokers, assignment, expected):
    assert places(brokers, assignment) == expected


@pytest.mark.parametrize(("brokers", "assignment"), [("", None), (None, ""), ("1,two", None), (None, "1:2,,2:3")])
def test_an_option_without_ids_is_refused_and_never_taken_for_all(brokers, assignment):
    with pytest.raises(ConfigurationError):
        places(brokers, assignment)


@pytest.mark.parametrize(
    ("text", "expected"), [("64m", 64 * 1024**2), ("10MB", 10_000_000), ("1GiB", 1024**3), ("512k", 512 * 1024)]
)
def test_a_throttle_is_a_size_a_second(text, expected):
    assert bytes_per_s(text) == expected


@pytest.mark.parametrize("text", ["", "fast", "0m", "-1m", "64mm", "10/s"])
def test_a_throttle_that_is_no_size_is_refused(text):
    with pytest.raises(ConfigurationError):
        bytes_per_s(text)


def test_an_interrupted_command_says_what_goes_on_where_it_ended():
    with pytest.raises(InterruptedCommandError) as raised, interruption("the same command goes on."):
        raise KeyboardInterrupt

    assert (raised.value.exit_code, raised.value.code) == (130, "interrupted")
    assert raised.value.hint == "The same command goes on."


def test_an_interrupted_upgrade_names_the_command_that_finishes_it(tmp_path):
    cluster = FakeCluster(tmp_path)
    cluster.plan.layout.state_dir.mkdir(parents=True)
    write_journal(cluster.plan.layout, Journal("upgrade --to 3.9.2", Process(7, 70.0, 0.0), 1.0, {}))

    with pytest.raises(InterruptedCommandError) as raised, report_running_programs(Invocation(), cluster.plan.layout):
        raise KeyboardInterrupt

    assert "'kraftd upgrade --to 3.9.2' finishes it" in raised.value.hint
