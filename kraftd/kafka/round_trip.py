"""The canary: a record written to each broker and read back, on a topic of kraftd's own.

One partition is led by each broker, from the first or from when the broker came; nothing is ever reassigned, and no
group is joined, so that the canary disturbs nothing that it watches.
"""

from collections.abc import Iterable, Mapping, Sequence

from kraftd.kafka.model import Failure, Partial, Partition, RoundTrip, TopicState
from kraftd.kafka.wire import Answer, Request, Wire
from kraftd.plan.plan import Topic

PROBE_TOPIC = "__kraftd_probe"
_KEPT_MS = 600_000
_KEPT_BYTES = 1_048_576
_SETTINGS = (
    ("cleanup.policy", "delete"),
    ("min.insync.replicas", "1"),
    ("retention.bytes", str(_KEPT_BYTES)),
    ("retention.ms", str(_KEPT_MS)),
    ("segment.bytes", str(_KEPT_BYTES)),
    ("segment.ms", str(_KEPT_MS)),
)
NOT_LEADING = "NOT_LEADER"
"""The error of a broker through which nothing was sent."""

_ALL_IN_SYNC = -1
_FETCH_MAX_BYTES = 65_536
# Later versions name topics by id.
_PRODUCE_VERSIONS = {"min_version": 3, "max_version": 12}
_FETCH_VERSIONS = {"min_version": 4, "max_version": 12}


def probe_topic(broker_ids: Iterable[int], replication_factor: int) -> Topic:
    """Return the declaration of the canary's topic: partition n is led by the nth broker and followed by the next."""
    return Topic(PROBE_TOPIC, _assignment(sorted(broker_ids), replication_factor), _SETTINGS)


def missing_partitions(topic: TopicState, broker_ids: Iterable[int]) -> tuple[tuple[int, ...], ...]:
    """Return the replicas of each partition that the canary's topic lacks: of brokers that prefer to lead none.

    They are as many as those of its other partitions, which Kafka demands.
    """
    led = {partition.replicas[0] for partition in topic.partitions}
    wanted = _assignment(sorted(broker_ids), len(topic.partitions[0].replicas))
    return tuple(replicas for replicas in wanted if replicas[0] not in led)


def _assignment(ids: Sequence[int], replication_factor: int) -> tuple[tuple[int, ...], ...]:
    return tuple(
        tuple(ids[(first + step) % len(ids)] for step in range(replication_factor)) for first in range(len(ids))
    )


def round_trips(
    wire: Wire, partitions: Sequence[Partition], value: bytes, now_s: float, limit_s: float
) -> Partial[int, RoundTrip]:
    """Write a value through each broker, acknowledged by all replicas in sync, and read it back.

    Args:
        wire: Connections to the brokers.
        partitions: The canary's, as metadata has them now.
        value: What is written; no two calls with the same.
        now_s: The record's timestamp, in seconds since the epoch.
        limit_s: How long a leader may wait for its followers.

    Returns:
        How long it took, by the broker that prefers to lead; one that does not lead its partition now is a failure.
    """
    led = {partition.replicas[0]: partition for partition in partitions if partition.leader == partition.replicas[0]}
    not_leading = {p.replicas[0]: _not_leading(p) for p in partitions if p.leader != p.replicas[0]}
    written, not_written = _write(wire, led, wire.record_batch(value, round(now_s * 1000)), limit_s)
    reads = wire.ask_timed([(node_id, _fetch(led[node_id], offset)) for node_id, (offset, _) in written.items()])
    values: dict[int, RoundTrip] = {}
    not_read: dict[int, Failure] = {}
    for node_id, (answer, took_s) in zip(written, reads, strict=True):
        failure = _not_read(answer, value, wire)
        if failure is not None:
            not_read[node_id] = failure
        else:
            values[node_id] = RoundTrip(write_s=written[node_id][1], read_s=took_s)
    return Partial(values, not_leading | not_written | not_read)


def _write(
    wire: Wire, led: Mapping[int, Partition], batch: bytes, limit_s: float
) -> tuple[dict[int, tuple[int, float]], dict[int, Failure]]:
    """Return at which offset each broker wrote, and how long it took."""
    written: dict[int, tuple[int, float]] = {}
    failures: dict[int, Failure] = {}
    requests = [(node_id, _produce(partition, batch, limit_s)) for node_id, partition in led.items()]
    for node_id, (answer, took_s) in zip(led, wire.ask_timed(requests), strict=True):
        offset = _written_at(answer, wire)
        if isinstance(offset, Failure):
            failures[node_id] = offset
        else:
            written[node_id] = (offset, took_s)
    return written, failures


def _not_leading(partition: Partition) -> Failure:
    leader = "no broker" if partition.leader is None else f"broker {partition.leader}"
    return Failure(NOT_LEADING, f"{leader} leads its partition now", retriable=True)


def _produce(partition: Partition, batch: bytes, limit_s: float) -> Request:
    topic = {"name": partition.topic, "partition_data": [{"index": partition.partition, "records": batch}]}
    fields = {"acks": _ALL_IN_SYNC, "timeout_ms": round(limit_s * 1000), "topic_data": [topic]}
    return Request("Produce", fields, **_PRODUCE_VERSIONS)


def _fetch(partition: Partition, offset: int) -> Request:
    wanted = {
        "partition": partition.partition,
        "fetch_offset": offset,
        "partition_max_bytes": _FETCH_MAX_BYTES,
    }
    fields = {
        "max_wait_ms": 0,
        "min_bytes": 1,
        "max_bytes": _FETCH_MAX_BYTES,
        "topics": [{"topic": partition.topic, "partitions": [wanted]}],
    }
    return Request("Fetch", fields, **_FETCH_VERSIONS)


def _written_at(answer: Answer, wire: Wire) -> int | Failure:
    if isinstance(answer, Failure):
        return answer
    partition = answer.responses[0].partition_responses[0]
    offset: int = partition.base_offset
    return wire.failure_of(partition.error_code, partition.error_message) or offset


def _not_read(answer: Answer, value: bytes, wire: Wire) -> Failure | None:
    if isinstance(answer, Failure):
        return answer
    failure = wire.failure_of(answer.error_code)
    if failure is not None:
        return failure
    partition = answer.responses[0].partitions[0]
    failure = wire.failure_of(partition.error_code)
    if failure is None and value not in wire.record_values(partition.records):
        failure = Failure("NOT_READ_BACK", "what was written is not there", retriable=True)
    return failure
