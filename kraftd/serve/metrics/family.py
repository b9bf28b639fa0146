"""A family of metrics, and its text in the two formats that Prometheus reads."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate
from typing import Generic, TypeAlias, TypeVar

from kraftd.health.lag.view import BUCKETS_S, Histogram

T = TypeVar("T")

Value: TypeAlias = float | Histogram
Sample: TypeAlias = tuple[tuple[str | int, ...], Value]
"""The values of the labels, in their order, and the number."""

LabelTexts: TypeAlias = dict[tuple[str | int, ...], str]
"""By values: labels as written in a line, empty where there are none."""


class MetricKind(StrEnum):
    """The kinds of Prometheus metrics that kraftd exposes."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Family(Generic[T]):
    """One family of metrics.

    Attributes:
        name: With the suffix that its samples carry: ``_total`` of a counter, ``_info`` of an info.
        text: The meaning of its numbers, and their unit.
        samples: Returns the known values; an unknown value is absent.
    """

    name: str
    kind: MetricKind
    labels: tuple[str, ...]
    text: str
    samples: Callable[[T], Iterable[Sample]]


def gauge(name: str, labels: tuple[str, ...], text: str, samples: Callable[[T], Iterable[Sample]]) -> Family[T]:
    """Return a family of gauges."""
    return Family(name, MetricKind.GAUGE, labels, text, samples)


@dataclass(frozen=True, slots=True)
class Rendered:
    """Families as text, in Prometheus' own format and in OpenMetrics (without its last line)."""

    prometheus: bytes
    openmetrics: bytes


def rendered(families: Sequence[Family[T]], source: T) -> Rendered:
    """Return families with their samples; a family without samples is left out.

    Args:
        families: In the order in which they are exposed.
        source: The view that their samples come from.
    """
    prometheus: list[bytes] = []
    openmetrics: list[bytes] = []
    # Many families have the same labels with the same values.
    texts: dict[tuple[str, ...], LabelTexts] = {}
    for family in families:
        lines = _lines(family, source, texts.setdefault(family.labels, {}))
        if lines:
            text = "\n".join([*lines, ""]).encode()
            prometheus += (_header(family.name, _kind_for_prometheus(family), family.text), text)
            openmetrics += (_header(_name_for_openmetrics(family), family.kind.value, family.text), text)
    return Rendered(b"".join(prometheus), b"".join(openmetrics))


def _lines(family: Family[T], source: T, texts: LabelTexts) -> list[str]:
    name = family.name
    template = "{" + ",".join(f'{label}="%s"' for label in family.labels) + "}" if family.labels else ""
    lines: list[str] = []
    for values, number in family.samples(source):
        text = texts.get(values)
        if text is None:
            texts[values] = text = template % tuple(map(_escaped, values))
        if isinstance(number, Histogram):
            lines += _histogram_lines(name, text[1:-1], number)
        else:
            lines.append(f"{name}{text} {number}")
    return lines


def _header(name: str, kind: str, text: str) -> bytes:
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n".encode()


def _kind_for_prometheus(family: Family[T]) -> str:
    return "gauge" if family.kind is MetricKind.INFO else family.kind.value


def _name_for_openmetrics(family: Family[T]) -> str:
    suffix = {MetricKind.COUNTER: "_total", MetricKind.INFO: "_info"}.get(family.kind, "")
    return family.name.removesuffix(suffix)


@lru_cache(maxsize=10_000)
def _escaped(value: str | int) -> str:
    text = str(value)
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _histogram_lines(name: str, pairs: str, histogram: Histogram) -> Iterator[str]:
    bounds = [*(str(bound) for bound in BUCKETS_S), "+Inf"]
    totals = list(accumulate(histogram.counts))
    for bound, total in zip(bounds, totals, strict=True):
        yield f'{name}_bucket{{{pairs},le="{bound}"}} {total}'
    yield f"{name}_sum{{{pairs}}} {histogram.sum_s}"
    yield f"{name}_count{{{pairs}}} {totals[-1]}"
