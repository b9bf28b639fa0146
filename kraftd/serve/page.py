"""The status page: the health document as HTML, with a small line for each series."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import escape

from kraftd import units
from kraftd.escapes import escaped, named
from kraftd.health.lag.status import LagStatus
from kraftd.health.programs.state import Snapshot
from kraftd.health.programs.verdict import judge
from kraftd.health.report.documents import GroupSummary, TopicSummary
from kraftd.health.report.health import health_document
from kraftd.health.report.history import KEPT_S, History, Moment
from kraftd.host.events import Event
from kraftd.plan.plan import Plan
from kraftd.units import human_size
from kraftd.web.api import StaticFiles

WIDTH = 300
HEIGHT = 48
_MARGIN = 3


_PACKAGE = "kraftd.serve"
_MOST_ROWS = 100
_STALE_TURNS = 5
_STALE_S = 5.0


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
            ago=lambda at: max(0.0, now_s - datetime.fromisoformat(at).timestamp()),
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
    return max(0.0, now_s - datetime.fromisoformat(event.at).timestamp())
