"""The routes of the status page: the page, its live part as server-sent events, and its few files."""

from collections.abc import Callable

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from kraftd.clock import Clock
from kraftd.host.events import Event, recent_events
from kraftd.serve.live import MOST_PAGES, Live
from kraftd.serve.openapi import NoQuery, problems
from kraftd.serve.page import Page
from kraftd.serve.problems import Problem
from kraftd.serve.source import Source
from kraftd.spec.plan import Plan
from kraftd.watch.snapshot import Snapshot
from kraftd.web.api import as_response
from kraftd.web.asgi import Answer
from kraftd.web.problems import HttpProblemError

_EVENTS_SHOWN = 12


def add_page(app: FastAPI, plan: Plan, source: Source, clock: Clock) -> None:
    """Add the routes to an app."""
    page = Page(plan)

    def events() -> list[Event]:
        return recent_events(plan.layout.events, _EVENTS_SHOWN)

    def content(snapshot: Snapshot | None) -> str:
        return page.content(snapshot, source.history(), events(), clock.now_s())

    @app.get(
        "/",
        response_class=HTMLResponse,
        responses={200: {"description": "The page."}, **problems(status_400="A parameter is unknown.")},
        summary="The status page",
    )
    def whole(_query: NoQuery) -> HTMLResponse:
        """Return the page; without JavaScript it loads itself again every five seconds."""
        return HTMLResponse(page.whole(source.newest(), source.history(), events(), clock.now_s()))

    _add_events(app, Live(source.newest, content, source.is_ending, clock))
    _add_static(app, page)


def _add_events(app: FastAPI, live: Live) -> None:
    stream = {"text/event-stream": {"schema": {"type": "string"}}}

    @app.get(
        "/events",
        response_class=StreamingResponse,
        responses={
            200: {
                "description": "An event `look` for each snapshot: its age and the changing part of the page, as JSON.",
                "content": stream,
            },
            **problems(status_400="A parameter is unknown.", status_503="Too many pages are open."),
        },
        summary="The live part of the status page",
    )
    async def events(_query: NoQuery) -> Response:
        if live.is_full:
            raise HttpProblemError(Problem("unavailable", f"{MOST_PAGES} pages are open; close another"))
        return StreamingResponse(live.frames(), media_type="text/event-stream")


def _add_static(app: FastAPI, page: Page) -> None:
    for address, answer in page.static.hashed.items():
        app.add_api_route(address, _file(answer), include_in_schema=False)


def _file(answer: Answer) -> Callable[[NoQuery], Response]:
    def file(_query: NoQuery) -> Response:
        return as_response(answer)

    return file
