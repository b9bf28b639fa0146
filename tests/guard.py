"""What tests started ends with them, however they end: a process of its own waits for that.

A run that is interrupted or killed has no time to stop its clusters. Every process that descends from it carries a
variable in its environment, by which the guard finds them.
"""

import contextlib
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil

MARK = "SSL_CERT_KRAFTD_TESTS"
"""Of all names that a test may invent, kraftd hands on to its programs only those that begin with SSL_CERT_."""

_PATIENCE_S = 60.0
"""Enough for a process in uninterruptible sleep."""


class Guard:
    """The guard of this process: marks what it starts from now on, and ends that when this process ends."""

    def __init__(self) -> None:
        mark = uuid.uuid4().hex
        # Not marked itself, and in a session of its own: Ctrl-C is meant for the tests.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.guard", mark],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.environ[MARK] = mark

    def close(self) -> None:
        """End what is left now."""
        self._process.communicate()


def marked(mark: str) -> list[psutil.Process]:
    """Return the live processes that carry a mark."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark:
                found.append(process)
    return found


def end_all(mark: str) -> None:
    """Kill what carries a mark until nothing is left: a killed parent may have started one more child."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while (left := marked(mark)) and time.monotonic() < deadline_s:
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=1)


if __name__ == "__main__":
    sys.stdin.buffer.read()
    end_all(sys.argv[1])
