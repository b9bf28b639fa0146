"""Open transactions: who holds a partition's last stable offset back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kraftd.kafka.model import Failure, OpenTransaction, Partial, Partition, TopicPartition
from kraftd.kafka.wire import Request, Wire, ask_leaders, by_topic

_NONE = -1


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
