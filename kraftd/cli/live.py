"""What changes in place on a terminal: the progress of programs and transfers, and a view that is refreshed."""

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

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

from kraftd.cli.progress import FINAL, on_rung
from kraftd.cli.streams import LEAVE_SCREEN, SHOW_CURSOR, restore_on_signals
from kraftd.cli.terminal import Console, Table, Text
from kraftd.clock import SystemClock

_QUIT = frozenset("qQ")
_MOST_KEYS_BYTES = 1024
_STYLES: Mapping[str, str] = {"ready": "green", "stopped": "dim", "failed": "bold red", "starting": "yellow"}


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
        if all(state in FINAL for state, _ in self._lines.values()) or state == "failed":
            self.close()

    def rung(self, name: str, rung: str, progress: str) -> None:
        """Show the rung in the program's line."""
        self.program(name, "starting", on_rung(rung, progress))

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
            waited = "" if state in FINAL else f"{self._monotonic_s() - self._begun_s[name]:.0f} s  "
            shown = f"{waited}{detail}".rstrip()
            table.add_row(Text(name), Text(state, style=_STYLES.get(state, "")), Text(shown, style="dim"))
        return table


def watch(
    console: Console,
    rendered: Callable[[], RenderableType],
    print_once: Callable[[], None],
    *,
    every_s: float,
    as_json: bool = False,
    screen: bool = False,
) -> None:
    """Show a view until q is pressed or the command is interrupted.

    Args:
        console: Where to.
        rendered: Returns the view for a terminal.
        print_once: Prints it without a terminal, on one without cursor movements, or as JSON.
        every_s: How often.
        as_json: Whether it is for a program.
        screen: Whether to take the whole screen, and give it back afterwards.
    """
    if as_json or not console.is_interactive:
        clock = SystemClock()
        while True:
            print_once()
            sys.stdout.flush()
            clock.sleep(every_s)
    # What does not fit is cut: wrapped lines would push the rest off the screen.
    console.soft_wrap = not screen
    with ExitStack() as keys:

        def restore() -> str:
            keys.close()
            return SHOW_CURSOR + (LEAVE_SCREEN if screen else "\n")

        restore_on_signals(console.file.fileno(), restore)
        keys.enter_context(single_keys())
        with Live(console=console, screen=screen, auto_refresh=False) as live:
            while True:
                live.update(rendered(), refresh=True)
                if _QUIT & set(pressed(every_s)):
                    return


@contextmanager
def single_keys() -> Iterator[None]:
    """Read keys as they are pressed, without echo; restore the terminal afterwards."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def pressed(within_s: float) -> str:
    """Return what is typed within a time; empty where nothing is, or nobody can type.

    An arrow key or the wheel is several characters.
    """
    if not sys.stdin.isatty():
        SystemClock().sleep(within_s)
        return ""
    ready, _, _ = select.select([sys.stdin], [], [], within_s)
    # Not sys.stdin.read: what it keeps in its buffer, select does not see.
    return os.read(sys.stdin.fileno(), _MOST_KEYS_BYTES).decode(errors="replace") if ready else ""
