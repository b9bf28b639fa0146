"""The status page: the health document and the last quarter of an hour, for people."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from kraftd.host.events import Event
from kraftd.serve.sparkline import HEIGHT, WIDTH, Sparkline, sparkline
from kraftd.spec import figures
from kraftd.spec.plan import Plan
from kraftd.spec.sizes import human_size
from kraftd.watch.documents import TopicSummary
from kraftd.watch.health import judge
from kraftd.watch.health_report import health_document
from kraftd.watch.history import KEPT_S, History, Moment
from kraftd.watch.snapshot import Snapshot
from kraftd.web.static import StaticFiles

_PACKAGE = "kraftd.serve"
_MOST_ROWS = 100
_STALE_TURNS = 5
_STALE_S = 5.0


@dataclass(frozen=True, slots=True)
class Chart:
    """A line with its words."""

    title: str
    line: Sparkline
    show: Callable[[float], str]


def stale_after_s(plan: Plan) -> float:
    """Return the age from which on a page calls what it shows old."""
    return max(_STALE_S, _STALE_TURNS * plan.daemon.interval_s)


class Page:
    """Renders the page, and the part of it that changes; everything that is inserted is escaped."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.static = StaticFiles(_PACKAGE)
        self._environment = Environment(
            loader=PackageLoader(_PACKAGE),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "count": figures.count,
            "plural": figures.plural,
            "rate": figures.rate,
            "duration": figures.duration,
            "latency": figures.latency,
            "size": human_size,
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
            topics=sorted(health.topics or (), key=_is_internal) if health else (),
            charts=charts(history.moments, now_s),
            events=[(event, _ago_s(event, now_s)) for event in events],
            ago=lambda at: max(0.0, now_s - datetime.fromisoformat(at).timestamp()),
        )


def charts(moments: tuple[Moment, ...], now_s: float) -> tuple[Chart, ...]:
    """Return the lines of the last quarter of an hour; without a canary the brokers' answers stand in for it."""

    def line(value: Callable[[Moment], float | None]) -> Sparkline:
        points = ((moment.time_s, value(moment)) for moment in moments)
        return sparkline(points, begin_s=now_s - KEPT_S, end_s=now_s)

    if any(moment.round_trip_s is not None for moment in moments):
        latency = Chart("Round trip of a record", line(lambda moment: moment.round_trip_s), figures.latency)
    else:
        latency = Chart("Answer of the slowest broker", line(lambda moment: moment.answer_s), figures.latency)
    return (
        Chart("Throughput", line(lambda moment: moment.produced_per_s), figures.rate),
        Chart("Lag of all groups", line(lambda moment: moment.lag), figures.count),
        latency,
    )


def _links(plan: Plan) -> tuple[tuple[str, str], ...]:
    return tuple((program.name, program.url) for program in plan.web_programs)


def _is_internal(topic: TopicSummary) -> bool:
    """Order the user's topics first, Kafka's and kraftd's own after them."""
    return topic.internal or topic.topic.startswith("__")


def _ago_s(event: Event, now_s: float) -> float:
    return max(0.0, now_s - datetime.fromisoformat(event.at).timestamp())
