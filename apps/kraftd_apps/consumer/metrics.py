"""Kafka metrics of the consumer app; lag and brokers come from librdkafka's statistics."""

import json
import time
from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from kraftd_apps.consumer.record import SeenRecord

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0)


@dataclass(frozen=True, slots=True)
class ClientStatistics:
    """The used part of librdkafka's statistics."""

    brokers_up: int | None = None
    """The number of connected brokers; None before the first statistics."""
    lag: tuple[tuple[int, int], ...] = ()
    """Records behind the log's end, by assigned partition, as far as known."""
    unread: Mapping[int, int] = field(default_factory=dict)
    """The position of each assigned partition that has unread records, none of which has arrived."""
    is_every_broker_up: bool = True
    """Whether none of the brokers that this client has used is disconnected now."""


def statistics_of(text: str, topic: str, own: Sequence[int]) -> ClientStatistics:
    """Return the used part of librdkafka's statistics document."""
    document: dict[str, Any] = json.loads(text)
    brokers = document.get("brokers", {}).values()
    partitions = document.get("topics", {}).get(topic, {}).get("partitions", {})
    own_partitions = {number: partitions.get(str(number), {}) for number in own}
    lags = {number: found.get("consumer_lag", -1) for number, found in own_partitions.items()}
    connected = {broker.get("nodeid") for broker in brokers if broker.get("state") == "UP"}
    return ClientStatistics(
        # The group's coordinator is listed additionally, as a separate connection to one of the brokers.
        brokers_up=sum(1 for broker in brokers if broker.get("state") == "UP" and broker.get("source") != "logical"),
        lag=tuple((number, lag) for number, lag in sorted(lags.items()) if lag >= 0),
        unread={
            number: found["next_offset"]
            for number, found in own_partitions.items()
            if found.get("leader") in connected and _waits_for_records(found)
        },
        # A client connects only to the brokers that it needs, and no more to an address that it was given at first.
        is_every_broker_up=all(
            broker.get("state") in {"UP", "INIT"} for broker in brokers if broker.get("nodeid", 0) >= 0
        ),
    )


def _waits_for_records(partition: Mapping[str, Any]) -> bool:
    is_fetched = partition.get("fetch_state") == "active" and partition.get("fetchq_cnt") == 0
    return is_fetched and 0 <= partition.get("next_offset", -1) < partition.get("ls_offset", -1)


class ConsumerMetrics:
    """Counters, gauges and a histogram of Kafka."""

    def __init__(self, registry: CollectorRegistry, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s
        self._records = Counter(
            "kafka_consumer_records", "Records received as a member.", ("partition",), registry=registry
        )
        self._undecodable = Counter(
            "kafka_consumer_undecodable_records",
            "Records and batches that could not be decoded, each counted once.",
            registry=registry,
        )
        self._bytes = Counter("kafka_consumer_record_bytes", "Their keys, values and headers.", registry=registry)
        self._lag = Gauge(
            "kafka_consumer_lag_records", "Records behind the end of the log.", ("partition",), registry=registry
        )
        self._latency = Histogram(
            "kafka_consumer_end_to_end_latency_seconds",
            "From a record's timestamp to its arrival in the app; the newest record of each poll.",
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._pages = Gauge("kafka_consumer_open_pages", "Open event streams.", registry=registry)

    def watch_pages(self, read: Callable[[], int]) -> None:
        """Set the function that returns the number of open pages at each scrape."""
        self._pages.set_function(read)

    def received(self, records: Sequence[SeenRecord]) -> None:
        """Count the records of a poll."""
        for partition, count in Tally(record.partition for record in records).items():
            self._records.labels(str(partition)).inc(count)
        self._undecodable.inc(sum(1 for record in records if record.fault))
        self._bytes.inc(sum(record.size_bytes for record in records))
        timestamp_ms = records[-1].timestamp_ms
        if timestamp_ms is not None:
            self._latency.observe(max(0.0, self._now_s() - timestamp_ms / 1000))

    def show_lag(self, statistics: ClientStatistics) -> None:
        """Set the lag of the partitions that this member has now, and remove all others."""
        self._lag.clear()
        for partition, lag in statistics.lag:
            self._lag.labels(str(partition)).set(lag)
