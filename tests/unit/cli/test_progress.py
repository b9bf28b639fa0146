from io import StringIO

import pytest
from rich.console import Console

from kraftd.cli.invocation import Invocation
from kraftd.cli.progress import PlainLines, reporter_for
from kraftd.operate.reporting import Silent


@pytest.fixture
def console():
    return Console(file=StringIO(), width=200, highlight=False)


def lines(console):
    return console.file.getvalue().splitlines()


def test_only_what_a_program_came_to_is_worth_a_line(console):
    reporter = PlainLines(console)
    for state in ("waiting", "starting", "stopping"):
        reporter.program("broker-1", state)
    reporter.program("broker-1", "ready", "2.1 s")
    reporter.program("producer", "stopped")
    reporter.program("consumer", "failed", "exit status 1: [Errno 98]")

    assert lines(console) == [
        "broker-1         ready     2.1 s",
        "producer         stopped",
        "consumer         failed    exit status 1: [Errno 98]",
    ]


def test_a_download_is_told_at_each_tenth(console):
    reporter = PlainLines(console)
    reporter.download_begins("Kafka [3.9.2]", 100 * 1024**2)
    for _ in range(1000):
        reporter.advance(1024**2 // 10)
    reporter.download_ends()

    told = lines(console)
    assert told[0] == "Downloading Kafka [3.9.2]: 100.0 MiB"
    assert told[1] == "   10% of 100.0 MiB"
    assert 9 <= len(told[1:]) <= 10


def test_an_empty_download_divides_by_nothing(console):
    reporter = PlainLines(console)
    reporter.download_begins("nothing", 0)
    reporter.advance(0)

    assert lines(console)[-1] == "  100% of 0.0 KiB"


def test_quiet_is_silent_and_json_is_plain():
    assert isinstance(reporter_for(Invocation(quiet=True)), Silent)
    assert isinstance(reporter_for(Invocation(json=True)), PlainLines)
