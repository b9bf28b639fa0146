"""The routes of the status page, and its live part: rendered once for all open pages, only the newest for a slow one.

Everything runs on the event loop's thread, except the rendering and the notice of a change.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from kraftd.clock import Clock
from kraftd.health.programs.state import Snapshot
from kraftd.health.report.history import History
from kraftd.host.events import Event, recent_events
from kraftd.plan.plan import Plan
from kraftd.serve.front import Problem
from kraftd.serve.openapi import NoQuery, problems
from kraftd.serve.page import Page
from kraftd.web.api import as_response
from kraftd.web.asgi import PING, PING_INTERVAL_S, Answer, HttpProblemError, json_event, retry

MOST_PAGES = 64
_RETRY_MS = 1000
_EVENTS_SHOWN = 12


class Source(Protocol):
    """The daemon's newest observations; no method blocks."""

    def newest(self) -> Snapshot | None:
        """Return the newest snapshot, None before the first."""

    def history(self) -> History:
        """Return the history of earlier snapshots."""

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return the body of /metrics and its content type, in a format that is accepted."""

    def is_ending(self) -> bool:
        """Return whether open streams should end."""

    def subscribe(self, on_change: Callable[[], None]) -> None:
        """Have a function called, in any thread, at each new snapshot and when open streams should end."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The live part of one snapshot's page, as JSON."""

    html: str
    snapshot: Snapshot | None


class Live:
    """Passes each new snapshot on to every open page."""

    def __init__(
        self,
        source: Source,
        render: Callable[[Snapshot | None], str],
        clock: Clock,
        *,
        ping_s: float = PING_INTERVAL_S,
    ) -> None:
        """Store the arguments.

        Args:
            source: Has the newest snapshot, and says when there is another.
            render: Returns the live part of a snapshot's page; called in a thread.
            clock: Time, for ages.
            ping_s: After how long without a new snapshot a page is sent a ping.
        """
        self._source = source
        self._render = render
        self._clock = clock
        self._ping_s = ping_s
        self._pages = 0
        self._frame: Frame | None = None
        self._rendering = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        source.subscribe(self._wake_pages)

    @property
    def pages(self) -> int:
        """How many pages are open."""
        return self._pages

    @property
    def is_full(self) -> bool:
        """Whether no more pages are served."""
        return self._pages >= MOST_PAGES

    async def frames(self) -> AsyncIterator[bytes]:
        """Yield events to one page, until the daemon ends.

        A page that takes one late gets the newest next: what came in between was never queued for it.
        """
        self._pages += 1
        self._loop = asyncio.get_running_loop()
        try:
            yield retry(_RETRY_MS)
            sent: Frame | None = None
            while True:
                # Taken first: what changes while this page renders or sends ends its next wait at once.
                changed = self._changed
                if self._source.is_ending():
                    return
                frame = await self._current()
                if frame is not sent:
                    sent = frame
                    yield self._event(frame)
                while not await self._is_set(changed):
                    yield PING
        finally:
            self._pages -= 1

    async def _is_set(self, changed: asyncio.Event) -> bool:
        """Wait for a change; return whether there was one before it was time for a ping."""
        try:
            await asyncio.wait_for(changed.wait(), self._ping_s)
        except TimeoutError:
            return False
        return True

    def _wake_pages(self) -> None:
        """Have every open page look at the source; called in any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: no page is open any more
                self._loop.call_soon_threadsafe(self._renew)

    def _renew(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _current(self) -> Frame:
        """Return the frame of the newest snapshot; the first page that asks has it rendered for all."""
        async with self._rendering:
            snapshot = self._source.newest()
            if self._frame is None or self._frame.snapshot is not snapshot:
                html = await asyncio.to_thread(self._render, snapshot)
                self._frame = Frame(json.dumps(html), snapshot)
            return self._frame

    def _event(self, frame: Frame) -> bytes:
        """Return a server-sent event with the snapshot's current age, since the frame may be older."""
        age_s = None if frame.snapshot is None else max(0.0, self._clock.now_s() - frame.snapshot.taken_at_s)
        return json_event("snapshot", f'{{"age_s": {json.dumps(age_s)}, "html": {frame.html}}}')


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

    _add_events(app, Live(source, content, clock))
    _add_static(app, page)


def _add_events(app: FastAPI, live: Live) -> None:
    stream = {"text/event-stream": {"schema": {"type": "string"}}}

    @app.get(
        "/events",
        response_class=StreamingResponse,
        responses={
            200: {
                "description": "An event `snapshot` each time: its age and the changing part of the page, as JSON.",
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
