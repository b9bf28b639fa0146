"""The FastAPI part of the producer app: the page, and the OpenAPI description of all routes."""

from typing import Any, Protocol
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from kraftd.web.api import as_response
from kraftd.web.asgi import Answer
from kraftd_apps.common.api import Pages, create_api, describe_fast_routes, problems
from kraftd_apps.common.body import BodyReader
from kraftd_apps.common.problems import ProblemError, problem
from kraftd_apps.producer.record import (
    LAST_PARTITION,
    LAST_TIMESTAMP_MS,
    MAX_HEADERS,
    MAX_KEY_BYTES,
    PLAIN,
    Options,
    checked_key,
)
from kraftd_apps.producer.routes import BatchRoute, SendRoute
from kraftd_apps.producer.settings import ProducerSettings

_SAMPLE = '{"key": "Hello Kafka!"}'
_DESCRIPTION = """Every error is a problem document (RFC 9457) with `code`, `retriable` and `outcome`. With the outcome
`not_written`, a retry cannot duplicate the record; with `unknown` it may."""

_OFFSET: dict[str, Any] = {
    "type": ["integer", "null"],
    "description": "Null if the record is written but its offset unknown, because Kafka's answer was lost.",
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
        {"type": "integer", "minimum": 0, "maximum": LAST_PARTITION},
        "Partition to write to; by default chosen by the key, or at random without a key.",
    ),
    _parameter(
        "timestamp",
        "query",
        {"type": "integer", "minimum": 1, "maximum": LAST_TIMESTAMP_MS},
        "Timestamp of the record in milliseconds since 1970; the current time by default.",
    ),
    _parameter(
        "ack",
        "query",
        {"enum": ["all", "none"], "default": "all"},
        "`none` answers 202 at once; a record that Kafka then refuses is only counted and logged.",
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
_WITH_BODY = problems(408, 415)

_SEND: dict[str, Any] = {
    "summary": "Publish one JSON value",
    "description": "Writes the body to the topic, byte for byte, and answers when every in-sync replica has it. "
    "The content type is ignored, so that `curl -d` works without options. A body with `Content-Encoding: gzip` or "
    "`deflate` is decoded first, and a byte order mark is left out.",
    "responses": {
        200: _json(_SENT, "Written: its place in the log."),
        202: _json(_QUEUED, "Accepted, with `ack=none`."),
        **_WRITING,
        **_WITH_BODY,
    },
    "openapi_extra": {
        "parameters": [_KEY, *_OPTIONS],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {}}}},
    },
}

_DELETE: dict[str, Any] = {
    "summary": "Publish a tombstone",
    "description": "Writes a record without a value: compaction then removes the key.",
    "responses": {
        200: _json(_SENT, "Written: its place in the log."),
        202: _json(_QUEUED, "Accepted, with `ack=none`."),
        **_WRITING,
    },
    "openapi_extra": {"parameters": [{**_KEY, "required": True}, *_OPTIONS]},
}

_BATCH: dict[str, Any] = {
    "summary": "Publish many JSON values",
    "description": "NDJSON, a JSON text sequence (RFC 7464), or one JSON array; one result for each record, in order. "
    "With `envelope=1` each element is `{key, value, headers, partition, timestamp}`, and a value of `null` is a "
    "tombstone.",
    "responses": {
        200: _json(_RESULTS, "Every record is written."),
        207: _json(_RESULTS, "Some records are written; the results say which."),
        **_WRITING,
        **_WITH_BODY,
    },
    "openapi_extra": {
        "parameters": [
            _parameter("envelope", "query", {"enum": [0, 1], "default": 0}, "Whether elements are envelopes.")
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/x-ndjson": {"schema": {"type": "string"}},
                "application/json-seq": {"schema": {"type": "string"}},
                "application/json": {"schema": {"type": "array", "minItems": 1, "items": {}}},
            },
        },
    },
}


class Routes(Protocol):
    """The parts of the service that the API shows."""

    send: SendRoute
    batch: BatchRoute

    def unready_reasons(self) -> list[str]:
        """Return why records cannot be written now; empty if they can."""


def build_api(routes: Routes, settings: ProducerSettings) -> FastAPI:
    """Return the app behind the hot path; it also has the routes of the hot path, with the same answers."""
    pages = Pages("kraftd_apps.producer", settings.http.links)
    api = create_api(
        pages,
        title="kraftd producer",
        summary=f"Publishes JSON to the Kafka topic {settings.kafka.topic}.",
        description=_DESCRIPTION,
    )
    _add_publishing(api, routes)
    describe_fast_routes(api)
    _add_page(api, pages, routes, settings)
    return api


def _add_publishing(api: FastAPI, routes: Routes) -> None:
    @api.post("/send", **_SEND)
    async def send(request: Request) -> Response:
        return as_response(await routes.send.answer(request.scope, request.receive))

    @api.delete("/send", **_DELETE)
    async def delete(request: Request) -> Response:
        return as_response(await routes.send.delete(request.scope))

    @api.post("/send/batch", **_BATCH)
    async def batch(request: Request) -> Response:
        return as_response(await routes.batch.answer(request.scope, request.receive))


def _add_page(api: FastAPI, pages: Pages, routes: Routes, settings: ProducerSettings) -> None:
    http = settings.http
    bodies = BodyReader(max_bytes=3 * http.max_body_bytes, setting="APP_MAX_BODY", timeout_s=http.body_timeout_s)

    def page(*, value: str = _SAMPLE, key: str = "", answer: Answer | None = None) -> HTMLResponse:
        html = pages.render(
            "page.html",
            topic=settings.kafka.topic,
            value=value,
            key=key,
            answer=answer.body.decode() if answer else "",
            succeeded=bool(answer and answer.status < 300),
            reasons=routes.unready_reasons(),
        )
        return HTMLResponse(html, answer.status if answer else 200)

    @api.get("/", include_in_schema=False)
    async def form() -> HTMLResponse:
        return page()

    @api.post("/", include_in_schema=False)
    async def submitted(request: Request) -> HTMLResponse:
        fields = _form_fields(await bodies.read(request.scope, request.receive))
        value, key = fields.get("value", ""), fields.get("key", "")
        try:
            options = Options(key=checked_key(key.encode())) if key else PLAIN
            answer = await routes.send.publish(options, value.encode())
        except ProblemError as refused:
            answer = refused.problem.answer()
        return page(value=value, key=key, answer=answer)


def _form_fields(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=8)
    except ValueError as error:
        raise ProblemError(problem("bad_parameter", f"the form cannot be read: {error}")) from error
    return dict(pairs)
