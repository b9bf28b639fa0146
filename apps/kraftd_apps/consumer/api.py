"""The FastAPI part of the consumer app: the page, records as JSON, and resending a record."""

import codecs
import http.client
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Protocol
from urllib.parse import quote, urlsplit

from fastapi import FastAPI, Query, Response
from fastapi.responses import HTMLResponse

from kraftd.web.api import Responses, as_response
from kraftd.web.asgi import Answer
from kraftd.web.background import in_thread
from kraftd_apps.common.api import Pages, answered_before, create_api, describe_fast_routes, problems
from kraftd_apps.common.problems import ProblemError, problem
from kraftd_apps.consumer.hub import Hub
from kraftd_apps.consumer.log import Log
from kraftd_apps.consumer.member import Member
from kraftd_apps.consumer.query import MessagesQuery, Offset, Partition, selected
from kraftd_apps.consumer.record import SeenRecord, document, row_of
from kraftd_apps.consumer.ring import Ring
from kraftd_apps.consumer.settings import ConsumerSettings

PAGE_RECORDS = 10
_TAIL_WAIT_S = 2.0
_RESEND_TIMEOUT_S = 25.0
_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")

_RECORDS: Responses = {
    200: {
        "description": "The records; bytes that are not UTF-8 are given in base64, as `*_encoding` says.",
        "content": {"application/json": {"schema": {"type": "object"}}, "application/x-ndjson": {}},
    },
    **problems(400, 401, 404, 421, 503),
}
_RAW: Responses = {
    200: {"description": "The value.", "content": {"application/octet-stream": {}}},
    204: {"description": "A tombstone."},
    **problems(400, 401, 404, 421, 502, 503),
}
_BATCH: Responses = {
    200: {"description": "The batch.", "content": {"application/octet-stream": {}}},
    **problems(400, 401, 404, 421, 502, 503),
}
_RESENT: Responses = {
    200: {"description": "Written again.", "content": {"application/json": {"schema": {"type": "object"}}}},
    **problems(400, 401, 403, 404, 413, 421, 422, 429, 500, 502, 503, 504),
}


_EVENTS: Responses = {
    200: {
        "description": "Events until the page or the app ends: `messages`, `status`, `gap`, `bye`.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    **problems(401, 421, 503),
}
_EVENTS_PARAMETERS = [
    {
        "name": "Last-Event-ID",
        "in": "header",
        "required": False,
        "description": "The last event seen: later records are sent first, and `gap` counts those that are lost.",
        "schema": {"type": "string"},
    },
    {
        "name": "after",
        "in": "query",
        "required": False,
        "description": "The same, for the first connection.",
        "schema": {"type": "string"},
    },
]


class Source(Protocol):
    """The parts of the service that the API shows."""

    settings: ConsumerSettings
    ring: Ring
    log: Log
    hub: Hub
    member: Member


def build_api(source: Source) -> FastAPI:
    """Return the app behind the health checks and the event stream."""
    topic = source.settings.kafka.topic
    pages = Pages("kraftd_apps.consumer", source.settings.http.links)
    api = create_api(
        pages,
        title="kraftd consumer",
        summary=f"Shows what arrives on the Kafka topic {topic}.",
        description="A member of the group reads the topic and keeps the newest records in memory; older ones are read "
        "from the log without touching the group.",
    )
    _add_page(api, pages, source)
    _add_records(api, source)
    _add_bytes(api, source)
    _add_resend(api, source)
    _describe_events(api)
    describe_fast_routes(api)
    return api


def _add_page(api: FastAPI, pages: Pages, source: Source) -> None:
    @api.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        await source.log.tail_was_read(_TAIL_WAIT_S)
        seen = source.hub.identifier(source.ring.last_sequence)
        html = pages.render(
            "page.html",
            rows=[row_of(entry.record) for entry in source.ring.newest(PAGE_RECORDS)],
            topic=source.settings.kafka.topic,
            group=source.settings.group_id,
            partitions=source.member.membership.partitions,
            tail_fault=source.log.tail_fault,
            seen=seen,
            can_resend=bool(source.settings.producer_url),
        )
        return HTMLResponse(html)


def _add_records(api: FastAPI, source: Source) -> None:
    @api.get("/api/messages", summary="Records", responses=_RECORDS, response_class=Response)
    async def messages(query: Annotated[MessagesQuery, Query()]) -> Response:
        """Return the newest records in memory, latest first.

        With `offset` or `timestamp`, return a part of the log in log order instead.
        """
        if query.start is not None:
            records = await source.log.read(query.start, query.limit)
            return _records_response([record for record in records if query.selection.admits(record)], query.format)
        await source.log.tail_was_read(_TAIL_WAIT_S)
        if source.log.tail_fault and not source.ring.newest(1):
            raise ProblemError(problem("brokers_down", source.log.tail_fault))
        newest = (entry.record for entry in source.ring.newest(source.settings.ring_records))
        return _records_response(selected(newest, query.selection, query.limit), query.format)


def _add_bytes(api: FastAPI, source: Source) -> None:
    @api.get(
        "/api/messages/{partition}/{offset}/raw",
        summary="One value, byte for byte",
        responses=_RAW,
        response_class=Response,
    )
    async def raw(partition: Partition, offset: Offset) -> Response:
        """Return the value as a download; a tombstone has none and answers 204."""
        record = await source.log.find(partition, offset)
        if record.fault:
            place = f"/api/messages/{partition}/{offset}/batch"
            raise ProblemError(problem("undecodable_record", f"{record.fault}; {place} has the bytes of its batch"))
        if record.value is None:
            return Response(status_code=204)
        return _download(record.value, f"{source.settings.kafka.topic}-{partition}-{offset}.bin")

    @api.get(
        "/api/messages/{partition}/{offset}/batch",
        summary="The batch of a record, byte for byte",
        responses=_BATCH,
        response_class=Response,
    )
    async def batch(partition: Partition, offset: Offset) -> Response:
        """Return the record batch that contains an offset as it is in the log, also one that cannot be decoded."""
        found = await source.log.batch(partition, offset)
        return _download(found.content, f"{source.settings.kafka.topic}-{partition}-{found.first}.batch")


def _add_resend(api: FastAPI, source: Source) -> None:
    @api.post(
        "/api/messages/{partition}/{offset}/resend",
        summary="Publish an equal record",
        responses=_RESENT,
        response_class=Response,
    )
    async def resend(partition: Partition, offset: Offset) -> Response:
        """Resend the record through the producer app and return its answer."""
        url = source.settings.producer_url
        if not url:
            raise ProblemError(problem("producer_away", "APP_PRODUCER_URL is off"))
        record = await source.log.find(partition, offset)
        return as_response(await in_thread(send_again, record, url, source.settings.http.api_token))


def _describe_events(api: FastAPI) -> None:
    api.add_api_route(
        "/events",
        answered_before,
        summary="Records as they arrive",
        description="Stream new records and the app's status as server-sent events, at most ten frames a second.",
        responses=_EVENTS,
        response_class=Response,
        openapi_extra={"parameters": _EVENTS_PARAMETERS},
    )


def _download(content: bytes, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, headers=headers, media_type="application/octet-stream")


def _records_response(records: list[SeenRecord], form: str) -> Response:
    documents = [document(record) for record in records]
    if form == "json":
        return Response(json.dumps({"messages": documents}, ensure_ascii=False), media_type="application/json")
    lines = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in documents)
    headers = {"Content-Disposition": 'attachment; filename="messages.ndjson"'}
    return Response(lines, headers=headers, media_type="application/x-ndjson")


@dataclass(frozen=True, slots=True)
class ProducerRequest:
    """A request to the producer app."""

    method: str
    target: str
    headers: dict[str, bytes]
    body: bytes


def request_for(record: SeenRecord) -> ProducerRequest:
    """Return the request that publishes an equal record.

    Raises:
        ProblemError: HTTP cannot carry this record unchanged.
    """
    if record.fault:
        raise ProblemError(problem("undecodable_record", record.fault))
    headers: dict[str, bytes] = {}
    for name, value in record.headers:
        field = f"X-Kafka-Header-{name}"
        if not _HEADER_NAME.fullmatch(name) or value is None or _is_awkward(value) or field in headers:
            raise ProblemError(problem("invalid_record", f"the header {name!r} cannot be resent unchanged"))
        headers[field] = value
    target = "/send"
    if record.key is not None:
        if not _is_utf8(record.key):
            raise ProblemError(problem("invalid_record", "a key that is not UTF-8 text cannot be resent"))
        target += f"?key={quote(record.key, safe='')}"
    if record.value is None:
        return ProducerRequest("DELETE", target, headers, b"")
    if record.value.startswith(codecs.BOM_UTF8):
        raise ProblemError(problem("invalid_record", "a value with a byte order mark cannot be resent unchanged"))
    return ProducerRequest("POST", target, headers, record.value)


Connect = Callable[[str, int, float], http.client.HTTPConnection]
"""Makes an unopened connection to a host and a port, with a timeout in seconds."""


def connection_to(host: str, port: int, timeout_s: float) -> http.client.HTTPConnection:
    """Return an unopened connection."""
    return http.client.HTTPConnection(host, port, timeout=timeout_s)


def send_again(record: SeenRecord, producer_url: str, api_token: str, connect: Connect = connection_to) -> Answer:
    """Publish an equal record and return the producer app's answer; blocks until it comes.

    Raises:
        ProblemError: HTTP cannot carry the record, or the producer app does not answer.
    """
    request = request_for(record)
    headers: dict[str, str | bytes] = {"Content-Type": "application/json", **request.headers}
    if api_token:
        # Of a text, http.client makes Latin-1.
        headers["Authorization"] = b"Bearer " + api_token.encode()
    parts = urlsplit(producer_url)
    connection = connect(parts.hostname or "", parts.port or 80, _RESEND_TIMEOUT_S)
    try:
        connection.connect()
    except OSError as error:
        detail = f"{producer_url} (APP_PRODUCER_URL): {error}"
        raise ProblemError(problem("producer_away", detail)) from error
    try:
        connection.request(request.method, request.target, request.body, headers)
        response = connection.getresponse()
        content_type = response.getheader("content-type") or "application/json"
        return Answer(response.status, response.read(), content_type.encode("latin-1"))
    except (OSError, http.client.HTTPException) as error:
        detail = f"{producer_url}: {error}"
        raise ProblemError(problem("producer_away", detail, outcome="unknown")) from error
    finally:
        connection.close()


def _is_awkward(value: bytes) -> bool:
    return not _is_utf8(value) or bool(_CONTROL.search(value)) or value != value.strip()


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
