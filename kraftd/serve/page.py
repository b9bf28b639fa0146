"""The status page: the health document as HTML with a small line for each series, its routes, and its live part.

It is rendered once for all open pages, and only the newest for a slow one. Everything runs on the event loop's thread,
except the rendering and the notice of a change.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import escape

from kraftd import units
from kraftd.clock import Clock
from kraftd.escapes import escaped, named
from kraftd.health.lag.status import LagStatus
from kraftd.health.programs.state import Snapshot
from kraftd.health.programs.verdict import judge
from kraftd.health.report.documents import GroupSummary, TopicSummary
from kraftd.health.report.health import health_document
from kraftd.health.report.history import KEPT_S, History, Moment
from kraftd.host.events import Event, recent_events
from kraftd.plan.plan import Plan
from kraftd.serve.front import Problem
from kraftd.units import human_size, parse_timestamp
from kraftd.web.api import NoQuery, StaticFiles, as_response, problems
from kraftd.web.asgi import PING, PING_INTERVAL_S, STREAM_HEADERS, Answer, HttpProblemError, json_event, retry
from kraftd.web.background import on_loop

WIDTH = 300
HEIGHT = 48
_MARGIN = 3

_PACKAGE = "kraftd.serve"
_MOST_ROWS = 100
_MOST_ROWS_OF_A_PHONE = 25
"""Where a row takes several lines."""
_STALE_TURNS = 5
_STALE_S = 5.0

MOST_PAGES = 64
_RETRY_MS = 1000
_EVENTS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A line to draw.

    Attributes:
        line: The ``d`` of a path, broken where no value was known.
        highest: The greatest value; None where no value is known at all.
        newest: The last value; None where it is not known.
    """

    line: str
    highest: float | None
    newest: float | None


def sparkline(points: Iterable[tuple[float, float | None]], *, begin_s: float, end_s: float) -> Sparkline:
    """Return the line through some points.

    Args:
        points: Times and values, oldest first; a value that is None is a gap.
        begin_s: The time at the left edge.
        end_s: The time at the right edge.
    """
    shown = [(at_s, value) for at_s, value in points if begin_s <= at_s <= end_s]
    highest = max((value for _, value in shown if value is not None), default=None)
    commands: list[str] = []
    is_drawing = False
    for at_s, value in shown:
        if value is None:
            is_drawing = False
            continue
        x = (at_s - begin_s) / (end_s - begin_s) * WIDTH
        # Nothing but zeros is a line at the bottom.
        y = HEIGHT - _MARGIN - (value / highest if highest else 0.0) * (HEIGHT - 2 * _MARGIN)
        # A line to the same point is a dot: a value between two gaps would not show otherwise.
        commands.append(f"{'L' if is_drawing else f'M{x:.1f} {y:.1f}L'}{x:.1f} {y:.1f}")
        is_drawing = True
    return Sparkline("".join(commands), highest, shown[-1][1] if shown else None)


@dataclass(frozen=True, slots=True)
class Chart:
    """A line with its words."""

    title: str
    line: Sparkline
    show: Callable[[float], str]


def stale_after_s(plan: Plan) -> float:
    """Return the age from which a page calls its values old."""
    return max(_STALE_S, _STALE_TURNS * plan.daemon.interval_s)


def _visible(value: object) -> object:
    """Return a value to insert: a text from outside with its control characters as they are shown in a terminal."""
    return escaped(value) if type(value) is str else value


class Page:
    """Renders the page, and the part of it that changes; everything that is inserted is escaped."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.static = StaticFiles(_PACKAGE)
        self._environment = Environment(
            loader=PackageLoader(_PACKAGE),
            autoescape=True,
            auto_reload=False,
            finalize=_visible,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "count": units.count,
            "plural": units.plural,
            "rate": units.rate,
            "duration": units.duration,
            "latency": units.latency,
            "size": human_size,
            "name": lambda text: escape(named(text)),
        }
        self._environment.globals |= {
            "cluster": plan.cluster,
            "kafka_version": plan.kafka_version,
            "bootstrap_servers": plan.access.bootstrap_servers,
            "links": _links(plan),
            "stale_after_s": stale_after_s(plan),
            "static": self.static.address,
            "chart_width": WIDTH,
            "chart_height": HEIGHT,
            "most_rows": _MOST_ROWS,
            "most_rows_of_a_phone": _MOST_ROWS_OF_A_PHONE,
        }

    def whole(self, snapshot: Snapshot | None, history: History, events: Iterable[Event], now_s: float) -> str:
        """Return the page."""
        return self._rendered("page.html", snapshot, history, events, now_s)

    def content(self, snapshot: Snapshot | None, history: History, events: Iterable[Event], now_s: float) -> str:
        """Return the part that changes."""
        return self._rendered("content.html", snapshot, history, events, now_s)

    def _rendered(
        self, template: str, snapshot: Snapshot | None, history: History, events: Iterable[Event], now_s: float
    ) -> str:
        health = None
        if snapshot is not None:
            verdict = judge(snapshot, (topic.name for topic in self._plan.topics))
            health = health_document(self._plan, snapshot, verdict, now_s, history, details=False)
        return self._environment.get_template(template).render(
            health=health,
            groups=sorted(health.groups or (), key=_order_of_group) if health else (),
            topics=sorted(health.topics or (), key=_order_of_topic) if health else (),
            charts=charts(history.moments, now_s),
            events=[(event, _ago_s(event, now_s)) for event in events],
            ago=lambda at: max(0.0, now_s - parse_timestamp(at)),
        )


def charts(moments: tuple[Moment, ...], now_s: float) -> tuple[Chart, ...]:
    """Return the charts of the last 15 minutes; without a canary, with the brokers' response times."""

    def line(value: Callable[[Moment], float | None]) -> Sparkline:
        points = ((moment.time_s, value(moment)) for moment in moments)
        return sparkline(points, begin_s=now_s - KEPT_S, end_s=now_s)

    if any(moment.round_trip_s is not None for moment in moments):
        latency = Chart("Round trip of a record", line(lambda moment: moment.round_trip_s), units.latency)
    else:
        latency = Chart("Answer of the slowest broker", line(lambda moment: moment.answer_s), units.latency)
    return (
        Chart("Throughput", line(lambda moment: moment.produced_per_s), units.rate),
        Chart("Lag of all groups", line(lambda moment: moment.lag), units.count),
        latency,
    )


def _links(plan: Plan) -> tuple[tuple[str, str], ...]:
    return tuple((program.name, program.url) for program in plan.web_programs)


def _order_of_group(group: GroupSummary) -> bool:
    """Order first what must not be among the rows that are left out."""
    return group.status in {None, LagStatus.OK, LagStatus.EMPTY}


def _order_of_topic(topic: TopicSummary) -> tuple[bool, bool]:
    """Order as groups; then the user's topics before Kafka's and kraftd's own."""
    is_well = not topic.without_leader and not topic.under_replicated
    return is_well, topic.internal or topic.topic.startswith("__")


def _ago_s(event: Event, now_s: float) -> float:
    return max(0.0, now_s - parse_timestamp(event.at))


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


class LiveUpdates:
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
            on_loop(self._loop, self._renew)

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

    _add_events(app, LiveUpdates(source, content, clock))
    _add_static(app, page)


def _add_events(app: FastAPI, live: LiveUpdates) -> None:
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
        return StreamingResponse(live.frames(), headers=STREAM_HEADERS)


def _add_static(app: FastAPI, page: Page) -> None:
    for address, answer in page.static.hashed.items():
        app.add_api_route(address, _file(answer), include_in_schema=False)


def _file(answer: Answer) -> Callable[[NoQuery], Response]:
    def file(_query: NoQuery) -> Response:
        return as_response(answer)

    return file
