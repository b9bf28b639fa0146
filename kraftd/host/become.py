"""Becoming another program, where running it is all that is left to do."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn


def become(command: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Replace this process by a program: every signal reaches it, and its end is this process's own.

    Raises:
        OSError: There is no such program, or it cannot be run.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        # Python ignores them, and a program inherits what is ignored.
        signal.signal(number, signal.SIG_DFL)
    os.execvpe(command[0], list(command), environ)  # noqa: S606 no shell is wanted
