"""The body of ``/metrics``, rendered with each snapshot, so that a scrape only joins bytes."""

import re
from collections.abc import Iterator

from kraftd.health.lag.view import KafkaView
from kraftd.health.programs.state import Snapshot
from kraftd.serve.metrics.collection import CANARY_FAMILIES, COLLECTION_FAMILIES
from kraftd.serve.metrics.family import Family, Rendered, rendered
from kraftd.serve.metrics.kafka import KAFKA_FAMILIES
from kraftd.serve.metrics.programs import PROGRAM_FAMILIES

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_OF_KAFKA = (*KAFKA_FAMILIES, *COLLECTION_FAMILIES, *CANARY_FAMILIES)
_NOTHING = Rendered(b"", b"")
_WEIGHT = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")


class Exposition:
    """Keeps the newest text; each method belongs to one thread, and readers need no lock.

    The programs are observed every second, Kafka every ten: each has its own part of the text.
    """

    def __init__(self) -> None:
        self._programs = _NOTHING
        self._kafka = _NOTHING

    def show_programs(self, snapshot: Snapshot) -> None:
        """Render the metrics of the programs."""
        self._programs = rendered(PROGRAM_FAMILIES, snapshot)

    def show_kafka(self, view: KafkaView) -> None:
        """Render the metrics of Kafka; takes a tenth of a second for thousands of partitions."""
        self._kafka = rendered(_OF_KAFKA, view)

    def body(self, accept: str) -> tuple[bytes, str]:
        """Return the text and its content type, OpenMetrics where the Accept header prefers it."""
        openmetrics = _quality(accept, "application/openmetrics-text")
        if openmetrics and openmetrics >= _quality(accept, "text/plain"):
            return self._programs.openmetrics + self._kafka.openmetrics + b"# EOF\n", OPENMETRICS
        return self._programs.prometheus + self._kafka.prometheus, PROMETHEUS


def _quality(accept: str, media_type: str) -> float:
    """Return how much an Accept header wants a type, from 0, which is not at all, to 1; wildcards do not count."""
    found = 0.0
    for offer in accept.lower().split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        if name == media_type:
            weight = next((each[2:] for each in parameters if each.startswith("q=")), "1")
            found = max(found, float(weight) if _WEIGHT.fullmatch(weight) else 0.0)
    return found


def families() -> Iterator[Family[Snapshot] | Family[KafkaView]]:
    """Return every family, in the order in which they are exposed."""
    yield from PROGRAM_FAMILIES
    yield from _OF_KAFKA
