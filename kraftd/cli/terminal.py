"""The terminal: every text, table and console of the command line, so that text from outside reaches none of them raw.

The other modules of the command line take Text, Table and Console from here; ruff refuses rich's own.
"""

from collections.abc import Callable, Iterable
from typing import Any

import rich.console
import rich.table
import rich.text
from rich.console import RenderableType

from kraftd.escapes import escaped, named, sentence


class Text(rich.text.Text):
    """A text on one line, escaped. Lines of their own are texts of their own."""

    def __init__(self, text: str = "", *arguments: Any, **options: Any) -> None:
        # rich would drop some of the control characters without a word.
        super().__init__(escaped(text), *arguments, **options)

    def append(self, text: rich.text.Text | str, style: Any = None) -> "Text":
        """Append a text, escaped."""
        super().append(escaped(text) if isinstance(text, str) else text, style)
        return self


class Table(rich.table.Table):
    """A table whose cells are escaped, and without markup."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row."""
        super().add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells), **options)


class Console(rich.console.Console):
    """A console whose sentences are escaped, and without markup.

    Args:
        called: Completes the commands that a note names, as ``Invocation.called``.
        options: What rich takes.
    """

    def __init__(self, *, called: Callable[[str], str] = str, **options: Any) -> None:
        super().__init__(**options)
        self._called = called

    def print(self, *objects: Any, **options: Any) -> None:
        """Print sentences, each on its line, and tables; a sentence has names as ``named`` returns them."""
        plain = (rich.text.Text(sentence(each)) if isinstance(each, str) else each for each in objects)
        super().print(*plain, **options)

    def print_notes(self, notes: Iterable[str]) -> None:
        """Print what the user should know beside a result, a sentence a line."""
        for note in notes:
            self.print(f"Note: {self._called(note)}", style="yellow")


_NUMBERS = frozenset(
    ("BROKERS", "COMMITTED", "END", "HEAP", "LAG", "LEADER", "MEMBERS", "OFFSETS", "PARTITION", "PARTITIONS")
).union(("PORT", "RECORDS", "SIZE", "START", "TIME LAG", "TOPICS", "NO LEADER", "NOT IN SYNC"))
"""The heads of columns whose values are compared from the right."""


def plain_table(*columns: str) -> Table:
    """Return an empty table without lines, whose values are folded, never cut, where the terminal is narrow."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        is_number = column in _NUMBERS
        table.add_column(column, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    return table


def name_text(name: str) -> RenderableType:
    """Return the name of a group or a topic as a cell; ``typed`` reads it back."""
    return rich.text.Text(named(name))
