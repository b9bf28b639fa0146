"""How the producer's routes are described in OpenAPI: the routes read their requests themselves."""

from typing import Any

from kraftd_apps.producer.options import LAST_TIMESTAMP_MS, MAX_HEADERS, MAX_KEY_BYTES
from kraftd_apps.web.openapi import problems

DESCRIPTION = """Every error is a problem document (RFC 9457) with `code`, `retriable` and `outcome`. With the outcome
`not_written`, sending again cannot duplicate the record; with `unknown` it may."""

_OFFSET: dict[str, Any] = {
    "type": ["integer", "null"],
    "description": "Null where the record is written and its offset unknown: Kafka's answer was lost on the way.",
}
_PLACE: dict[str, Any] = {
    "type": "object",
    "required": ["partition", "offset"],
    "properties": {"partition": {"type": "integer"}, "offset": _OFFSET},
}
_SENT: dict[str, Any] = {
    "type": "object",
    "required": ["status", "topic", "partition", "offset", "timestamp"],
    "properties": {
        "status": {"const": "sent"},
        "topic": {"type": "string"},
        "partition": {"type": "integer"},
        "offset": _OFFSET,
        "timestamp": {"type": "integer", "description": "Milliseconds since 1970."},
    },
}
_FAILED: dict[str, Any] = {
    "type": "object",
    "required": ["error", "detail", "retriable", "outcome"],
    "properties": {
        "error": {"type": "string"},
        "detail": {"type": "string"},
        "retriable": {"type": "boolean"},
        "outcome": {"enum": ["not_written", "unknown"]},
    },
}
_RESULTS: dict[str, Any] = {
    "type": "object",
    "required": ["sent", "failed", "results"],
    "properties": {
        "sent": {"type": "integer"},
        "failed": {"type": "integer"},
        "results": {"type": "array", "items": {"oneOf": [_PLACE, _FAILED]}},
    },
}
_QUEUED: dict[str, Any] = {"type": "object", "properties": {"status": {"const": "queued"}}}


def _parameter(name: str, where: str, schema: dict[str, Any], text: str, *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": where, "required": required, "schema": schema, "description": text}


_KEY = _parameter("key", "query", {"type": "string"}, f"Key of the record: UTF-8, at most {MAX_KEY_BYTES} bytes.")
_OPTIONS = [
    _parameter(
        "partition",
        "query",
        {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
        "Partition to write to; chosen by the key, or at random, where it is left out.",
    ),
    _parameter(
        "timestamp",
        "query",
        {"type": "integer", "minimum": 1, "maximum": LAST_TIMESTAMP_MS},
        "Timestamp of the record in milliseconds since 1970; now where it is left out.",
    ),
    _parameter(
        "ack",
        "query",
        {"enum": ["all", "none"], "default": "all"},
        "`none` answers 202 at once; what Kafka does not take then is only counted and logged.",
    ),
    _parameter(
        "X-Kafka-Header-Name",
        "header",
        {"type": "string", "pattern": "^[ -~]*$"},
        f"Any header `X-Kafka-Header-<Name>` becomes a record header; at most {MAX_HEADERS}.",
    ),
]


def _json(schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


_WRITING = problems(400, 401, 403, 404, 413, 421, 422, 429, 500, 503, 504)

SEND: dict[str, Any] = {
    "summary": "Publish one JSON value",
    "description": "Writes the body to the topic, byte for byte, and answers when every in-sync replica has it. "
    "The content type does not matter: `curl -d` works as it is.",
    "responses": {
        200: _json(_SENT, "Written: where it stands in the log."),
        202: _json(_QUEUED, "Taken, with `ack=none`."),
        **_WRITING,
        **problems(408),
    },
    "openapi_extra": {
        "parameters": [_KEY, *_OPTIONS],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {}}}},
    },
}

DELETE: dict[str, Any] = {
    "summary": "Publish a tombstone",
    "description": "Writes a record without a value: compaction then removes the key.",
    "responses": {
        200: _json(_SENT, "Written: where it stands in the log."),
        202: _json(_QUEUED, "Taken, with `ack=none`."),
        **_WRITING,
    },
    "openapi_extra": {"parameters": [{**_KEY, "required": True}, *_OPTIONS]},
}

BATCH: dict[str, Any] = {
    "summary": "Publish many JSON values",
    "description": "NDJSON, or one JSON array; one result for each record, in order. With `envelope=1` each element is "
    "`{key, value, headers, partition, timestamp}`, and a value of `null` is a tombstone.",
    "responses": {
        200: _json(_RESULTS, "Every record is written."),
        207: _json(_RESULTS, "Some records are written; the results say which."),
        **_WRITING,
        **problems(408),
    },
    "openapi_extra": {
        "parameters": [
            _parameter("envelope", "query", {"enum": [0, 1], "default": 0}, "Whether elements are envelopes.")
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/x-ndjson": {"schema": {"type": "string"}},
                "application/json": {"schema": {"type": "array", "minItems": 1, "items": {}}},
            },
        },
    },
}
