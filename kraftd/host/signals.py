"""The signals that ask a command which stays to stop."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

_ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def end_process_1_on_signals() -> None:
    """Let TERM and HUP end this process where it is process 1, as they end any other without a handler.

    The kernel drops a signal that process 1 has no handler for. INT has Python's.
    """
    if os.getpid() == 1:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


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
