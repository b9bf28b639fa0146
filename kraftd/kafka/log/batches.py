"""Record batches from a Fetch of few bytes: their headers, without decoding a record, and whether they are damaged."""

import struct
from collections.abc import Iterable, Sequence
from typing import Any

from kraftd import damage
from kraftd.kafka.model import AbortedTransaction, Batch, Failure, FetchedBatches, Partial, Partition, TopicPartition
from kraftd.kafka.offsets import IsolationLevel
from kraftd.kafka.wire import NO_LEADER, Request, Wire, ask_leaders, by_topic

PARTITION_BYTES = 65_536
REQUEST_BYTES = 524_288

# Base offset, length, leader epoch, magic, checksum, attributes, last offset delta, timestamps, producer, count.
_HEADER = struct.Struct(">qiibIhiqqqhii")
_LENGTH_FROM = 12
_OLDEST_WITH_HEADER = 2
_NEWEST_FORMAT = 2
_SMALLEST_BYTES = 26
"""An empty message of the oldest format."""
_TRANSACTIONAL = 1 << 4
_CONTROL = 1 << 5
_THROTTLED = Failure("THROTTLED", "the broker throttles this client", retriable=True)


def batches_from(wire: Wire, questions: Iterable[tuple[Partition, int]]) -> Partial[TopicPartition, FetchedBatches]:
    """Return the batches from an offset of each partition on, up to its last stable offset; one Fetch to each leader.

    A broker answers with the first batch whatever its size, and with others as far as they fit into the limits.
    """
    return ask_leaders(wire, questions, lambda theirs: _request(theirs, PARTITION_BYTES), _fetched)


def place_at(wire: Wire, partition: Partition, offset: int) -> damage.Place | Failure:
    """Return what is at an offset of a partition, or why that is not known; a batch comes whole, of any size."""
    if partition.leader is None:
        return NO_LEADER
    request = _request([(partition, offset)], 1, IsolationLevel.READ_UNCOMMITTED)
    (answer,) = wire.request_each([(partition.leader, request)])
    if isinstance(answer, Failure):
        return answer
    if answer.error_code or not answer.responses:
        return wire.failure_of(answer.error_code) or _THROTTLED
    found = answer.responses[0].partitions[0]
    return damage.place_of(found, offset, wire.checksum) or wire.failure_of(found.error_code) or _THROTTLED


def headers(records: bytes) -> tuple[Batch, ...]:
    """Return the batches whose headers are in fetched bytes, up to a header that cannot be one.

    The last one may be cut after its header. Brokers hand out what is on disk, and a batch without a length would be
    met for ever.
    """
    found = []
    at = 0
    while at + _HEADER.size <= len(records):
        base, length, _, magic, _, attributes, delta, _, _, producer_id, _, _, count = _HEADER.unpack_from(records, at)
        if magic < _OLDEST_WITH_HEADER:
            # Each message of the old formats is a record, and none belongs to a transaction.
            attributes, delta, producer_id, count = 0, 0, -1, 1
        size = _LENGTH_FROM + length
        if size < _SMALLEST_BYTES or not 0 <= magic <= _NEWEST_FORMAT:
            break
        is_transactional, is_control = bool(attributes & _TRANSACTIONAL), bool(attributes & _CONTROL)
        found.append(Batch(base, base + delta, count, producer_id, is_transactional, is_control, size))
        at += size
    return tuple(found)


def _request(
    questions: Sequence[tuple[Partition, int]],
    partition_bytes: int,
    isolation_level: IsolationLevel = IsolationLevel.READ_COMMITTED,
) -> Request:
    topics = by_topic(
        (
            partition.topic,
            {"partition": partition.partition, "fetch_offset": offset, "partition_max_bytes": partition_bytes},
        )
        for partition, offset in questions
    )
    fields = {
        "max_wait_ms": 0,
        "min_bytes": 0,
        "max_bytes": REQUEST_BYTES,
        "isolation_level": int(isolation_level),
        "topics": [{"topic": topic, "partitions": partitions} for topic, partitions in topics.items()],
    }
    # Later versions name topics by id.
    return Request("Fetch", fields, min_version=4, max_version=12)


def _fetched(partition: Any) -> FetchedBatches:
    aborted = tuple(
        AbortedTransaction(each.producer_id, each.first_offset) for each in partition.aborted_transactions or ()
    )
    return FetchedBatches(headers(bytes(partition.records or b"")), aborted, partition.last_stable_offset)
