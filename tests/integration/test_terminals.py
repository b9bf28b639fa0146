"""Commands with the standard streams that people and CI give them: none, full ones, narrow and dumb terminals."""

import fcntl
import json
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import termios
import time

import pytest

from tests.integration.formatted import format_cluster, write_logs
from tests.unit.hostile import CONTROL, TEXTS

pytestmark = pytest.mark.integration

_COLORS = re.compile(r"\x1b\[[\d;]*m")
VARIABLES = ({"FORCE_COLOR": "1"}, {"FORCE_COLOR": "0"}, {"TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1"})


@pytest.fixture
def plan(cluster):
    return format_cluster(cluster)


def in_shell(cluster, command, redirection):
    """Return the status and stderr of a command with redirections of the shell."""
    line = f"exec {shlex.join(cluster.arguments(*command))} {redirection}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("command", "status"), [(["status"], 3), (["--json", "status"], 3), (["version"], 0), (["status", "nobody"], 4)]
)
@pytest.mark.parametrize("redirection", [">&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_streams_change_nothing_but_the_output(cluster, plan, command, status, redirection):
    ended, complaint = in_shell(cluster, command, redirection)

    assert ended == status
    assert "Traceback" not in complaint


@pytest.mark.parametrize("command", [["status"], ["--json", "status"], ["--help"], ["--json", "status", "nobody"]])
def test_an_output_that_is_full_is_told_in_a_sentence(cluster, plan, command):
    status, complaint = in_shell(cluster, command, ">/dev/full")

    assert status == 1
    assert complaint.splitlines()[0] == "kraftd: cannot write the output: no space left on device"
    assert "Traceback" not in complaint


def test_progress_that_nobody_can_read_does_not_end_the_work(cluster, plan):
    for redirection in ("2>/dev/full", "2>&-"):
        assert in_shell(cluster, ["--verbose", "stop"], redirection) == (0, "")


@pytest.mark.parametrize("variables", VARIABLES)
def test_no_variable_makes_a_pipe_a_terminal(cluster, plan, variables):
    cluster.environ = {"COLUMNS": "20", **variables}

    status, top, config = cluster.run("status"), cluster.run("top", timeout_s=60), cluster.run("config")

    assert (status.status, top.status) == (3, 0)
    for text in (status.stdout, top.stdout, config.stdout):
        assert "\u2026" not in text
        assert "\x1b" not in _COLORS.sub("", text)
    assert "daemon.max_group_partitions" in config.stdout


@pytest.mark.parametrize("command", [["--help"], ["start", "--help"], ["explain", "lag", "--help"]], ids=" ".join)
def test_help_in_a_pipe_is_plain_text_whatever_the_variables(cluster, command):
    plain = cluster.run(*command).stdout
    cluster.environ = {"FORCE_COLOR": "1", "GITHUB_ACTIONS": "true", "COLUMNS": "20", "TERM": "dumb"}

    assert cluster.run(*command).stdout == plain
    assert plain.startswith("Usage: ")
    assert plain.isascii()


@pytest.fixture(autouse=True)
def signals():
    """Have programs get signals as they do from a terminal: what is ignored, as under nohup, is inherited."""
    before = [(number, signal.signal(number, signal.SIG_DFL)) for number in (signal.SIGHUP, signal.SIGTERM)]
    yield
    for number, handler in before:
        signal.signal(number, handler)


def on_terminal(cluster, *command, **how):
    """Return the status of a command of kraftd and what it writes to a terminal."""
    return run_on_terminal(cluster.arguments(*command), **how)


def run_on_terminal(arguments, *, columns=80, term="xterm", until=None, number=signal.SIGINT):
    """Return the status of a program and what it writes to a terminal; sent a signal, once it has written a text."""
    keyboard, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    with subprocess.Popen(
        arguments,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**environ, "TERM": term},
    ) as running:
        os.close(terminal)
        text = ""
        deadline_s = time.monotonic() + 60
        while time.monotonic() < deadline_s:
            if not select.select([keyboard], [], [], 1.0)[0]:
                continue
            try:
                text += os.read(keyboard, 65536).decode()
            except OSError:
                break
            if until is not None and re.search(until, text, re.DOTALL):
                running.send_signal(number)
                until = None
        else:
            running.kill()
        os.close(keyboard)
    return running.returncode, text.replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [80, 60, 40])
def test_every_line_of_a_status_fits_a_narrow_terminal(cluster, plan, columns):
    status, text = on_terminal(cluster, "status", columns=columns)

    table = [line for line in _COLORS.sub("", text).splitlines() if re.match(r"NAME|broker-1 ", line)]
    assert status == 3
    assert table[0].split()[-1] != "REASON"
    assert all(len(line) <= columns and "\u2026" not in line for line in table)


@pytest.mark.parametrize(
    ("command", "text"), [(["status", "--watch"], "Cluster local"), (["top"], "Cluster local"), (["top"], "PROGRAM")]
)
def test_a_terminal_without_cursor_movements_gets_one_view_after_the_other(cluster, plan, command, text):
    status, output = on_terminal(cluster, *command, term="dumb", until=rf"{text}.*{text}")

    assert status == 130
    assert "\x1b" not in output


def test_a_program_that_is_run_gets_streams_of_its_own_kind(cluster, plan):
    status, output = on_terminal(cluster, "exec", "--", "sh", "-c", "test -t 0 && test -t 1 && echo terminal")

    assert (status, output) == (0, "terminal\n")


def test_lines_of_logs_are_exact_in_a_pipe_and_act_on_no_terminal(cluster, plan):
    write_logs(plan)

    status, output = on_terminal(cluster, "logs", "broker-1", columns=200)
    piped = cluster.run("logs", "broker-1", check=True).stdout

    assert (status, CONTROL.search(output)) == (0, None)
    assert output.count("\n") == piped.count("\n")
    assert TEXTS["C1 and bidirectional"] in piped


def test_a_document_is_exact_whatever_the_variables(cluster, plan):
    cluster.environ = {"FORCE_COLOR": "1", "TERM": "dumb"}

    done = cluster.run("--json", "config", check=True)

    assert json.loads(done.stdout)["ok"] is True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("command", [["top"], ["status", "--watch"]], ids=" ".join)
def test_a_view_that_a_signal_ends_gives_the_terminal_back(cluster, plan, command, number):
    status, output = on_terminal(cluster, *command, until="Cluster local", number=number)

    assert status == (130 if number == signal.SIGINT else -number)
    for taken, given_back in (("\x1b[?25l", "\x1b[?25h"), ("\x1b[?1049h", "\x1b[?1049l")):
        assert output.rfind(given_back) >= output.rfind(taken)
    assert "Traceback" not in output


SIGNALLED_WITHIN_A_PRINT = """
import os
from kraftd.cli.live import watch
from kraftd.cli.options import Invocation

class Signalling:
    def __rich_console__(self, console, options):
        yield "drawn"
        os.kill(os.getpid(), 15)

watch(Invocation().console(), Signalling, print, every_s=0.1, screen=True)
"""


def test_a_view_that_a_signal_ends_while_it_is_drawn_gives_the_terminal_back(cluster):
    status, output = run_on_terminal([cluster.python, "-c", SIGNALLED_WITHIN_A_PRINT])

    assert status == -signal.SIGTERM
    assert output.endswith("\x1b[?25h\x1b[?1049l")


def test_progress_that_a_signal_ends_gives_the_cursor_back(cluster, plan):
    marked = [cluster.python, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"]
    with subprocess.Popen([*marked, *plan.marker("producer").arguments]) as producer:
        status, output = on_terminal(cluster, "stop", until="stopping", number=signal.SIGTERM)
        producer.kill()

    assert status == -signal.SIGTERM
    assert output.count("\x1b[?25l") == output.count("\x1b[?25h") == 1
