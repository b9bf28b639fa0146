"""The signals that ask a command which stays to stop."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

INTERRUPTED = 130
"""The exit status after SIGINT: 128 and its number, as shells report it."""

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


def end_on_interrupt() -> None:
    """Let INT end this process at once, with status 130 and no traceback; where INT is ignored, it stays so.

    For while a command is loaded, and while the interpreter ends: there is nothing to clean up.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end_interrupted)


def _end_interrupted(_number: int, _frame: FrameType | None) -> None:
    # No exception: in an import, or a callback of the interpreter's end, it would be printed.
    os._exit(INTERRUPTED)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let INT raise KeyboardInterrupt in the block where it otherwise ends this process at once.

    Raises:
        KeyboardInterrupt: INT arrived.
    """
    if signal.getsignal(signal.SIGINT) is not _end_interrupted:
        yield
        return
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
    finally:
        signal.signal(signal.SIGINT, _end_interrupted)


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
