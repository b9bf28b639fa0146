"""The metrics of workers that share a port: whichever of them is asked tells those of all."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

INTERVAL_S = 1.0
"""How often a worker leaves its metrics: as old as that are those of the others."""


class Spool:
    """Where one worker leaves its metrics and finds those of the others."""

    def __init__(self, directory: Path, worker: int) -> None:
        self._directory = directory
        self._worker = worker

    def leave(self, text: bytes) -> None:
        """Leave this worker's metrics for the others."""
        path = self._directory / f"{self._worker}.prom"
        fresh = path.with_suffix(".new")
        fresh.write_bytes(text)
        fresh.replace(path)

    def merged(self, own: bytes) -> bytes:
        """Return every worker's metrics, each with the label `worker`."""
        texts = {int(path.stem): path.read_text() for path in self._directory.glob("*.prom")}
        texts[self._worker] = own.decode()
        registry = CollectorRegistry()
        registry.register(_Merged(texts))
        return generate_latest(registry)


class _Merged(Collector):
    """The metrics in some workers' texts."""

    def __init__(self, texts: Mapping[int, str]) -> None:
        self._texts = texts

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for worker, text in sorted(self._texts.items()):
            for found in text_string_to_metric_families(text):
                family = families.setdefault(found.name, Metric(found.name, found.documentation, found.type))
                for sample in found.samples:
                    family.add_sample(sample.name, {**sample.labels, "worker": str(worker)}, sample.value)
        return iter(families.values())
