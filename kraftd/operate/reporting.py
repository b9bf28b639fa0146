"""How a use case tells what it is doing while it runs."""

from typing import Protocol


class Reporter(Protocol):
    """Someone who shows progress."""

    def step(self, text: str) -> None:
        """A thing is being done now, as "formatting broker-1"."""

    def program(self, name: str, state: str, detail: str = "") -> None:
        """A program came into a state: waiting, starting, ready, stopping, stopped, failed."""

    def download_begins(self, what: str, total_bytes: int) -> None:
        """A download of so many bytes begins."""

    def advance(self, count_bytes: int) -> None:
        """So many more bytes are here."""

    def download_ends(self) -> None:
        """The download is complete."""


class Silent:
    """Shows nothing."""

    def step(self, text: str) -> None:
        """Show nothing."""

    def program(self, name: str, state: str, detail: str = "") -> None:
        """Show nothing."""

    def download_begins(self, what: str, total_bytes: int) -> None:
        """Show nothing."""

    def advance(self, count_bytes: int) -> None:
        """Show nothing."""

    def download_ends(self) -> None:
        """Show nothing."""
