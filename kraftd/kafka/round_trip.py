"""The canary's round trip: a record written to each broker and read back, on kraftd's own topic.

Each broker is the preferred leader of one partition, added together with the broker. Nothing is ever reassigned and no
group is joined, so that the canary does not disturb the cluster.
"""

from collections.abc import Iterable, Mapping, Sequence

from kraftd.kafka.log import THROTTLED
from kraftd.kafka.model import Failure, Partial, Partition, RoundTrip, TopicState
from kraftd.kafka.wire import Request, Response, Wire
from kraftd.plan.plan import Topic

CANARY_TOPIC = "__kraftd_probe"
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
"""The error for a broker that does not lead its partition, so that nothing was sent."""

_ALL_IN_SYNC = -1
_FETCH_MAX_BYTES = 65_536
# Later versions name topics by id.
_PRODUCE_VERSIONS = {"min_version": 3, "max_version": 12}
_FETCH_VERSIONS = {"min_version": 4, "max_version": 12}


def canary_topic(broker_ids: Iterable[int], replication_factor: int) -> Topic:
    """Return the declaration of the canary topic, whose partition n has the nth broker as its preferred leader."""
    return Topic(CANARY_TOPIC, _assignment(sorted(broker_ids), replication_factor), _SETTINGS)


def missing_partitions(topic: TopicState, broker_ids: Iterable[int]) -> tuple[tuple[int, ...], ...]:
    """Return the replicas of the partitions that the canary topic lacks, for brokers without a partition to lead.

    Their number is that of the other partitions, as Kafka demands.
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
        partitions: The canary's partitions in current metadata.
        value: The record's value, different in each call.
        now_s: The record's timestamp, in seconds since the epoch.
        limit_s: How long a leader may wait for its followers.

    Returns:
        The durations, by preferred leader; a broker that does not lead its partition now is a failure.
    """
    led = {partition.replicas[0]: partition for partition in partitions if partition.leader == partition.replicas[0]}
    not_leading = {p.replicas[0]: _not_leading(p) for p in partitions if p.leader != p.replicas[0]}
    written, not_written = _write(wire, led, wire.record_batch(value, round(now_s * 1000)), limit_s)
    reads = wire.request_each_timed(
        [(node_id, _fetch(led[node_id], offset)) for node_id, (offset, _) in written.items()]
    )
    values: dict[int, RoundTrip] = {}
    unread: dict[int, Failure] = {}
    for node_id, (answer, took_s) in zip(written, reads, strict=True):
        failure = _read_failure(answer, value, wire)
        if failure is not None:
            unread[node_id] = failure
        else:
            values[node_id] = RoundTrip(write_s=written[node_id][1], read_s=took_s)
    return Partial(values, not_leading | not_written | unread)


def _write(
    wire: Wire, led: Mapping[int, Partition], batch: bytes, limit_s: float
) -> tuple[dict[int, tuple[int, float]], dict[int, Failure]]:
    """Return the offset and the duration of each broker's write."""
    written: dict[int, tuple[int, float]] = {}
    failures: dict[int, Failure] = {}
    requests = [(node_id, _produce(partition, batch, limit_s)) for node_id, partition in led.items()]
    for node_id, (answer, took_s) in zip(led, wire.request_each_timed(requests), strict=True):
        offset = _offset_in(answer, wire)
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


def _offset_in(answer: Response, wire: Wire) -> int | Failure:
    if isinstance(answer, Failure):
        return answer
    partition = answer.responses[0].partition_responses[0]
    offset: int = partition.base_offset
    return wire.failure_of(partition.error_code, partition.error_message) or offset


def _read_failure(answer: Response, value: bytes, wire: Wire) -> Failure | None:
    if isinstance(answer, Failure):
        return answer
    failure = wire.failure_of(answer.error_code)
    if failure is not None:
        return failure
    if not answer.responses:
        return THROTTLED
    partition = answer.responses[0].partitions[0]
    failure = wire.failure_of(partition.error_code)
    if failure is None and value not in wire.record_values(partition.records):
        failure = Failure("NOT_READ_BACK", "the written record is not at its offset", retriable=True)
    return failure
