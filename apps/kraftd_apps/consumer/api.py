"""The FastAPI side of the consumer app: the page, and records as JSON."""

import json
from typing import Annotated, Any, Protocol

from fastapi import FastAPI, Query, Response
from fastapi.responses import HTMLResponse

from kraftd_apps.consumer.display import document, row_of
from kraftd_apps.consumer.hub import Hub
from kraftd_apps.consumer.log import Log
from kraftd_apps.consumer.member import Member
from kraftd_apps.consumer.query import MessagesQuery, Offset, Partition
from kraftd_apps.consumer.record import SeenRecord
from kraftd_apps.consumer.resend import send_again
from kraftd_apps.consumer.ring import Ring
from kraftd_apps.consumer.selection import selected
from kraftd_apps.consumer.settings import ConsumerSettings
from kraftd_apps.web.api import as_response, health_routes, install_docs, install_problems
from kraftd_apps.web.openapi import problems
from kraftd_apps.web.pages import Pages
from kraftd_apps.web.problems import Refused, problem
from kraftd_apps.web.threads import in_thread

PAGE_RECORDS = 10
_TAIL_WAIT_S = 2.0


_RECORDS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The records; bytes that are no UTF-8 stand in base64, and `*_encoding` says so.",
        "content": {"application/json": {"schema": {"type": "object"}}, "application/x-ndjson": {}},
    },
    **problems(400, 401, 404, 421, 503),
}
_RAW: dict[int | str, dict[str, Any]] = {
    200: {"description": "The value.", "content": {"application/octet-stream": {}}},
    204: {"description": "A tombstone."},
    **problems(400, 401, 404, 421, 503),
}
_RESENT: dict[int | str, dict[str, Any]] = {
    200: {"description": "Written again.", "content": {"application/json": {"schema": {"type": "object"}}}},
    **problems(400, 401, 403, 404, 413, 421, 422, 429, 500, 502, 503, 504),
}


_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events until the page or the app goes: `messages`, `status`, `gap`, `bye`.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    **problems(401, 421, 503),
}
_EVENTS_PARAMETERS = [
    {
        "name": "Last-Event-ID",
        "in": "header",
        "required": False,
        "description": "The last event seen: what came since is sent first, and `gap` says what is lost.",
        "schema": {"type": "string"},
    },
    {
        "name": "after",
        "in": "query",
        "required": False,
        "description": "The same, for a first connect.",
        "schema": {"type": "string"},
    },
]


class Source(Protocol):
    """What the API shows."""

    settings: ConsumerSettings
    ring: Ring
    log: Log
    hub: Hub
    member: Member


class Described(FastAPI):
    """An app whose description lacks the 422 that the framework adds: a wrong parameter is answered with 400 here."""

    def openapi(self) -> dict[str, Any]:
        """Return the description, made once."""
        if self.openapi_schema is not None:
            return self.openapi_schema
        document = super().openapi()
        document.pop("components", None)
        for operation in (each for operations in document["paths"].values() for each in operations.values()):
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
        return document


def build_api(source: Source) -> FastAPI:
    """Return the app behind the health checks and the event stream."""
    topic = source.settings.kafka.topic
    api = Described(
        title="kraftd consumer",
        summary=f"Shows what arrives on the Kafka topic {topic}.",
        description="A member of the group reads the topic and keeps the newest records in memory; older ones are read "
        "from the log without touching the group.",
        docs_url=None,
        redoc_url=None,
    )
    pages = Pages("kraftd_apps.consumer")
    install_problems(api)
    install_docs(api, pages)
    _add_page(api, pages, source)
    _add_records(api, source)
    _add_one_record(api, source)
    _describe_events(api)
    health_routes(api)
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
            seen=seen,
            can_resend=bool(source.settings.producer_url),
        )
        return HTMLResponse(html)


def _add_records(api: FastAPI, source: Source) -> None:
    @api.get("/api/messages", summary="Records", responses=_RECORDS, response_class=Response)
    async def messages(query: Annotated[MessagesQuery, Query()]) -> Response:
        """Return the newest records in memory, newest first.

        With `offset` or `timestamp`, return a part of the log in its order instead.
        """
        if query.start is not None:
            records = await source.log.read(query.start, query.limit)
            return _records_response([record for record in records if query.selection.admits(record)], query.format)
        await source.log.tail_was_read(_TAIL_WAIT_S)
        newest = (entry.record for entry in source.ring.newest(source.settings.ring_records))
        return _records_response(selected(newest, query.selection, query.limit), query.format)


def _add_one_record(api: FastAPI, source: Source) -> None:
    @api.get(
        "/api/messages/{partition}/{offset}/raw",
        summary="One value, byte for byte",
        responses=_RAW,
        response_class=Response,
    )
    async def raw(partition: Partition, offset: Offset) -> Response:
        """Return the value as a download; a tombstone has none and answers 204."""
        record = await source.log.find(partition, offset)
        if record.value is None:
            return Response(status_code=204)
        name = f"{source.settings.kafka.topic}-{partition}-{offset}.bin"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(record.value, headers=headers, media_type="application/octet-stream")

    @api.post(
        "/api/messages/{partition}/{offset}/resend",
        summary="Publish an equal record",
        responses=_RESENT,
        response_class=Response,
    )
    async def resend(partition: Partition, offset: Offset) -> Response:
        """Send the record again through the producer app and return its answer."""
        url = source.settings.producer_url
        if not url:
            raise Refused(problem("producer_away", "APP_PRODUCER_URL is off"))
        record = await source.log.find(partition, offset)
        return as_response(await in_thread(send_again, record, url, source.settings.http.api_token))


def _describe_events(api: FastAPI) -> None:
    @api.get(
        "/events",
        summary="Records as they arrive",
        responses=_EVENTS,
        response_class=Response,
        openapi_extra={"parameters": _EVENTS_PARAMETERS},
    )
    async def events() -> Response:
        """Stream new records and the app's status as server-sent events, at most ten frames a second."""
        raise Refused(problem("not_found", "this route is answered before it comes here"))


def _records_response(records: list[SeenRecord], form: str) -> Response:
    documents = [document(record) for record in records]
    if form == "json":
        return Response(json.dumps({"messages": documents}, ensure_ascii=False), media_type="application/json")
    lines = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in documents)
    headers = {"Content-Disposition": 'attachment; filename="messages.ndjson"'}
    return Response(lines, headers=headers, media_type="application/x-ndjson")
