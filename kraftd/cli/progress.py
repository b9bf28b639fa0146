"""Progress on stderr as appended lines: where lines cannot change in place (``live``), and with --verbose."""

import logging
import time
from collections.abc import Callable

from kraftd.units import duration, human_size

_DOWNLOAD_LINE_EVERY_S = 5.0
FINAL = ("ready", "stopped", "failed")


class PlainLines:
    """One appended line for each step and each final state of a program."""

    def __init__(self, say: Callable[[str], None], monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._monotonic_s = monotonic_s
        self._total_bytes = 0
        self._done_bytes = 0
        self._transfer_began_s = 0.0
        self._said_s = 0.0
        self._rungs: dict[str, str] = {}

    def step(self, text: str) -> None:
        """Print a line."""
        self._say(text)

    def rung(self, name: str, rung: str, progress: str) -> None:
        """Print a line for a new rung; progress within it is no line of its own."""
        if self._rungs.get(name) != rung:
            self._rungs[name] = rung
            self.step(f"{name:<16} {'starting':<9} {on_rung(rung, progress)}")

    def program(self, name: str, state: str, detail: str = "") -> None:
        """Print a line for a final state only."""
        if state in FINAL:
            self._say(f"{name:<16} {state:<9} {detail}".rstrip())

    def download_begins(self, what: str, total_bytes: int) -> None:
        """Print the name and size of the download."""
        self.transfer_begins(f"Downloading {what}", total_bytes)

    def transfer_begins(self, what: str, total_bytes: int) -> None:
        """Print what is transferred, and its size."""
        self._total_bytes, self._done_bytes = total_bytes, 0
        self._transfer_began_s = self._said_s = self._monotonic_s()
        self._say(f"{what}: {human_size(total_bytes)}")

    def advance(self, count_bytes: int) -> None:
        """Print a line now and then: a log of CI keeps them all."""
        self._done_bytes += count_bytes
        now_s = self._monotonic_s()
        if now_s - self._said_s >= _DOWNLOAD_LINE_EVERY_S and self._done_bytes < self._total_bytes:
            self._said_s = now_s
            left_s = (
                (now_s - self._transfer_began_s) * (self._total_bytes - self._done_bytes) / max(1, self._done_bytes)
            )
            self._print_share(f", {duration(left_s)} left")

    def download_ends(self) -> None:
        """Print how much has arrived."""
        self._print_share()

    def moved(self, text: str, done_bytes: int, total_bytes: int) -> None:
        """Print a line."""
        self.step(text)

    def _print_share(self, more: str = "") -> None:
        share = self._done_bytes * 100 // self._total_bytes if self._total_bytes else 100
        self._say(f"  {share:3d}% of {human_size(self._total_bytes)}{more}")


class TimedLines(PlainLines):
    """One appended line for each step and each state of a program, with the seconds since the command began."""

    def __init__(self, say: Callable[[str], None], monotonic_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__(say, monotonic_s)
        self._begun_s = monotonic_s()

    def step(self, text: str) -> None:
        """Print a line."""
        super().step(f"{self._monotonic_s() - self._begun_s:8.3f} s  {text}")

    def program(self, name: str, state: str, detail: str = "") -> None:
        """Print a line, also for a state that is not final."""
        self.step(f"{name:<16} {state:<9} {detail}".rstrip())


def on_rung(rung: str, progress: str) -> str:
    """Return a rung, and how far it is to the next one where that is known."""
    return f"{rung}, {progress}" if progress else rung


def verbose_lines(say: Callable[[str], None]) -> TimedLines:
    """Return lines that include kraftd's debug log."""
    lines = TimedLines(say)

    class ToLines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.step(record.getMessage())

    logger = logging.getLogger("kraftd")
    logger.addHandler(ToLines())
    logger.setLevel(logging.DEBUG)
    return lines
