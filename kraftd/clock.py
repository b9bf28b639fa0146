"""The only reader of time and the only waiter."""

import time
from typing import Protocol


class Clock(Protocol):
    """What code that waits or stamps is given."""

    def now_s(self) -> float:
        """Return the wall clock, in seconds since the Unix epoch; for stamps, never for durations."""

    def monotonic_s(self) -> float:
        """Return a clock that never steps, in seconds; for durations and deadlines."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """This machine's clock."""

    def now_s(self) -> float:
        """Return the wall clock, in seconds since the Unix epoch."""
        return time.time()

    def monotonic_s(self) -> float:
        """Return a clock that never steps, in seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, not at all for a negative time."""
        time.sleep(max(0.0, seconds))
