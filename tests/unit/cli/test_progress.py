import re
from io import StringIO

import pytest

from kraftd.cli.live import LiveLines
from kraftd.cli.options import Invocation
from kraftd.cli.progress import PlainLines, TimedLines
from kraftd.cli.terminal import Console
from kraftd.operate.context import NullReporter
from tests.clocks import ManualClock

HIDDEN_CURSOR, SHOWN_CURSOR = "\x1b[?25l", "\x1b[?25h"


@pytest.fixture
def console():
    return Console(file=StringIO(), width=200, highlight=False)


def lines(console):
    return console.file.getvalue().splitlines()


def test_only_what_a_program_came_to_is_worth_a_line(console):
    reporter = PlainLines(console.print)
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


def test_a_new_rung_is_worth_a_line_and_progress_within_it_is_not(console):
    reporter = PlainLines(console.print)
    for progress in ("", "logs recovered 1 of 2", "logs recovered 2 of 2"):
        reporter.rung("broker-1", "listening", progress)
    reporter.rung("broker-2", "listening", "logs recovered 1 of 9")
    reporter.rung("broker-1", "recovered", "")

    assert lines(console) == [
        "broker-1         starting  listening",
        "broker-2         starting  listening, logs recovered 1 of 9",
        "broker-1         starting  recovered",
    ]


def test_a_line_is_no_markup_and_holds_no_control_sequence(console):
    reporter = PlainLines(console.print)
    reporter.step("[red]not red[/red] [/")

    assert console.file.getvalue() == "[red]not red[/red] [/\n"


def told_of(console, *, seconds_per_mib):
    """Return the lines of a download of 100 MiB that takes so long."""
    clock = ManualClock()
    reporter = PlainLines(console.print, clock.monotonic_s)
    reporter.download_begins("Kafka [3.9.2]", 100 * 1024**2)
    for _ in range(100):
        clock.sleep(seconds_per_mib)
        reporter.advance(1024**2)
    reporter.download_ends()
    return lines(console)


def test_a_short_download_is_two_lines(console):
    assert told_of(console, seconds_per_mib=0.02) == ["Downloading Kafka [3.9.2]: 100.0 MiB", "  100% of 100.0 MiB"]


def test_a_long_download_is_told_every_five_seconds(console):
    told = told_of(console, seconds_per_mib=0.25)

    assert [line.split(" of ")[0].strip() for line in told[1:]] == ["20%", "40%", "60%", "80%", "100%"]


def test_a_download_that_fails_ends_with_what_has_arrived(console):
    reporter = PlainLines(console.print, ManualClock().monotonic_s)
    reporter.download_begins("Kafka", 3)
    reporter.advance(1)
    reporter.download_ends()

    assert lines(console)[-1] == "   33% of 0.0 KiB"


def test_an_empty_download_divides_by_nothing(console):
    reporter = PlainLines(console.print)
    reporter.download_begins("nothing", 0)
    reporter.advance(0)
    reporter.download_ends()

    assert lines(console)[-1] == "  100% of 0.0 KiB"


@pytest.fixture
def terminal():
    return Console(file=StringIO(), width=100, force_terminal=True, no_color=True)


def test_live_lines_leave_the_last_states_and_the_terminal_as_it_was(terminal):
    reporter = LiveLines(terminal)
    for name in ("broker-1", "broker-2"):
        reporter.program(name, "starting")
    reporter.program("broker-1", "ready", "2.4 s")
    reporter.program("broker-2", "ready", "2.5 s")

    text = terminal.file.getvalue()
    assert text.count(HIDDEN_CURSOR) == text.count(SHOWN_CURSOR) == 1
    assert re.sub(r"\x1b\[[0-9;?]*\w", "", text).splitlines()[-1] == "broker-2  ready  2.5 s"


def test_a_program_that_is_stopped_later_has_waited_since_then(terminal):
    clock = ManualClock()
    reporter = LiveLines(terminal, clock.monotonic_s)
    reporter.program("broker-1", "starting")
    reporter.program("broker-1", "ready", "2.4 s")
    clock.advance(3600.0)

    reporter.program("broker-1", "stopping")
    clock.advance(7.0)
    reporter.program("broker-1", "stopping")
    reporter.close()

    assert re.sub(r"\x1b\[[0-9;?]*\w", "", terminal.file.getvalue()).splitlines()[-1] == "broker-1  stopping  7 s"


def test_what_ends_early_gives_the_terminal_back(terminal):
    reporter = LiveLines(terminal)
    reporter.program("broker-1", "starting")
    reporter.download_begins("Kafka", 10)

    reporter.close()
    reporter.close()

    text = terminal.file.getvalue()
    assert text.rindex(SHOWN_CURSOR) > text.rindex(HIDDEN_CURSOR)


def test_quiet_is_silent_and_json_is_plain():
    assert isinstance(Invocation(quiet=True).reporter(), NullReporter)
    assert isinstance(Invocation(json=True).reporter(), PlainLines)


def test_with_verbose_every_step_and_state_has_its_time(console):
    times_s = iter([100.0, 100.25, 112.5])
    reporter = TimedLines(console.print, lambda: next(times_s))

    reporter.program("broker-1", "starting")
    reporter.step("Created the topic [t]")

    assert lines(console) == ["   0.250 s  broker-1         starting", "  12.500 s  Created the topic [t]"]
