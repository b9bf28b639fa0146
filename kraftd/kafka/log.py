"""The logs of partitions: their offsets and sizes, the headers of their batches, and the transactions open in them."""

import enum
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from kraftd import damage
from kraftd.kafka.model import (
    AbortedTransaction,
    Batch,
    Failure,
    FetchedBatches,
    LogDir,
    OpenTransaction,
    Partial,
    Partition,
    TopicPartition,
)
from kraftd.kafka.wire import NO_LEADER, Request, Wire, ask_leaders, by_topic

LATEST = -1
EARLIEST = -2
NO_OFFSET = -1

Question: TypeAlias = tuple[Partition, int]
"""A partition, and LATEST, EARLIEST or a time in milliseconds since the epoch."""

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
THROTTLED = Failure("THROTTLED", "the broker throttles this client", retriable=True)
_NONE = -1


class IsolationLevel(enum.IntEnum):
    """The end of a log to report: that of all records, or that of committed transactions."""

    READ_UNCOMMITTED = 0
    READ_COMMITTED = 1


def offsets_at(
    wire: Wire,
    partitions: Iterable[Partition],
    at_ms: int,
    isolation_level: IsolationLevel = IsolationLevel.READ_UNCOMMITTED,
) -> Partial[TopicPartition, int]:
    """Return offsets by partition; a partition without a leader, or in error, is among the failures.

    at_ms is LATEST, EARLIEST, or a time since the epoch, for the first record at that time or later; a partition
    without such a record is absent, without a failure.
    """
    return mixed_offsets(wire, ((partition, at_ms) for partition in partitions), isolation_level)


def mixed_offsets(
    wire: Wire, questions: Iterable[Question], isolation_level: IsolationLevel
) -> Partial[TopicPartition, int]:
    """Return offsets as offsets_at does, at a time of its own for each partition, which may occur only once."""

    def offset_in(partition: Any) -> int | None:
        offset: int = partition.offset
        return offset if offset != NO_OFFSET else None

    return ask_leaders(wire, questions, lambda theirs: _offsets_request(theirs, isolation_level), offset_in)


def _offsets_request(questions: Sequence[Question], isolation_level: IsolationLevel) -> Request:
    asked = by_topic(
        (partition.topic, {"partition_index": partition.partition, "timestamp": at_ms})
        for partition, at_ms in questions
    )
    topics = [{"name": topic, "partitions": partitions} for topic, partitions in asked.items()]
    return Request("ListOffsets", {"isolation_level": int(isolation_level), "topics": topics}, min_version=2)


def describe_log_dirs(wire: Wire, broker_ids: Sequence[int]) -> Partial[int, tuple[LogDir, ...]]:
    """Return each broker's log directories, with one request each; an offline directory has a failure."""
    request = Request("DescribeLogDirs", {"topics": None}, min_version=1)
    answers = wire.request_each([(node_id, request) for node_id in broker_ids])
    values: dict[int, tuple[LogDir, ...]] = {}
    failures: dict[int, Failure] = {}
    for node_id, answer in zip(broker_ids, answers, strict=True):
        failure = answer if isinstance(answer, Failure) else wire.failure_of(answer.error_code)
        if failure is not None:
            failures[node_id] = failure
        else:
            values[node_id] = tuple(_log_dir(found, wire) for found in answer.results)
    return Partial(values, failures)


def _log_dir(found: Any, wire: Wire) -> LogDir:
    replicas = {
        (topic.name, partition.partition_index): partition.partition_size
        for topic in found.topics
        for partition in topic.partitions
    }
    return LogDir(
        path=found.log_dir,
        replica_bytes=replicas,
        total_bytes=found.total_bytes if found.total_bytes >= 0 else None,
        usable_bytes=found.usable_bytes if found.usable_bytes >= 0 else None,
        failure=wire.failure_of(found.error_code),
    )


def batches_from(wire: Wire, questions: Iterable[tuple[Partition, int]]) -> Partial[TopicPartition, FetchedBatches]:
    """Return the batches from an offset of each partition on, up to its last stable offset; one Fetch to each leader.

    A broker answers with the first batch whatever its size, and with others as far as they fit into the limits.
    """
    return ask_leaders(wire, questions, lambda theirs: _fetch_request(theirs, PARTITION_BYTES), _fetched)


def place_at(wire: Wire, partition: Partition, offset: int) -> damage.Place | Failure:
    """Return what is at an offset of a partition, or why that is not known; a batch comes whole, of any size."""
    if partition.leader is None:
        return NO_LEADER
    request = _fetch_request([(partition, offset)], 1, IsolationLevel.READ_UNCOMMITTED)
    (answer,) = wire.request_each([(partition.leader, request)])
    if isinstance(answer, Failure):
        return answer
    if answer.error_code or not answer.responses:
        return wire.failure_of(answer.error_code) or THROTTLED
    found = answer.responses[0].partitions[0]
    return damage.place_of(found, offset, wire.checksum) or wire.failure_of(found.error_code) or THROTTLED


def headers(records: bytes) -> tuple[Batch, ...]:
    """Return the batches whose headers are in fetched bytes, up to a header that cannot be one.

    The last one may be cut after its header. Brokers hand out what is on disk, and a batch without a length would be
    met forever.
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


def _fetch_request(
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


def open_transactions(
    wire: Wire, partitions: Iterable[Partition], broker_ids: Sequence[int]
) -> Partial[TopicPartition, OpenTransaction]:
    """Return the oldest open transaction of each partition; a partition without one is absent.

    One DescribeProducers to each leader, then one ListTransactions to each broker and one DescribeTransactions to each
    coordinator; where these do not answer, the transactional id and the times are not known.
    """
    led = ((partition, None) for partition in partitions if partition.leader is not None)
    found = ask_leaders(wire, led, _producers_request, lambda each: _oldest(each.active_producers))
    return Partial(_described(wire, found.values, broker_ids), found.failures)


def _producers_request(asked: Sequence[tuple[Partition, None]]) -> Request:
    topics = by_topic((partition.topic, partition.partition) for partition, _ in asked)
    fields = [{"name": topic, "partition_indexes": indexes} for topic, indexes in topics.items()]
    return Request("DescribeProducers", {"topics": fields})


def _oldest(producers: Iterable[Any]) -> OpenTransaction | None:
    open_ones = [each for each in producers if each.current_txn_start_offset != _NONE]
    oldest = min(open_ones, key=lambda each: each.current_txn_start_offset, default=None)
    if oldest is None:
        return None
    written_at_s = oldest.last_timestamp / 1000 if oldest.last_timestamp != _NONE else None
    return OpenTransaction(oldest.producer_id, oldest.current_txn_start_offset, written_at_s)


def _described(
    wire: Wire, found: Mapping[TopicPartition, OpenTransaction], broker_ids: Sequence[int]
) -> Mapping[TopicPartition, OpenTransaction]:
    if not found:
        return found
    producer_ids = sorted({each.producer_id for each in found.values()})
    listing = Request("ListTransactions", {"state_filters": [], "producer_id_filters": producer_ids}, max_version=0)
    named: dict[int, list[str]] = {}
    for node_id, answer in zip(broker_ids, wire.request_each([(each, listing) for each in broker_ids]), strict=True):
        if not isinstance(answer, Failure) and answer.transaction_states:
            named[node_id] = [each.transactional_id for each in answer.transaction_states]
    requests = [
        (node_id, Request("DescribeTransactions", {"transactional_ids": ids})) for node_id, ids in named.items()
    ]
    states: dict[int, Any] = {}
    for answer in wire.request_each(requests):
        if not isinstance(answer, Failure):
            states |= {each.producer_id: each for each in answer.transaction_states if each.error_code == 0}
    return {key: _with_state(each, states.get(each.producer_id)) for key, each in found.items()}


def _with_state(transaction: OpenTransaction, state: Any) -> OpenTransaction:
    if state is None:
        return transaction
    began_at_s = state.transaction_start_time_ms / 1000 if state.transaction_start_time_ms != _NONE else None
    return replace(
        transaction,
        transactional_id=state.transactional_id,
        began_at_s=began_at_s,
        timeout_s=state.transaction_timeout_ms / 1000,
    )
