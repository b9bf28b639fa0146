"""One panel of each kind, drawn into a box."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from tools.dashboard_pictures.evaluation import Series, Window
from tools.dashboard_pictures.formats import colour, colour_by_name, number, step_colour, ticks
from tools.dashboard_pictures.svg import FAINT, GRID, Box, area, fitted, line, rectangle, text, width_of

Panel = dict[str, Any]
Draw = Callable[[Panel, Sequence[Series], Window, Box], Iterator[str]]
_SMALL = 11
_PLOT = (62, 6, 8, 50)
"""The margins around the lines of a panel."""


def lines(panel: Panel, series: Sequence[Series], window: Window, box: Box) -> Iterator[str]:
    """Draw values over time, its bounds dashed."""
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults.get("custom", {})
    stacked = custom.get("stacking", {}).get("mode") == "normal"
    colours = _colours(panel, [each.name for each in series])
    yield from _legend([(each.name, colours[each.name]) for each in series], box)
    plot = box.inside(*_PLOT)
    curves = _stacked(series) if stacked else [[(at, value) for at, value in each.points] for each in series]
    marks = _marks(curves, defaults)
    low, high = marks[0], marks[-1]

    def place(at: float, value: float) -> tuple[float, float]:
        x = plot.x + plot.width * (at - window.start_s) / (window.end_s - window.start_s)
        return x, plot.y + plot.height * (1 - (value - low) / (high - low))

    for mark in marks:
        y = place(window.start_s, mark)[1]
        yield line([(plot.x, y), (plot.x + plot.width, y)], GRID, width=0.7)
        yield text(plot.x - 6, y + 4, number(mark, defaults["unit"]), size=_SMALL, fill=FAINT, anchor="end")
    yield from _times(plot, window)
    yield from _bounds(defaults, plot, low, high, place)
    base = place(window.start_s, max(low, 0))[1]
    pairs = list(zip(series, curves, strict=True))
    for each, curve in reversed(pairs) if stacked else pairs:
        for piece in _pieces(curve, window.step_s * 2.5):
            points = [place(at, min(max(value, low), high)) for at, value in piece]
            fill = custom.get("fillOpacity", 0) / 100
            yield area([(points[0][0], base), *points, (points[-1][0], base)], colours[each.name], opacity=fill)
            yield line(points, colours[each.name])


def states(panel: Panel, series: Sequence[Series], window: Window, box: Box) -> Iterator[str]:
    """Draw a bar for each series, in the colours of its states."""
    mapping = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    plot = box.inside(min(max((width_of(each.name) for each in series), default=0), 130) + 14, 2, 8, 50)
    seen = {}
    height = plot.height / max(len(series), 1)
    for row, each in enumerate(series):
        top = plot.y + row * height
        yield text(plot.x - 8, top + height / 2 + 4, fitted(each.name, plot.x - box.x - 8), size=12, anchor="end")
        for code, group in groupby(each.points, key=lambda point: f"{point[1]:.0f}"):
            state = mapping.get(code, {"text": code, "color": GRID})
            seen[state["text"]] = colour(state["color"])
            times = [at for at, _ in group]
            left, right = (_x(plot, window, at) for at in (times[0], min(times[-1] + window.step_s, window.end_s)))
            yield rectangle(Box(left, top + height * 0.1, right - left, height * 0.8), seen[state["text"]], opacity=0.9)
    yield from _times(plot, window)
    yield from _legend(list(seen.items()), box)


def stat(panel: Panel, series: Sequence[Series], window: Window, box: Box) -> Iterator[str]:
    """Draw the newest value, large."""
    defaults = panel["fieldConfig"]["defaults"]
    if not series:
        yield from _nothing(box)
        return
    value = series[0].points[-1][1]
    shade = step_colour(value, defaults["thresholds"])
    background = panel["options"]["colorMode"] == "background"
    if background:
        yield rectangle(box.inside(-7, -25, -7, -7), shade, opacity=0.32)
        yield from _sparkline(series[0], window, box.inside(0, box.height * 0.55, 0, 0), shade)
    shown = number(value, defaults["unit"])
    yield text(box.x + box.width / 2, box.y + box.height * 0.56, shown, size=34, anchor="middle", fill=shade)


def bars(panel: Panel, series: Sequence[Series], window: Window, box: Box) -> Iterator[str]:
    """Draw the newest value of each series as a bar."""
    defaults = panel["fieldConfig"]["defaults"]
    values = [(each.name, each.points[-1][1]) for each in series]
    most = defaults.get("max") or max((value for _, value in values), default=0) or 1
    height = min(box.height / max(len(values), 1), 44)
    for row, (name, value) in enumerate(values):
        top = box.y + row * height
        track = Box(box.x + 130, top + height * 0.15, box.width - 230, height * 0.7)
        shade = step_colour(value, defaults["thresholds"])
        yield text(track.x - 8, top + height / 2 + 4, fitted(name, 120), anchor="end")
        yield rectangle(track, GRID)
        yield rectangle(Box(track.x, track.y, track.width * min(value / most, 1), track.height), shade, opacity=0.8)
        yield text(track.x + track.width + 8, top + height / 2 + 4, number(value, defaults["unit"]), fill=shade)


def table(panel: Panel, series: Sequence[Series], window: Window, box: Box) -> Iterator[str]:
    """Draw the newest values as rows and columns."""
    renamed = panel["transformations"][-1]["options"]["renameByName"]
    labels = [label for label in renamed if not label.startswith("Value")]
    columns = [(target["refId"], target["legendFormat"]) for target in panel["targets"]]
    found: dict[tuple[str, ...], dict[str, float]] = {}
    for each in series:
        key = tuple(each.labels.get(label, "") for label in labels)
        found.setdefault(key, {})[each.ref] = each.points[-1][1]
    titles = [*(renamed[label] for label in labels), *(title for _, title in columns)]
    share = box.width / (len(titles) + 1)
    # The first column is as wide as two others.
    lefts = [box.x, *(box.x + share * (place + 2) for place in range(len(titles) - 1))]
    for left, title in zip(lefts, titles, strict=True):
        yield text(left, box.y + 12, fitted(title, share - 6), fill=FAINT)
    for row, (key, values) in enumerate(sorted(found.items())[: int((box.height - 20) // 24)]):
        baseline = box.y + 36 + row * 24
        yield line([(box.x, baseline - 17), (box.x + box.width, baseline - 17)], GRID)
        yield text(box.x, baseline, fitted(" ".join(key), share * 2 - 6))
        for (ref, title), left in zip(columns, lefts[1:], strict=True):
            shown, shade = _cell(panel, title, values.get(ref))
            yield text(left, baseline, fitted(shown, share - 6), fill=shade)


def marked(events: Sequence[tuple[float, str]], window: Window, box: Box) -> Iterator[str]:
    """Draw annotations into a panel of lines."""
    plot = box.inside(*_PLOT)
    for at, shade in events:
        x = _x(plot, window, at)
        yield line([(x, plot.y), (x, plot.y + plot.height)], colour(shade), dashed=True, width=1)
        yield area(
            [(x - 4, plot.y + plot.height + 4), (x + 4, plot.y + plot.height + 4), (x, plot.y + plot.height)],
            colour(shade),
            opacity=1,
        )


DRAWN: dict[str, Draw] = {
    "timeseries": lines,
    "state-timeline": states,
    "stat": stat,
    "bargauge": bars,
    "table": table,
}


def _cell(panel: Panel, title: str, value: float | None) -> tuple[str, str]:
    overrides = [each for each in panel["fieldConfig"]["overrides"] if each["matcher"]["options"] == title]
    properties = {each["id"]: each["value"] for override in overrides for each in override["properties"]}
    if value is None:
        return "", FAINT
    if "mappings" in properties:
        state = properties["mappings"][0]["options"].get(f"{value:.0f}", {"text": "", "color": FAINT})
        return state["text"], colour(state["color"])
    shade = step_colour(value, properties["thresholds"]) if "thresholds" in properties else colour("#ccccdc")
    return number(value, properties["unit"]), shade


def _colours(panel: Panel, names: Sequence[str]) -> dict[str, str]:
    """Return the colour of each series: its own, or that of its name, or the next that no other has."""
    fixed = {
        override["matcher"]["options"]: colour(each["value"]["fixedColor"])
        for override in panel["fieldConfig"]["overrides"]
        for each in override["properties"]
        if each["id"] == "color"
    }
    found: dict[str, str] = {}
    for name in names:
        found[name] = fixed.get(name) or colour_by_name(name, taken=found.values())
    return found


def _stacked(series: Sequence[Series]) -> list[list[tuple[float, float]]]:
    below: dict[float, float] = {}
    curves = []
    for each in series:
        curve = []
        for at, value in each.points:
            below[at] = below.get(at, 0) + value
            curve.append((at, below[at]))
        curves.append(curve)
    return curves


def _marks(curves: Sequence[Sequence[tuple[float, float]]], defaults: dict[str, Any]) -> list[float]:
    values = [value for curve in curves for _, value in curve]
    low = defaults.get("min", min(values, default=0))
    high = defaults.get("max") or max(values, default=0)
    if high <= low:
        high = low + 1
    return ticks(low, high, defaults["unit"])


def _bounds(
    defaults: dict[str, Any], plot: Box, low: float, high: float, place: Callable[[float, float], tuple[float, float]]
) -> Iterator[str]:
    for step in defaults["thresholds"]["steps"]:
        value = step["value"]
        if value is not None and low < value <= high:
            y = place(0, value)[1]
            # The colour of what is worse than the bound: for low bounds that is below it.
            yield line([(plot.x, y), (plot.x + plot.width, y)], colour(_worse(defaults, value)), dashed=True)


def _worse(defaults: dict[str, Any], value: float) -> str:
    steps = defaults["thresholds"]["steps"]
    place = next(index for index, step in enumerate(steps) if step["value"] == value)
    around: tuple[str, str] = (steps[place - 1]["color"], steps[place]["color"])
    return around[0] if steps[-1]["color"] == "green" else around[1]


def _times(plot: Box, window: Window) -> Iterator[str]:
    minutes = (window.end_s - window.start_s) / 60
    every_s = 60 * next(step for step in (1, 2, 5, 10, 30, 60, 180, 720) if minutes / step <= 7)
    at = math.ceil(window.start_s / every_s) * every_s
    while at <= window.end_s:
        shown = time.strftime("%H:%M", time.gmtime(at))
        yield text(_x(plot, window, at), plot.y + plot.height + 15, shown, size=_SMALL, fill=FAINT, anchor="middle")
        at += every_s


def _x(plot: Box, window: Window, at: float) -> float:
    return plot.x + plot.width * (at - window.start_s) / (window.end_s - window.start_s)


def _pieces(curve: Sequence[tuple[float, float]], gap_s: float) -> Iterator[list[tuple[float, float]]]:
    piece: list[tuple[float, float]] = []
    for point in curve:
        if piece and point[0] - piece[-1][0] > gap_s:
            yield piece
            piece = []
        piece.append(point)
    if piece:
        yield piece


def _legend(entries: Sequence[tuple[str, str]], box: Box) -> Iterator[str]:
    if not entries:
        yield from _nothing(box)
        return
    x, y = box.x, box.y + box.height - 16
    for place, (name, shade) in enumerate(entries):
        needed = width_of(name, _SMALL) + 26
        is_last_line, is_last = y > box.y + box.height - 10, place == len(entries) - 1
        # The last line has room for how many there are more.
        room = box.width - (70 if is_last_line and not is_last else 10)
        if x + needed > box.x + room and x > box.x:
            if is_last_line:
                yield text(x, y, f"and {len(entries) - place} more", size=_SMALL, fill=FAINT)
                return
            x, y = box.x, y + 15
        yield rectangle(Box(x, y - 5, 12, 3), shade)
        yield text(x + 16, y, fitted(name, box.width - 20, _SMALL), size=_SMALL)
        x += needed


def _sparkline(series: Series, window: Window, box: Box, shade: str) -> Iterator[str]:
    values = [value for _, value in series.points]
    low, high = min(values), max(values)
    span = (high - low) or 1
    points = [(_x(box, window, at), box.y + box.height * (1 - (value - low) / span)) for at, value in series.points]
    bottom = box.y + box.height
    yield area([(points[0][0], bottom), *points, (points[-1][0], bottom)], shade, opacity=0.25)


def _nothing(box: Box) -> Iterator[str]:
    yield text(box.x + box.width / 2, box.y + box.height / 2, "No data", fill=FAINT, anchor="middle")
