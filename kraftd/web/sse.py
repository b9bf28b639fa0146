"""Encoding of server-sent events."""

import json
from collections.abc import Mapping
from typing import Any

PING = b": ping\n\n"
"""A comment that keeps proxies and browsers from closing an idle stream."""
PING_INTERVAL_S = 15.0


def event(name: str, data: Mapping[str, Any], identifier: str = "") -> bytes:
    """Return one event with its data as JSON, which has no line breaks."""
    return json_event(name, json.dumps(data, ensure_ascii=False, separators=(",", ":")), identifier)


def json_event(name: str, data: str, identifier: str = "") -> bytes:
    """Return one event whose data is already a JSON text."""
    head = f"id: {identifier}\n" if identifier else ""
    return f"{head}event: {name}\ndata: {data}\n\n".encode()


def retry(pause_ms: int) -> bytes:
    """Return the instruction to reconnect after this pause."""
    return b"retry: %d\n\n" % pause_ms
