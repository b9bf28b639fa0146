"""Kafka metrics of the producer app."""

import json
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge


class PublisherMetrics:
    """Counters and gauges of Kafka."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._replaced = Counter(
            "kafka_producer_replacements", "Clients replaced after a fatal error.", registry=registry
        )
        self._lost = Counter(
            "kafka_producer_lost_records",
            "Records sent with ack=none that Kafka did not acknowledge.",
            ("code",),
            registry=registry,
        )
        self._inflight = Gauge(
            "kafka_producer_inflight_records", "Records that wait for their acknowledgement.", registry=registry
        )
        self._queued = Gauge(
            "kafka_producer_queued_bytes", "Bytes in the client's queues, as of its last statistics.", registry=registry
        )
        self._rtt = Gauge(
            "kafka_producer_broker_rtt_p99_seconds",
            "99th percentile of a broker's answers in the client's last 10 s window.",
            ("broker",),
            registry=registry,
        )
        self._retries = Gauge(
            "kafka_producer_request_retries", "Requests that this client repeated, so far.", registry=registry
        )

    def watch_inflight(self, read: Callable[[], int]) -> None:
        """Set the function that returns the number of records in flight at each scrape."""
        self._inflight.set_function(read)

    def replaced(self) -> None:
        """Count a client that was replaced after a fatal error."""
        self._replaced.inc()

    def lost(self, problem_code: str) -> None:
        """Count a record with ack=none that was not acknowledged."""
        self._lost.labels(problem_code).inc()

    def take_statistics(self, text: str) -> None:
        """Take librdkafka's statistics document; called on the polling thread."""
        statistics: dict[str, Any] = json.loads(text)
        self._queued.set(statistics.get("msg_size", 0))
        retries = 0
        for broker in statistics.get("brokers", {}).values():
            retries += broker.get("txretries", 0)
            if broker.get("nodeid", -1) >= 0:
                self._rtt.labels(str(broker["nodeid"])).set(broker.get("rtt", {}).get("p99", 0) / 1_000_000)
        self._retries.set(retries)
