import io
import re

import pytest
from rich.console import Console

from kraftd.cli.invocation import Invocation
from kraftd.cli.progress import LiveLines, PlainLines, reporter_for
from kraftd.operate.reporting import Silent


@pytest.fixture
def output():
    return io.StringIO()


@pytest.fixture
def plain(output):
    return PlainLines(Console(file=output, width=120))


def live_lines(output):
    return LiveLines(Console(file=output, width=120, force_terminal=True, no_color=True))


def test_a_plain_line_is_printed_for_each_step_and_each_final_state(plain, output):
    plain.step("Created the topic test-topic")
    for state, detail in (("waiting", ""), ("starting", ""), ("ready", "2.4 s"), ("stopping", ""), ("stopped", "")):
        plain.program("broker-1", state, detail)
    plain.program("producer", "failed", "exit status 1: no such topic")

    assert output.getvalue().splitlines() == [
        "Created the topic test-topic",
        "broker-1         ready     2.4 s",
        "broker-1         stopped",
        "producer         failed    exit status 1: no such topic",
    ]


def test_plain_lines_are_no_markup_and_hold_no_control_sequences(plain, output):
    plain.step("[red]not red[/red] [/")
    plain.program("broker-1", "failed", "[ERROR] it said so")

    assert output.getvalue() == "[red]not red[/red] [/\nbroker-1         failed    [ERROR] it said so\n"


def test_a_download_is_told_in_tenths(plain, output):
    plain.download_begins("Kafka 3.9.2", 1000)
    for _ in range(100):
        plain.advance(10)
    plain.download_ends()

    lines = output.getvalue().splitlines()
    assert lines[0].startswith("Downloading Kafka 3.9.2: ")
    assert [line.split()[0] for line in lines[1:]] == [f"{share}%" for share in range(10, 101, 10)]


def test_a_download_of_nothing_divides_by_nothing(plain, output):
    plain.download_begins("Kafka 3.9.2", 0)
    plain.advance(0)

    assert "100%" in output.getvalue()


def test_live_lines_leave_the_last_state_of_each_program_and_the_terminal_as_it_was(output):
    lines = live_lines(output)
    lines.program("broker-1", "starting")
    lines.program("broker-2", "starting")
    lines.program("broker-1", "ready", "2.4 s")
    lines.program("broker-2", "ready", "2.5 s")

    text = output.getvalue()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    assert re.sub(r"\x1b\[[0-9;?]*\w", "", text).splitlines()[-1] == "broker-2  ready  2.5 s"


def test_what_ends_early_gives_the_terminal_back_once(output):
    lines = live_lines(output)
    lines.program("broker-1", "starting")
    lines.download_begins("Kafka 3.9.2", 10)

    lines.close()
    lines.close()

    assert output.getvalue().rindex("\x1b[?25h") > output.getvalue().rindex("\x1b[?25l")


def test_quiet_shows_nothing_and_no_terminal_gets_plain_lines():
    assert isinstance(reporter_for(Invocation(quiet=True)), Silent)
    assert isinstance(reporter_for(Invocation(json=True)), PlainLines)
