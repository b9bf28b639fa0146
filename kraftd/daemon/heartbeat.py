"""The daemon's heartbeat: a file that it touches after each look, by which supervisord knows that it does not hang.

A daemon that looks and no longer serves HTTP hangs as well, so that it beats only while both go on.
"""

import contextlib
import os
from pathlib import Path

from kraftd.errors import FileAccessError
from kraftd.host.files import read_text, write_atomically
from kraftd.plan.kinds import Daemon
from kraftd.supervisord.heartbeat import HUNG

_LEAST_TICKS = 3


class Heartbeat:
    """The heartbeat of one run of the daemon."""

    def __init__(self, path: Path, daemon: Daemon) -> None:
        self._path = path
        self._limit_s = max(daemon.watchdog.daemon_silent_s, _LEAST_TICKS * daemon.interval_s)
        self._is_enabled = daemon.watchdog.enabled
        self._does_http_go_on = False

    def begin(self) -> bool:
        """Have supervisord watch this run, where that is enabled; return whether it ended the run before.

        Raises:
            FileAccessError: The file cannot be read.
        """
        was_hung = HUNG in (read_text(self._path) or "")
        if self._is_enabled:
            # A full disk leaves the daemon unwatched, which must not end it.
            with contextlib.suppress(FileAccessError):
                write_atomically(self._path, f"{self._limit_s}\n")
        else:
            self.end()
        return was_hung

    def note_http(self) -> None:
        """Note that the HTTP side goes on; a beat without that since the one before is left out."""
        self._does_http_go_on = True

    def beat(self) -> None:
        """Tell that the daemon looked at the cluster, where its HTTP side goes on too."""
        if not self._does_http_go_on:
            return
        self._does_http_go_on = False
        # Where the state directory was removed, nobody looks at the file either.
        with contextlib.suppress(OSError):
            os.utime(self._path)

    def end(self) -> None:
        """Have supervisord watch no more."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
