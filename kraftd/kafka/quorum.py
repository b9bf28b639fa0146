"""The state of the controllers' quorum, requested through a broker."""

from typing import Any

from kraftd.kafka.model import Failure, Quorum, Voter
from kraftd.kafka.wire import Request, Wire

METADATA_TOPIC = "__cluster_metadata"


def quorum_request() -> Request:
    """Return the request for the state of the quorum, which a broker forwards to the leader."""
    topic = {"topic_name": METADATA_TOPIC, "partitions": [{"partition_index": 0}]}
    return Request("DescribeQuorum", {"topics": [topic]})


def quorum_in(response: Any, wire: Wire) -> Quorum | Failure:
    """Return the quorum, or the reason why it is not known."""
    failure = wire.failure_of(response.error_code, response.error_message)
    if failure is not None:
        return failure
    partition = response.topics[0].partitions[0]
    failure = wire.failure_of(partition.error_code, partition.error_message)
    if failure is not None:
        return failure
    leader = next((state for state in partition.current_voters if state.replica_id == partition.leader_id), None)
    return Quorum(
        leader_id=_known(partition.leader_id),
        leader_epoch=_known(partition.leader_epoch),
        high_watermark=_known(partition.high_watermark),
        voters=tuple(_voter(state, leader) for state in partition.current_voters),
        observers=tuple(_voter(state, leader) for state in partition.observers),
    )


def _voter(state: Any, leader: Any) -> Voter:
    end = _known(state.log_end_offset)
    leader_end = None if leader is None else _known(leader.log_end_offset)
    # The leader sets all of these times, and its own to now, so that no local clock is needed for the age.
    caught_up_ms = _known(state.last_caught_up_timestamp)
    now_ms = None if leader is None else _known(leader.last_caught_up_timestamp)
    return Voter(
        node_id=state.replica_id,
        log_end_offset=end,
        lag_records=None if end is None or leader_end is None else max(0, leader_end - end),
        last_caught_up_age_s=(None if caught_up_ms is None or now_ms is None else max(0, now_ms - caught_up_ms) / 1000),
    )


def _known(number: int) -> int | None:
    return number if number >= 0 else None
