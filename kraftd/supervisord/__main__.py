"""supervisord, which a full disk does not end.

Where a log cannot be written, supervisord prints the traceback to stderr: to a file on the same disk. That fails too,
and ends it, and with it the restarts of every program (supervisor 4.3, loggers.Handler.handleError).
"""

import contextlib
import sys
from typing import Any, TextIO, cast

from supervisor.supervisord import main


class TolerantStream:
    """A text stream that drops what cannot be written."""

    def __init__(self, stream: TextIO) -> None:
        """Write to a stream."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, or drop it."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or leave it for the next time."""
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        """Return any other attribute of the stream."""
        return getattr(self._stream, name)


if __name__ == "__main__":
    sys.stdout = cast("TextIO", TolerantStream(sys.stdout))
    sys.stderr = cast("TextIO", TolerantStream(sys.stderr))
    main()
