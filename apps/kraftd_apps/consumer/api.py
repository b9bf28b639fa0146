"""The FastAPI side of the consumer app: the page and the records as JSON."""

from typing import Annotated, Any, Protocol

from fastapi import FastAPI, Query
from fastapi.responses import HTMLResponse

from kraftd_apps.consumer.display import document, row_of
from kraftd_apps.consumer.member import Member
from kraftd_apps.consumer.ring import Ring
from kraftd_apps.consumer.settings import ConsumerSettings
from kraftd_apps.web.api import install_problems
from kraftd_apps.web.pages import Pages

PAGE_RECORDS = 10
_FIRST_PAGE_WAIT_S = 2.0


class Source(Protocol):
    """Where records and their circumstances come from."""

    ring: Ring
    member: Member

    async def tail_read(self, timeout_s: float) -> None:
        """Wait until the end of the log has been read back after the start, or for this many seconds."""


def build_api(source: Source, settings: ConsumerSettings) -> FastAPI:
    """Return the app behind the health checks."""
    api = FastAPI(title="kraftd consumer", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    install_problems(api)
    pages = Pages("kraftd_apps.consumer")
    api.mount("/static", pages.static)

    @api.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def page() -> str:
        await source.tail_read(_FIRST_PAGE_WAIT_S)
        return pages.render(
            "page.html",
            rows=[row_of(entry) for entry in source.ring.newest(PAGE_RECORDS)],
            topic=settings.kafka.topic,
            group=settings.group_id,
            partitions=source.member.membership.partitions,
        )

    @api.get("/api/messages", summary="The newest records, newest first")
    async def messages(limit: Annotated[int, Query(ge=1, le=1000)] = 10) -> dict[str, Any]:
        """Return records that this member has in memory."""
        await source.tail_read(_FIRST_PAGE_WAIT_S)
        return {"messages": [document(entry.record) for entry in source.ring.newest(limit)]}

    return api
