"""How many records a second are taken."""

import time
from collections.abc import Callable


class RateLimit:
    """A token bucket that holds one second's worth.

    A batch is taken as a whole while anything is left, and what it takes too much is waited for afterwards: else one
    larger than the bucket would never be taken.

    Args:
        per_second: Records; 0 for any number.
        clock: Seconds.
    """

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self._clock = clock
        self._left = float(per_second)
        self._since_s = clock()

    def take(self, records: int) -> bool:
        """Take room for so many records, if there is any."""
        if not self.per_second:
            return True
        now_s = self._clock()
        self._left = min(self.per_second, self._left + (now_s - self._since_s) * self.per_second)
        self._since_s = now_s
        if self._left < 1:
            return False
        self._left -= records
        return True
