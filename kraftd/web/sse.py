"""Server-sent events as bytes."""

import json
from collections.abc import Mapping
from typing import Any

PING = b": ping\n\n"
"""Keeps proxies and browsers from taking a quiet stream for a dead connection."""
PING_INTERVAL_S = 15.0


def event(name: str, data: Mapping[str, Any], identifier: str = "") -> bytes:
    """Return one event; JSON keeps its data on one line, whatever it holds."""
    return json_event(name, json.dumps(data, ensure_ascii=False, separators=(",", ":")), identifier)


def json_event(name: str, data: str, identifier: str = "") -> bytes:
    """Return one event whose data is a JSON text already."""
    head = f"id: {identifier}\n" if identifier else ""
    return f"{head}event: {name}\ndata: {data}\n\n".encode()


def retry(pause_ms: int) -> bytes:
    """Return the instruction to connect again this long after the stream was cut."""
    return b"retry: %d\n\n" % pause_ms
