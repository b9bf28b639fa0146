"""The daemon's heartbeat, as supervisord sees it: a file that the daemon touches after each look at the cluster.

A process that hangs cannot notice that itself, and another one that does would cost CPU: supervisord wakes every second
anyway, and looks at the file three times within the limit that the daemon wrote into it.
"""

import contextlib
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path

HEARTBEAT = Path("run", "heartbeat")
"""Below the directory of supervisord.conf; without the file nothing is watched."""

HUNG = "hung"
"""What the file says after its limit, where the daemon was ended because of it."""

_LOOKS = 3
_LOOK_AGAIN_S = 10.0


class Alarm(Enum):
    """What the daemon needs."""

    WAKE = "wake"
    KILL = "kill"


class HeartbeatWatch:
    """Notes how often the heartbeat has not changed between two looks of its own.

    Looks are counted, not the age of the file: after a suspension of the machine, or of supervisord, the age is long
    although the daemon is well.
    """

    def __init__(self, path: Path, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic_s = monotonic_s
        self._due_s = 0.0
        self._seen: tuple[int, int] | None = None
        self._unchanged = 0

    def look(self, pid: int) -> Alarm | None:
        """Return what the daemon with a pid needs now; None where it needs nothing, or no look is due."""
        now_s = self._monotonic_s()
        if now_s < self._due_s:
            return None
        limit_s, changed_ns = self._read()
        if limit_s is None:
            self._due_s, self._seen = now_s + _LOOK_AGAIN_S, None
            return None
        self._due_s = now_s + limit_s / _LOOKS
        seen = pid, changed_ns
        self._unchanged = self._unchanged + 1 if seen == self._seen else 0
        self._seen = seen
        if self._unchanged < _LOOKS:
            return None
        return Alarm.WAKE if self._unchanged == _LOOKS else self._killed(limit_s)

    def _killed(self, limit_s: float) -> Alarm:
        self._seen = None
        # Where that fails, only the event of the next daemon is missing.
        with contextlib.suppress(OSError):
            self._path.write_text(f"{limit_s} {HUNG}\n", encoding="utf-8")
        return Alarm.KILL

    def _read(self) -> tuple[float | None, int]:
        """Return the limit in seconds and the time of the last beat; no limit where nothing can be read."""
        try:
            changed_ns = self._path.stat().st_mtime_ns
            return max(0.1, float(self._path.read_text(encoding="utf-8").split()[0])), changed_ns
        except (OSError, ValueError, IndexError):
            return None, 0
