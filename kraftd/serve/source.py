"""What the HTTP side is given."""

from typing import Protocol

from kraftd.watch.history import History
from kraftd.watch.snapshot import Snapshot


class Source(Protocol):
    """What the daemon has seen; no question blocks."""

    def newest(self) -> Snapshot | None:
        """Return the newest snapshot, None before the first."""

    def history(self) -> History:
        """Return what is remembered of the ones before."""

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return the body of /metrics and its content type, in a format that is accepted."""

    def is_ending(self) -> bool:
        """Return whether the daemon was told to end."""
