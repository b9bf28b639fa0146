"""From the body of a batch to its records, each judged for itself. Pure."""

import json
from collections.abc import Callable
from typing import Any

from kraftd_apps.producer.json_slices import elements, members
from kraftd_apps.producer.json_text import MAX_DEPTH, json_fault
from kraftd_apps.producer.options import LAST_TIMESTAMP_MS, MAX_HEADERS, checked_key
from kraftd_apps.producer.record import ANY_PARTITION, NOW, Record
from kraftd_apps.web.problems import Problem, Refused, problem

_FIELDS = frozenset({"key", "value", "headers", "partition", "timestamp"})
_LAST_PARTITION = 2**31 - 1

Item = Record | Problem
Parse = Callable[[bytes], Item]


def texts_of(body: bytes, content_type: str) -> list[bytes]:
    """Return the texts of a batch's records: lines of NDJSON, or elements of one JSON array.

    The content type decides; where it says neither, a text that begins with a bracket is an array.

    Raises:
        Refused: The body cannot be taken apart.
    """
    kind = content_type.partition(";")[0].strip().lower()
    ndjson = kind.endswith(("ndjson", "jsonl", "json-seq")) or (
        not kind.endswith("json") and not body.lstrip().startswith(b"[")
    )
    if ndjson:
        return [line for line in (part.strip(b"\r") for part in body.split(b"\n")) if line.strip()]
    try:
        return [text.encode() for text in elements(body.decode("utf-8"))]
    except RecursionError as error:
        raise Refused(problem("invalid_json", f"nested deeper than {MAX_DEPTH} levels")) from error
    except ValueError as error:
        raise Refused(problem("invalid_json", str(error))) from error


def plain_item(text: bytes) -> Item:
    """Return the record whose value is this text."""
    fault = json_fault(text)
    return problem("invalid_json", fault) if fault else Record(text)


def envelope_item(text: bytes) -> Item:
    """Return the record that an envelope describes; a value of `null` is a tombstone and needs a key."""
    fault = json_fault(text)
    if fault:
        return problem("invalid_json", fault)
    try:
        return _from_envelope(members(text.decode()))
    except Refused as refused:
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
        raise _WrongEnvelope("key must be a text or null")
    tombstone = given["value"] == "null"
    if tombstone and key is None:
        raise _WrongEnvelope("a null value is a tombstone and needs a key")
    return Record(
        value=None if tombstone else given["value"].encode(),
        key=None if key is None else checked_key(_encoded(key)),
        partition=_whole(given, "partition", ANY_PARTITION, lowest=0, highest=_LAST_PARTITION),
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
    if not isinstance(given, dict):
        raise _WrongEnvelope("headers must be an object of texts, or of lists of texts where a name repeats")
    found = []
    for name, values in given.items():
        for value in values if isinstance(values, list) else [values]:
            if not isinstance(value, str):
                raise _WrongEnvelope(f"the header {name!r} must be a text or a list of texts")
            found.append((_encoded(name).decode(), _encoded(value)))
    if len(found) > MAX_HEADERS:
        raise _WrongEnvelope(f"more than {MAX_HEADERS} headers")
    return tuple(found)


def _encoded(text: str) -> bytes:
    """Return a text in UTF-8; half a surrogate pair, which JSON can write, raises a ValueError."""
    return text.encode("utf-8")
