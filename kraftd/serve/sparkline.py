"""A small line over the last minutes, as an SVG path. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

WIDTH = 300
HEIGHT = 48
_MARGIN = 3


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A line to draw.

    Attributes:
        line: The ``d`` of a path, broken where nothing was known.
        highest: The greatest value; None where no value is known at all.
        newest: The last value; None where it is not known.
    """

    line: str
    highest: float | None
    newest: float | None


def sparkline(points: Iterable[tuple[float, float | None]], *, begin_s: float, end_s: float) -> Sparkline:
    """Return the line through some points.

    Args:
        points: Times and values, oldest first; a value that is None is a gap.
        begin_s: The time at the left edge.
        end_s: The time at the right edge.
    """
    shown = [(at_s, value) for at_s, value in points if begin_s <= at_s <= end_s]
    highest = max((value for _, value in shown if value is not None), default=None)
    commands: list[str] = []
    is_drawing = False
    for at_s, value in shown:
        if value is None:
            is_drawing = False
            continue
        x = (at_s - begin_s) / (end_s - begin_s) * WIDTH
        # Nothing but zeros is a line at the bottom.
        y = HEIGHT - _MARGIN - (value / highest if highest else 0.0) * (HEIGHT - 2 * _MARGIN)
        # A line to itself is a dot: a value between two gaps would not show otherwise.
        commands.append(f"{'L' if is_drawing else f'M{x:.1f} {y:.1f}L'}{x:.1f} {y:.1f}")
        is_drawing = True
    return Sparkline("".join(commands), highest, shown[-1][1] if shown else None)
