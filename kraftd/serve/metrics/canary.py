"""The metrics of the canary's round trips."""

from collections.abc import Callable, Iterator, Mapping

from kraftd.health.lag.view import Canary, Histogram, KafkaView
from kraftd.observe.canary import NOT_SENT
from kraftd.serve.metrics.family import Family, MetricKind, Sample


def _canary_success(view: KafkaView) -> Iterator[Sample]:
    if view.canary is not None:
        trips = view.canary.brokers
        failed = {node_id for node_id, failure in trips.failures.items() if failure.error not in NOT_SENT}
        for node_id in sorted(trips.values.keys() | failed):
            yield (node_id,), int(node_id in trips.values)


def _canary_times(view: KafkaView) -> Iterator[Sample]:
    for node_id, at_s in sorted(view.canary.sent_at_s.items()) if view.canary else ():
        yield (node_id,), at_s


def _canary_histogram(of: Callable[[Canary], Mapping[int, Histogram]]) -> Callable[[KafkaView], Iterator[Sample]]:
    def samples(view: KafkaView) -> Iterator[Sample]:
        for node_id, histogram in of(view.canary).items() if view.canary else ():
            yield (node_id,), histogram

    return samples


def _canary_failures(view: KafkaView) -> Iterator[Sample]:
    if view.canary is not None:
        yield from view.canary.failures.items()


CANARY_FAMILIES: tuple[Family[KafkaView], ...] = (
    Family(
        "kraftd_probe_success",
        MetricKind.GAUGE,
        ("broker_id",),
        "1 when the last canary went through the broker and back; absent while another broker leads its partition.",
        _canary_success,
    ),
    Family(
        "kraftd_probe_timestamp_seconds",
        MetricKind.GAUGE,
        ("broker_id",),
        "When that canary was sent, in seconds since the Unix epoch: a third of the brokers has its turn every 10 s.",
        _canary_times,
    ),
    Family(
        "kraftd_probe_write_seconds",
        MetricKind.HISTOGRAM,
        ("broker_id",),
        "Seconds until a canary record was written to all replicas in sync.",
        _canary_histogram(lambda canary: canary.writes),
    ),
    Family(
        "kraftd_probe_read_seconds",
        MetricKind.HISTOGRAM,
        ("broker_id",),
        "Seconds until it was read back.",
        _canary_histogram(lambda canary: canary.reads),
    ),
    Family(
        "kraftd_probe_failures_total",
        MetricKind.COUNTER,
        ("broker_id", "error"),
        "Canary records that did not come back.",
        _canary_failures,
    ),
)
"""In the order in which they are exposed."""
