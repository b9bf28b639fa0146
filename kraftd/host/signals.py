"""The signals that ask a command which stays to stop."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

_ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StopSignals:
    """TERM, INT and HUP, received instead of obeyed; those that the caller had this process ignore stay ignored.

    Attributes:
        received: What arrived, in order.
    """

    def __init__(self) -> None:
        self.received: list[signal.Signals] = []
        self._interrupts = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignals":
        """Receive them from now on; PID 1 has no default action, and would miss what comes before."""
        for number in _ASKING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        """Obey them again."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """Let a signal that arrives in the block end it.

        Raises:
            KeyboardInterrupt: One arrived.
        """
        self._interrupts = True
        try:
            yield
        finally:
            self._interrupts = False

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self.received.append(signal.Signals(number))
        if self._interrupts:
            raise KeyboardInterrupt
