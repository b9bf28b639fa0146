"""JSON records in request bodies: a value, lines, an array, or envelopes, each kept byte for byte. Pure.

A value is published unchanged, so it is only checked, not decoded.
"""

import codecs
import json
import math
import re
from collections.abc import Callable
from typing import Any

from kraftd_apps.common.problems import Problem, ProblemError, problem
from kraftd_apps.producer.record import (
    ANY_PARTITION,
    LAST_PARTITION,
    LAST_TIMESTAMP_MS,
    MAX_HEADERS,
    NOW,
    Record,
    checked_key,
)

MAX_DEPTH = 500
"""The deepest accepted nesting; many readers stop at 1000, some earlier."""

_MARK = codecs.BOM_UTF8
_RECORD_SEPARATOR = b"\x1e"
"""Stands before each text of a JSON text sequence (RFC 7464), and in no JSON text."""
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_FIELDS = frozenset({"key", "value", "headers", "partition", "timestamp"})
# Gives nothing back, and takes a string without an end whole: else the search would begin anew at each of its quotes.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_BLANK = re.compile(r"[ \t\n\r]*")

Item = Record | Problem
Parse = Callable[[bytes], Item]


def without_mark(body: bytes) -> bytes:
    """Return a text without the byte order mark that some editors and shells begin a file with.

    It is no part of the JSON (RFC 8259, 8.1, lets a reader ignore it), and is not published.
    """
    return body.removeprefix(_MARK)


def json_fault(body: bytes) -> str | None:
    """Return why a body is not JSON in UTF-8 (RFC 8259); None if it is.

    Stricter than Python's parser, which accepts `NaN`, `Infinity` and UTF-16. Numbers beyond a double's range are
    refused, because most readers turn them into infinity. Long integers are accepted.
    """
    try:
        text = body.decode("utf-8")
        if _is_plainly_json(text):
            return None
        if _brackets(text) > MAX_DEPTH and _depth(text) > MAX_DEPTH:
            return f"nested deeper than {MAX_DEPTH} levels"
        _STRICT.decode(text)
    except ValueError as error:
        return _encoding_fault(body) or str(error)
    return None


def _encoding_fault(body: bytes) -> str | None:
    """Return which other encoding a text has; None if it is UTF-8."""
    encoding = json.detect_encoding(body).upper()
    if encoding.startswith(("UTF-16", "UTF-32")):
        return f"it is {encoding[:6]}, and must be UTF-8"
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error.reason} at byte {error.start}"
    return None


def _is_plainly_json(text: str) -> bool:
    """Return whether the parser's inner loop accepts the whole text; white space and faults need the slow path."""
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
    """Return an integer unparsed, because parsing thousands of digits is slow and Python refuses it."""
    return number


_STRICT = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite, parse_int=_as_text)
_scan: Callable[[str, int], tuple[object, int]] = vars(_STRICT)["scan_once"]
_LENIENT = json.JSONDecoder(parse_int=str, parse_float=str)


def split_records(body: bytes, content_type: str) -> list[bytes]:
    """Return the records of a batch as texts: lines of NDJSON, a JSON text sequence, or elements of one JSON array.

    The content type decides; if it is another one, a text that begins with a bracket is an array. A byte order mark is
    passed over, also at the beginning of a line: such a body is several files, one after the other.

    Raises:
        ProblemError: The body is neither.
    """
    body = without_mark(body)
    kind = content_type.partition(";")[0].strip().lower()
    ndjson = kind.endswith(("ndjson", "jsonl", "json-seq")) or (
        not kind.endswith("json") and not body.lstrip().startswith(b"[")
    )
    if body.startswith(_UTF_16_MARKS):
        raise ProblemError(problem("invalid_json", _encoding_fault(body) or ""))
    if ndjson:
        is_sequence = kind.endswith("json-seq") and _RECORD_SEPARATOR in body
        parts = body.split(_RECORD_SEPARATOR if is_sequence else b"\n")
        lines = (without_mark(part).strip(b"\r\n") for part in parts)
        return [line for line in lines if line.strip()]
    try:
        return [text.encode() for text in elements(body.decode("utf-8"))]
    except RecursionError as error:
        raise ProblemError(problem("invalid_json", f"nested deeper than {MAX_DEPTH} levels")) from error
    except ValueError as error:
        raise ProblemError(problem("invalid_json", _encoding_fault(body) or str(error))) from error


def plain_item(text: bytes) -> Item:
    """Return the record with this text as its value."""
    fault = json_fault(text)
    return problem("invalid_json", fault) if fault else Record(text)


def envelope_item(text: bytes) -> Item:
    """Return the record that an envelope describes; a value of `null` is a tombstone and needs a key."""
    fault = json_fault(text)
    if fault:
        return problem("invalid_json", fault)
    try:
        return _from_envelope(members(text.decode()))
    except ProblemError as refused:
        return refused.problem
    except ValueError as error:
        return problem("bad_parameter", f"an envelope must be an object: {error}")


class _WrongEnvelope(ValueError):  # noqa: N818 - becomes a problem before it leaves this module
    """An envelope with a wrong field."""


def _from_envelope(given: dict[str, str]) -> Record:
    unknown = sorted(given.keys() - _FIELDS)
    if unknown:
        raise _WrongEnvelope(f"{unknown[0]!r} is not one of {', '.join(sorted(_FIELDS))}")
    if "value" not in given:
        raise _WrongEnvelope("it has no value")
    key = json.loads(given.get("key", "null"))
    if key is not None and not isinstance(key, str):
        raise _WrongEnvelope("key must be a string or null")
    tombstone = given["value"] == "null"
    if tombstone and key is None:
        raise _WrongEnvelope("a null value is a tombstone and needs a key")
    return Record(
        value=None if tombstone else given["value"].encode(),
        key=None if key is None else checked_key(_encoded(key)),
        partition=_whole(given, "partition", ANY_PARTITION, lowest=0, highest=LAST_PARTITION),
        timestamp_ms=_whole(given, "timestamp", NOW, lowest=1, highest=LAST_TIMESTAMP_MS),
        headers=_headers(json.loads(given.get("headers", "{}"))),
    )


def _whole(given: dict[str, str], name: str, default: int, *, lowest: int, highest: int) -> int:
    raw = given.get(name, "null")
    if raw == "null":
        return default
    if raw.isdigit() and len(raw) <= len(str(highest)) and lowest <= int(raw) <= highest:
        return int(raw)
    raise _WrongEnvelope(f"{name} must be a whole number from {lowest} to {highest}, not {raw[:40]}")


def _headers(given: Any) -> tuple[tuple[str, bytes], ...]:
    if given is None:
        return ()
    if not isinstance(given, dict):
        raise _WrongEnvelope("headers must be an object of strings, or of lists of strings for repeated names")
    found = []
    for name, values in given.items():
        if "\0" in name:
            # librdkafka would write the name up to it.
            raise _WrongEnvelope(f"the name of the header {name!r} has a NUL, and must have none")
        for value in values if isinstance(values, list) else [values]:
            if not isinstance(value, str):
                raise _WrongEnvelope(f"the header {name!r} must be a string or a list of strings")
            found.append((_encoded(name).decode(), _encoded(value)))
    if len(found) > MAX_HEADERS:
        raise _WrongEnvelope(f"more than {MAX_HEADERS} headers")
    return tuple(found)


def _encoded(text: str) -> bytes:
    """Return a text in UTF-8; raises ValueError for an unpaired surrogate, which JSON can contain."""
    return text.encode("utf-8")


def elements(text: str) -> list[str]:
    """Return the texts of an array's elements.

    Raises:
        ValueError: The text is not a JSON array.
    """
    slices = _Slices(text)
    slices.take("[")
    found: list[str] = []
    while not slices.ends_with("]", first=not found):
        found.append(slices.value())
    return found


def members(text: str) -> dict[str, str]:
    """Return an object's members by name, their values as texts.

    Raises:
        ValueError: The text is not a JSON object, or has a name twice.
    """
    slices = _Slices(text)
    slices.take("{")
    found: dict[str, str] = {}
    while not slices.ends_with("}", first=not found):
        name = json.loads(slices.value())
        if not isinstance(name, str) or name in found:
            raise ValueError(f"{name!r} is not a name or occurs twice")
        slices.take(":")
        found[name] = slices.value()
    return found


class _Slices:
    """A position in a text that cuts it into slices, which `json_fault` must check."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._skip()

    def take(self, mark: str) -> None:
        if not self._text.startswith(mark, self._at):
            raise ValueError(f"expected {mark!r} at character {self._at}")
        self._at += len(mark)
        self._skip()

    def value(self) -> str:
        start = self._at
        self._at = _LENIENT.raw_decode(self._text, start)[1]
        found = self._text[start : self._at]
        self._skip()
        return found

    def ends_with(self, closing: str, *, first: bool) -> bool:
        """Consume the closing bracket and return True, or else the comma before the next part."""
        if self._text.startswith(closing, self._at):
            self.take(closing)
            if self._at < len(self._text):
                raise ValueError(f"more text after the end, at character {self._at}")
            return True
        if not first:
            self.take(",")
        return False

    def _skip(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at
