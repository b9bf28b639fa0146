"""Is a body JSON? It is published as it came, so nothing of it is kept: only the verdict."""

import json
import math
import re
from collections.abc import Callable
from typing import Any

MAX_DEPTH = 500
"""Deepest nesting that is taken; many readers stop at 1000, some earlier."""

_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def json_fault(body: bytes) -> str | None:
    """Return why a body is not JSON in UTF-8 (RFC 8259), or None when it is.

    Stricter than Python's parser, which takes `NaN`, `Infinity` and UTF-16; numbers beyond a double's range are
    refused, because most readers turn them into infinity. Long integers are fine.
    """
    try:
        text = body.decode("utf-8")
        if _is_plainly_json(text):
            return None
        if _brackets(text) > MAX_DEPTH and _depth(text) > MAX_DEPTH:
            return f"nested deeper than {MAX_DEPTH} levels"
        _DECODER.decode(text)
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error.reason} at byte {error.start}"
    except ValueError as error:
        return str(error)
    return None


def _is_plainly_json(text: str) -> bool:
    """Return whether the parser's inner loop takes the whole text; a blank around it or any fault is for the rest."""
    if _brackets(text) > MAX_DEPTH:
        return False
    try:
        return _scan(text, 0)[1] == len(text)
    except (StopIteration, ValueError):
        return False


def _brackets(text: str) -> int:
    return text.count("[") + text.count("{")


def _depth(text: str) -> int:
    depth = deepest = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        mark = match[0]
        if mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in "]}":
            depth -= 1
    return deepest


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"{number[:40]} is beyond the range of a double")
    return value


def _as_text(number: str) -> str:
    """Keep an integer unread: reading one with thousands of digits is slow and Python refuses it."""
    return number


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite, parse_int=_as_text)
_scan: Callable[[str, int], tuple[object, int]] = vars(_DECODER)["scan_once"]
