"""The entry of the command line, interrupted."""

import subprocess
import sys

import pytest

INTERRUPTED = """
import atexit, runpy, signal, sys

def interrupt(frame, event, _argument):
    if event == "call" and frame.f_code.co_name == moment and "kraftd/cli" in frame.f_code.co_filename:
        sys.setprofile(None)
        signal.raise_signal(signal.SIGINT)

moment = sys.argv.pop(1)
if moment == "end":
    atexit.register(signal.raise_signal, signal.SIGINT)
else:
    sys.setprofile(interrupt)
runpy.run_module("kraftd", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("moment", ["<module>", "open_streams", "_all_commands", "print_lines", "end"])
def test_an_interrupt_at_any_moment_ends_a_command_without_a_traceback(moment):
    argv = [sys.executable, "-c", INTERRUPTED, moment, "--version"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (130, "")


def test_an_ignored_interrupt_stays_ignored():
    code = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{INTERRUPTED}"
    argv = [sys.executable, "-c", code, "<module>", "--version"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout[:7]) == (0, "kraftd ")
