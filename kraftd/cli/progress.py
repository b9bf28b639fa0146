"""Progress on stderr: lines that change in place on a terminal, appended lines elsewhere."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from kraftd.cli.streams import SHOW_CURSOR, restore_on_signals
from kraftd.cli.terminal import Console, Table, Text
from kraftd.operate.context import NullReporter, Reporter
from kraftd.units import duration, human_size

if TYPE_CHECKING:
    from kraftd.cli.options import Invocation

_STYLES: Mapping[str, str] = {"ready": "green", "stopped": "dim", "failed": "bold red", "starting": "yellow"}
_DOWNLOAD_LINE_EVERY_S = 5.0
_FINAL = ("ready", "stopped", "failed")


def reporter_for(invocation: "Invocation") -> Reporter:
    """Return the reporter that fits the options and the terminal.

    With --quiet it shows nothing, with --verbose every step and its time; plain lines with --json, and where
    stderr is no terminal, or one without cursor movements.
    """
    if invocation.quiet:
        return NullReporter()
    console = invocation.console(stderr=True)
    if invocation.verbose:
        return _verbose_lines(console)
    if invocation.json or not console.is_interactive:
        return PlainLines(console)
    lines = LiveLines(console)
    restore_on_signals(console.file.fileno(), lines.restoring)
    if invocation.at_end is not None:
        # An error is printed below the last lines, not among lines that still change.
        invocation.at_end(lines.close)
    return lines


class PlainLines:
    """One appended line for each step and each final state of a program."""

    def __init__(self, console: Console, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._monotonic_s = monotonic_s
        self._total_bytes = 0
        self._done_bytes = 0
        self._transfer_began_s = 0.0
        self._said_s = 0.0
        self._rungs: dict[str, str] = {}

    def step(self, text: str) -> None:
        """Print a line."""
        self._console.print(text)

    def rung(self, name: str, rung: str, progress: str) -> None:
        """Print a line for a new rung; progress within it is no line of its own."""
        if self._rungs.get(name) != rung:
            self._rungs[name] = rung
            self.step(f"{name:<16} {'starting':<9} {_on_rung(rung, progress)}")

    def program(self, name: str, state: str, detail: str = "") -> None:
        """Print a line for a final state only."""
        if state in _FINAL:
            self._console.print(f"{name:<16} {state:<9} {detail}".rstrip())

    def download_begins(self, what: str, total_bytes: int) -> None:
        """Print the name and size of the download."""
        self.transfer_begins(f"Downloading {what}", total_bytes)

    def transfer_begins(self, what: str, total_bytes: int) -> None:
        """Print what is transferred, and its size."""
        self._total_bytes, self._done_bytes = total_bytes, 0
        self._transfer_began_s = self._said_s = self._monotonic_s()
        self._console.print(f"{what}: {human_size(total_bytes)}")

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
        self._console.print(f"  {share:3d}% of {human_size(self._total_bytes)}{more}")


class TimedLines(PlainLines):
    """One appended line for each step and each state of a program, with the seconds since the command began."""

    def __init__(self, console: Console, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console, monotonic_s)
        self._begun_s = monotonic_s()

    def step(self, text: str) -> None:
        """Print a line."""
        super().step(f"{self._monotonic_s() - self._begun_s:8.3f} s  {text}")

    def program(self, name: str, state: str, detail: str = "") -> None:
        """Print a line, also for a state that is not final."""
        self.step(f"{name:<16} {state:<9} {detail}".rstrip())


def _on_rung(rung: str, progress: str) -> str:
    return f"{rung}, {progress}" if progress else rung


def _verbose_lines(console: Console) -> TimedLines:
    """Return lines that include kraftd's debug log."""
    lines = TimedLines(console)

    class ToLines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.step(record.getMessage())

    logger = logging.getLogger("kraftd")
    logger.addHandler(ToLines())
    logger.setLevel(logging.DEBUG)
    return lines


class LiveLines:
    """A line for each program, changing in place; steps stay above it."""

    def __init__(self, console: Console, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._monotonic_s = monotonic_s
        self._lines: dict[str, tuple[str, str]] = {}
        self._begun_s: dict[str, float] = {}
        self._live: Live | None = None
        self._download: Progress | None = None
        self._task: TaskID | None = None

    def step(self, text: str) -> None:
        """Print a line above the programs."""
        self._console.print(text)

    def program(self, name: str, state: str, detail: str = "") -> None:
        """Change a program's line; the display ends when every program is in a final state."""
        self._lines[name] = (state, detail)
        self._begun_s.setdefault(name, self._monotonic_s())
        if self._live is None:
            self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=8, transient=False)
            self._live.start()
        self._live.refresh()
        if all(state in _FINAL for state, _ in self._lines.values()) or state == "failed":
            self.close()

    def rung(self, name: str, rung: str, progress: str) -> None:
        """Show the rung in the program's line."""
        self.program(name, "starting", _on_rung(rung, progress))

    def download_begins(self, what: str, total_bytes: int) -> None:
        """Show the name and size of the download."""
        self.transfer_begins(what, total_bytes)

    def transfer_begins(self, what: str, total_bytes: int) -> None:
        """Show a bar with the bytes, their rate and the time left."""
        text, left = TextColumn("{task.description}"), TimeRemainingColumn()
        self._download = Progress(
            text, BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(), left, console=self._console
        )
        self._task = self._download.add_task(what, total=total_bytes)
        self._download.start()

    def advance(self, count_bytes: int) -> None:
        """Move the bar."""
        if self._download is not None and self._task is not None:
            self._download.advance(self._task, count_bytes)

    def download_ends(self) -> None:
        """Leave the full bar."""
        if self._download is not None:
            self._download.stop()
            self._download = None

    def moved(self, text: str, done_bytes: int, total_bytes: int) -> None:
        """Print a line above the programs."""
        self.step(text)

    def close(self) -> None:
        """Leave the last lines on the screen, and restore the terminal."""
        self.download_ends()
        if self._live is not None:
            self._live.stop()
            self._live = None
            self._lines.clear()
            # A command that starts and then stops the same programs waits twice.
            self._begun_s.clear()

    def restoring(self) -> str:
        """Return what restores the terminal where this process has no time to close the display."""
        return f"\n{SHOW_CURSOR}" if self._live is not None or self._download is not None else ""

    def _table(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for name, (state, detail) in self._lines.items():
            waited = "" if state in _FINAL else f"{self._monotonic_s() - self._begun_s[name]:.0f} s  "
            shown = f"{waited}{detail}".rstrip()
            table.add_row(Text(name), Text(state, style=_STYLES.get(state, "")), Text(shown, style="dim"))
        return table
