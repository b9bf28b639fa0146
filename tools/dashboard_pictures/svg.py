"""The shapes that a picture is made of."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

TEXT, FAINT, PANEL, CANVAS, GRID = "#ccccdc", "#8e8e9e", "#181b1f", "#111217", "#2b2e35"
_CHARACTER_WIDTH = 0.56
"""Of a letter in ems, on average."""
_CAPITAL_WIDTH = 0.7
"""Of a capital or an underscore."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, in pixels."""

    x: float
    y: float
    width: float
    height: float

    def inside(self, left: float, top: float, right: float, bottom: float) -> "Box":
        """Return the box without its margins."""
        return Box(self.x + left, self.y + top, self.width - left - right, self.height - top - bottom)


def text(x: float, y: float, content: str, *, size: float = 12, fill: str = TEXT, anchor: str = "start") -> str:
    """Return a line of text, its baseline at y."""
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{fill}" text-anchor="{anchor}"'
    return f"<text {place}>{escape(content)}</text>"


def rectangle(box: Box, fill: str, *, opacity: float = 1, radius: float = 2) -> str:
    """Return a filled rectangle."""
    return (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{max(box.width, 0):.1f}" height="{max(box.height, 0):.1f}" '
        f'rx="{radius:g}" fill="{fill}" fill-opacity="{opacity:g}"/>'
    )


def line(points: Iterable[tuple[float, float]], stroke: str, *, dashed: bool = False, width: float = 1.2) -> str:
    """Return a line through points."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{width:g}"{dash}/>'


def area(points: Iterable[tuple[float, float]], fill: str, *, opacity: float) -> str:
    """Return a filled polygon."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polygon points="{path}" fill="{fill}" fill-opacity="{opacity:g}"/>'


def fitted(content: str, width: float, size: float = 12) -> str:
    """Return as much of a text as fits."""
    if width_of(content, size) <= width:
        return content
    kept = content
    while len(kept) > 1 and width_of(kept, size) + size * _CHARACTER_WIDTH > width:
        kept = kept[:-1]
    return kept + "…"


def width_of(content: str, size: float = 12) -> float:
    """Return the width of a text, about."""
    return size * sum(_CAPITAL_WIDTH if each.isupper() or each == "_" else _CHARACTER_WIDTH for each in content)


def document(width: float, height: float, parts: Iterable[str], title: str) -> str:
    """Return the whole picture."""
    inside = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" font-family="Inter, Helvetica, Arial, sans-serif">\n<title>{escape(title)}</title>\n'
        f'<rect width="{width:g}" height="{height:g}" fill="{CANVAS}"/>\n{inside}\n</svg>\n'
    )
