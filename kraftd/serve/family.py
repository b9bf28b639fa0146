"""What a family of metrics is, and its text in the two formats that Prometheus reads."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate
from typing import Generic, TypeAlias, TypeVar

from kraftd.watch.kafka_view import BUCKETS_S, Histogram

T = TypeVar("T")

Value: TypeAlias = float | Histogram
Sample: TypeAlias = tuple[tuple[str | int, ...], Value]
"""The values of the labels, in their order, and the number."""

Texts: TypeAlias = Mapping[tuple[str, ...], dict[tuple[str | int, ...], str]]
"""By names and by values: labels as they stand in a line, empty where there is none."""


class MetricKind(StrEnum):
    """Prometheus' kinds of metrics, as far as they are used here."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Family(Generic[T]):
    """One family of metrics.

    Attributes:
        name: With the suffix that its samples carry: ``_total`` of a counter, ``_info`` of an info.
        text: What its numbers mean, and their unit.
        samples: Returns what is known now; what is not known is absent.
    """

    name: str
    kind: MetricKind
    labels: tuple[str, ...]
    text: str
    samples: Callable[[T], Iterable[Sample]]


@dataclass(frozen=True, slots=True)
class Rendered:
    """Families as text, in Prometheus' own format and in OpenMetrics (which lacks its last line here).

    Attributes:
        texts: Of the labels in them: many families have the same labels with the same values.
    """

    prometheus: bytes
    openmetrics: bytes
    texts: Texts = field(default_factory=dict, repr=False)


def rendered(families: Sequence[Family[T]], source: T, before: Texts | None = None) -> Rendered:
    """Return families with their samples; a family without samples is left out.

    Args:
        families: In the order in which they are exposed.
        source: What their samples are taken from.
        before: The texts of the last rendering, most of which will stand there again.
    """
    prometheus: list[str] = []
    openmetrics: list[str] = []
    texts: Texts = {family.labels: {} for family in families}
    for family in families:
        lines = "\n".join(_lines(family, source, texts[family.labels], (before or {}).get(family.labels, {})))
        if lines:
            prometheus += (_header(family.name, _kind_for_prometheus(family), family.text), lines)
            openmetrics += (_header(_name_for_openmetrics(family), family.kind.value, family.text), lines)
    return Rendered(_joined(prometheus), _joined(openmetrics), texts)


def _joined(blocks: list[str]) -> bytes:
    return "".join(f"{block}\n" for block in blocks).encode()


def _header(name: str, kind: str, text: str) -> str:
    return f"# HELP {name} {text}\n# TYPE {name} {kind}"


def _kind_for_prometheus(family: Family[T]) -> str:
    return "gauge" if family.kind is MetricKind.INFO else family.kind.value


def _name_for_openmetrics(family: Family[T]) -> str:
    suffix = {MetricKind.COUNTER: "_total", MetricKind.INFO: "_info"}.get(family.kind, "")
    return family.name.removesuffix(suffix)


def _lines(
    family: Family[T],
    source: T,
    texts: dict[tuple[str | int, ...], str],
    before: Mapping[tuple[str | int, ...], str],
) -> list[str]:
    name = family.name
    lines: list[str] = []
    for values, number in family.samples(source):
        text = texts.get(values)
        if text is None:
            text = before.get(values)
            texts[values] = text = _label_text(family.labels, values) if text is None else text
        if isinstance(number, Histogram):
            lines += _histogram_lines(name, text[1:-1], number)
        else:
            lines.append(f"{name}{text} {number}")
    return lines


def _label_text(labels: tuple[str, ...], values: tuple[str | int, ...]) -> str:
    pairs = ",".join([f'{label}="{_escaped(value)}"' for label, value in zip(labels, values, strict=True)])
    return f"{{{pairs}}}" if pairs else ""


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
