"""The standard streams: usable whatever the caller left of them, and what a terminal may be sent."""

import contextlib
import io
import os
import select
import signal
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, TextIO

from kraftd.errors import KraftdError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from kraftd.cli.terminal import Console

_STDOUT, _STDERR = 1, 2
_WIDTH_OF_NO_TERMINAL = 400
_DUMB = ("dumb", "unknown")
SHOW_CURSOR, LEAVE_SCREEN = "\x1b[?25h", "\x1b[?1049l"
"""The sequences with which xterm, and all that follow it, undo what a live display did."""

_OFF = ("", "0", "false")


class UnwritableOutputError(KraftdError):
    """The operating system takes no more of the output, as on a full disk."""

    code = "unwritable_output"


class _Waiting(io.FileIO):
    """A stream that waits for its reader also where another process, such as node, made the pipe not block."""

    def write(self, data: "ReadableBuffer", /) -> int:
        while (written := super().write(data)) is None:
            select.select([], [self], [])
        return written


class _Output(_Waiting):
    """stdout, whose failures cannot be taken for those of a file that the command works on."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise UnwritableOutputError(
                f"cannot write the output: {(error.strerror or str(error)).lower()}",
                hint="Free space where the output goes, or send it elsewhere.",
            ) from error


class _Diagnostics(_Waiting):
    """stderr: the loss of progress output does not end a command that works, and nobody is left to report it to."""

    def write(self, data: "ReadableBuffer", /) -> int:
        with contextlib.suppress(OSError):
            return super().write(data)
        return memoryview(data).nbytes


def open_streams() -> None:
    """Let every standard stream be written or read, also those that the caller has closed.

    A closed descriptor would be taken by the next file that is opened, and then get the output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            _open_null(number)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 it is open to the end
    sys.stdout = _text(_Output(_STDOUT, "w", closefd=False), sys.stdout)
    sys.stderr = _text(_Diagnostics(_STDERR, "w", closefd=False), sys.stderr)


def discard_output() -> None:
    """Discard what stdout still holds, and all that comes."""
    _open_null(_STDOUT)


def restore_on_signals(terminal: int, restore: Callable[[], str]) -> None:
    """Have a terminal restored before SIGTERM or SIGHUP ends this process, as they do by default.

    Args:
        terminal: The descriptor of the terminal.
        restore: Returns what shows the cursor and the screen of before; replaces that of an earlier call. It must
            print nothing: the signal may have interrupted a print, which would hold the text back.
    """

    def end(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        try:
            os.write(terminal, restore().encode())
        finally:
            signal.raise_signal(number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)


def _open_null(number: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)
    else:
        os.set_inheritable(number, True)  # noqa: FBT003 its only form


def _text(raw: io.FileIO, before: TextIO | None) -> TextIO:
    # An unusual encoding of the terminal or the file system is no reason for a traceback.
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(before, "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=raw.isatty() or raw.fileno() == _STDERR,
    )


def has_color(environ: Mapping[str, str], *, no_color: bool, is_terminal: bool) -> bool:
    """Return whether output is coloured.

    The first of these decides: ``--no-color``, NO_COLOR, FORCE_COLOR or CLICOLOR_FORCE, the terminal.
    """
    if no_color or environ.get("NO_COLOR"):
        return False
    if any(environ.get(name, "").lower() not in _OFF for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return is_terminal and environ.get("CLICOLOR") != "0"


def is_interactive(environ: Mapping[str, str], *, stderr: bool) -> bool:
    """Return whether lines may change in place on a stream: it is a terminal that can move its cursor."""
    return (sys.stderr if stderr else sys.stdout).isatty() and environ.get("TERM", "").lower() not in _DUMB


def open_console(
    environ: Mapping[str, str], *, stderr: bool, no_color: bool, called: Callable[[str], str] = str
) -> "Console":
    """Return the console of a stream: its width and what may move on it follow from the stream alone.

    rich would take FORCE_COLOR, which CI sets, for a terminal of 80 columns.

    Args:
        environ: The environment variables.
        stderr: Whether it is that of stderr.
        no_color: Whether colours are unwanted.
        called: Completes the commands that a note names, as ``Invocation.called``.
    """
    from kraftd.cli.terminal import Console

    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    colored = has_color(environ, no_color=no_color, is_terminal=is_terminal)
    system: Literal["auto", "standard"] = "auto" if is_terminal or not colored else "standard"
    console = Console(
        stderr=stderr,
        force_terminal=is_terminal,
        force_interactive=is_interactive(environ, stderr=stderr),
        color_system=system,
        no_color=not colored,
        highlight=False,
        soft_wrap=True,
        called=called,
    )
    if not is_terminal:
        # A program that reads a table wants whole values.
        console.width = _WIDTH_OF_NO_TERMINAL
    return console
