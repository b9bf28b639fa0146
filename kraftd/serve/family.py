"""What a family of metrics is, and its text in the two formats that Prometheus reads."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate
from typing import Generic, TypeAlias, TypeVar

from kraftd.watch.kafka_view import BUCKETS_S, Histogram

T = TypeVar("T")

Value: TypeAlias = float | Histogram
Sample: TypeAlias = tuple[tuple[str | int, ...], Value]
"""The values of the labels, in their order, and the number."""

LabelTexts: TypeAlias = dict[tuple[str | int, ...], str]
"""By values: labels as they stand in a line, empty where there is none."""


@dataclass(frozen=True, slots=True)
class Block:
    """Samples that are written anew only where what they are made of is another object than the last time.

    Attributes:
        key: One of a kind within its family.
        made_of: Immutable.
    """

    key: str
    made_of: object
    samples: Iterable[Sample]


@dataclass(frozen=True, slots=True)
class Kept:
    """What one rendering leaves to the next, most of which will stand there again.

    Attributes:
        labels: By the labels' names: many families have the same labels with the same values.
        blocks: By family and key: what a block was made of, and its lines.
    """

    labels: dict[tuple[str, ...], LabelTexts] = field(default_factory=dict)
    blocks: dict[tuple[str, str], tuple[object, str]] = field(default_factory=dict)


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
    samples: Callable[[T], Iterable[Sample | Block]]


@dataclass(frozen=True, slots=True)
class Rendered:
    """Families as text, in Prometheus' own format and in OpenMetrics (which lacks its last line here).

    Attributes:
        kept: For the next rendering.
    """

    prometheus: bytes
    openmetrics: bytes
    kept: Kept = field(default_factory=Kept, repr=False)


def rendered(families: Sequence[Family[T]], source: T, before: Kept | None = None) -> Rendered:
    """Return families with their samples; a family without samples is left out.

    Args:
        families: In the order in which they are exposed.
        source: What their samples are taken from.
        before: What the last rendering left.
    """
    prometheus: list[bytes] = []
    openmetrics: list[bytes] = []
    kept = Kept()
    for family in families:
        writer = _Writer(family.name, family.labels, before or Kept(), kept)
        lines = writer.lines(family.samples(source))
        if lines:
            text = "\n".join([*lines, ""]).encode()
            prometheus += (_header(family.name, _kind_for_prometheus(family), family.text), text)
            openmetrics += (_header(_name_for_openmetrics(family), family.kind.value, family.text), text)
    return Rendered(b"".join(prometheus), b"".join(openmetrics), kept)


def _header(name: str, kind: str, text: str) -> bytes:
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n".encode()


def _kind_for_prometheus(family: Family[T]) -> str:
    return "gauge" if family.kind is MetricKind.INFO else family.kind.value


def _name_for_openmetrics(family: Family[T]) -> str:
    suffix = {MetricKind.COUNTER: "_total", MetricKind.INFO: "_info"}.get(family.kind, "")
    return family.name.removesuffix(suffix)


class _Writer:
    """Writes one family's lines, with what the last rendering left where it stands there again."""

    def __init__(self, name: str, labels: tuple[str, ...], before: Kept, kept: Kept) -> None:
        self._name = name
        self._labels = labels
        self._texts_before = before.labels.get(labels, {})
        self._texts = kept.labels.setdefault(labels, {})
        self._blocks_before = before.blocks
        self._blocks = kept.blocks

    def lines(self, samples: Iterable[Sample | Block]) -> list[str]:
        """Return the lines; those of a block stand in one string."""
        name = self._name
        lines: list[str] = []
        for sample in samples:
            if isinstance(sample, Block):
                if text := self._block(sample):
                    lines.append(text)
                continue
            values, number = sample
            text = self._texts.get(values) or self._label_text(values)
            if isinstance(number, Histogram):
                lines += _histogram_lines(name, text[1:-1], number)
            else:
                lines.append(f"{name}{text} {number}")
        return lines

    def _block(self, block: Block) -> str:
        key = (self._name, block.key)
        made_of, text = self._blocks_before.get(key, (None, ""))
        if made_of is not block.made_of:
            text = "\n".join(self.lines(block.samples))
        self._blocks[key] = (block.made_of, text)
        return text

    def _label_text(self, values: tuple[str | int, ...]) -> str:
        text = self._texts_before.get(values)
        self._texts[values] = text = _label_text(self._labels, values) if text is None else text
        return text


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
