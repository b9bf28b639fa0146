"""A view that is refreshed: in place on a terminal that can, one after the other elsewhere."""

import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from rich.console import RenderableType
from rich.live import Live

from kraftd.cli.options import Invocation
from kraftd.cli.streams import LEAVE_SCREEN, SHOW_CURSOR, restore_on_signals
from kraftd.clock import SystemClock

_QUIT = ("q", "Q")


def watch(
    invocation: Invocation,
    rendered: Callable[[], RenderableType],
    print_once: Callable[[], None],
    *,
    every_s: float,
    screen: bool = False,
) -> None:
    """Show a view until q is pressed or the command is interrupted.

    Args:
        invocation: Where to, and whether as JSON.
        rendered: Returns the view for a terminal.
        print_once: Prints it without a terminal, on one without cursor movements, or as JSON.
        every_s: How often.
        screen: Whether to take the whole screen, and give it back afterwards.
    """
    console = invocation.console()
    if invocation.json or not console.is_interactive:
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
                if pressed(every_s) in _QUIT:
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
    """Return the key that is pressed within a time; empty where none is, or nobody can press one."""
    if not sys.stdin.isatty():
        SystemClock().sleep(within_s)
        return ""
    ready, _, _ = select.select([sys.stdin], [], [], within_s)
    return sys.stdin.read(1) if ready else ""
