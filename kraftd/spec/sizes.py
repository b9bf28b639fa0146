"""Sizes as people and the JVM write them."""

import re

_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3}
_SIZE = re.compile(r"([1-9][0-9]*)([kmg])", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Return the bytes of a size such as ``4g``, ``512m`` or ``65536k``.

    Raises:
        ValueError: The text is not a whole number followed by k, m or g.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not a size: {text!r}")
    return int(match.group(1)) * _UNITS[match.group(2).lower()]


def format_size(size_bytes: int) -> str:
    """Return the shortest exact form that the JVM reads back: ``4g``, ``1536m``, ``65536k``."""
    for suffix in ("g", "m", "k"):
        if size_bytes % _UNITS[suffix] == 0:
            return f"{size_bytes // _UNITS[suffix]}{suffix}"
    return str(size_bytes)


def human_size(size_bytes: int) -> str:
    """Return a size for people, with one decimal: ``23.4 GiB``, ``61.3 MiB``."""
    for suffix, unit in (("GiB", _UNITS["g"]), ("MiB", _UNITS["m"])):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.1f} {suffix}"
    return f"{size_bytes / 1024:.1f} KiB"
