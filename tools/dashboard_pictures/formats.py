"""Numbers and colours as Grafana shows them."""

import math
import zlib
from collections.abc import Iterable
from typing import Any

_NAMED = {
    "text": "#ccccdc",
    "green": "#73bf69",
    "yellow": "#fade2a",
    "semi-dark-yellow": "#e0b400",
    "red": "#f2495c",
    "dark-red": "#c4162a",
    "blue": "#5794f2",
    "purple": "#b877d9",
    "orange": "#ff9830",
}
_PALETTE = (
    "#8ab8ff", "#ff9830", "#ca95e5", "#5dd3d3", "#e0b400", "#ff7eb6", "#a0b83c", "#6e9fff",
    "#ffb357", "#b39ddb", "#4fb3bf", "#d8a27a", "#9fa8da", "#c0ca33", "#f48fb1", "#80cbc4",
)  # fmt: skip
"""Without green, yellow and red, which mean something everywhere."""
_RATES = {"recps": "rec/s", "reqps": "req/s", "ops": "ops/s"}
_ROUND_SECONDS = (15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400, 172800, 432000, 864000)
_SECONDS = ((86400, "days"), (3600, "hours"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs"))


def number(value: float, unit: str) -> str:
    """Return a value with its unit."""
    if unit == "percentunit":
        return f"{_short(value * 100)}%"
    if unit in ("s", "ms"):
        return _time(value if unit == "s" else value / 1000)
    if unit in ("bytes", "Bps"):
        step, names = (1024, ("B", "KiB", "MiB", "GiB", "TiB")) if unit == "bytes" else (1000, ("B", "kB", "MB", "GB"))
        return _scaled(value, step, names) + ("/s" if unit == "Bps" else "")
    if unit == "none":
        return _short(value)
    text = _scaled(value, 1000, ("", "K", "Mil", "Bil")).strip()
    return f"{text} {_RATES[unit]}" if unit in _RATES else text


def ticks(low: float, high: float, unit: str) -> list[float]:
    """Return round values that lie from low to high or just beyond, about five of them."""
    wanted = (high - low) / 4
    size = 1 if unit == "s" else 1000 if unit == "ms" else None
    if size and wanted >= 10 * size:
        step = size * next((each for each in _ROUND_SECONDS if each * size >= wanted), _ROUND_SECONDS[-1])
    elif unit == "bytes" and wanted >= 1:
        step = 2 ** math.ceil(math.log2(wanted))
    else:
        power = 10 ** math.floor(math.log10(wanted))
        step = next(each * power for each in (1, 2, 2.5, 5, 10) if each * power >= wanted * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [place * step for place in range(first, last + 1)]


def colour(name: str) -> str:
    """Return a colour as SVG knows it."""
    return _NAMED.get(name, name)


def colour_by_name(name: str, taken: Iterable[str] = ()) -> str:
    """Return the colour of a series that has none of its own: the same wherever it appears, unless that is taken."""
    first, used = zlib.crc32(name.encode()), set(taken)
    around = [_PALETTE[(first + place) % len(_PALETTE)] for place in range(len(_PALETTE))]
    return next((each for each in around if each not in used), around[0])


def step_colour(value: float, thresholds: dict[str, Any]) -> str:
    """Return the colour of the step that a value reaches."""
    reached = [step for step in thresholds["steps"] if step["value"] is None or value >= step["value"]]
    return colour(reached[-1]["color"])


def _time(value_s: float) -> str:
    if value_s == 0:
        return "0 s"
    size, name = next(((size, name) for size, name in _SECONDS if abs(value_s) >= size), _SECONDS[-1])
    return f"{_short(value_s / size)} {name}"


def _scaled(value: float, step: int, names: tuple[str, ...]) -> str:
    place = 0
    while abs(value) >= step and place < len(names) - 1:
        value, place = value / step, place + 1
    return f"{_short(value)} {names[place]}"


def _short(value: float) -> str:
    size = abs(value)
    decimals = 0 if size >= 100 or value == int(value) else 1 if size >= 10 else 2 if size >= 0.1 else 3
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
