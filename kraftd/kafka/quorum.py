"""The controllers' quorum, requested through a broker: its state, and the features that its metadata log has finalized.

A finalized level is on record there, and holds for every node that ever joins.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kraftd.kafka.model import Failure, Quorum, Voter
from kraftd.kafka.wire import Request, Wire

METADATA_TOPIC = "__cluster_metadata"

METADATA_VERSION = "metadata.version"
_FIRST_WITH_VALIDATION = 1
_UPGRADE = 1
_LACKING = re.compile(r"\b(?:[Bb]roker|[Cc]ontroller) (\d+)")


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


@dataclass(frozen=True, slots=True)
class Features:
    """What one broker says.

    Attributes:
        supported: The newest level that it knows, by feature.
        finalized: The level of the cluster, by feature; one that is not finalized is absent.
    """

    supported: Mapping[str, int] = field(default_factory=dict)
    finalized: Mapping[str, int] = field(default_factory=dict)


def features_request() -> Request:
    """Return the request for the features of a broker, which is part of how clients introduce themselves."""
    return Request("ApiVersions", {"client_software_name": "kraftd", "client_software_version": "1"}, min_version=3)


def features_in(response: Any, wire: Wire) -> Features | Failure:
    """Return the features, or the reason why they are not known."""
    failure = wire.failure_of(response.error_code)
    if failure is not None:
        return failure
    return Features(
        {each.name: each.max_version for each in response.supported_features or ()},
        {each.name: each.max_version_level for each in response.finalized_features or () if each.max_version_level},
    )


def update_request(levels: Mapping[str, int], timeout_s: float, *, validate_only: bool) -> Request:
    """Return the request that finalizes levels, all or none of them."""
    updates = [
        {"feature": name, "max_version_level": level, "upgrade_type": _UPGRADE} for name, level in levels.items()
    ]
    fields = {"timeout_ms": round(timeout_s * 1000), "feature_updates": updates, "validate_only": validate_only}
    return Request("UpdateFeatures", fields, min_version=_FIRST_WITH_VALIDATION)


def update_failure(response: Any, wire: Wire) -> Failure | None:
    """Return why nothing was finalized; None if it was."""
    failure = wire.failure_of(response.error_code, response.error_message)
    # Until version 2 each feature has a reason of its own.
    own = (wire.failure_of(each.error_code, each.error_message) for each in response.results or ())
    return failure or next((each for each in own if each is not None), None)


def lacking_nodes(failure: Failure) -> tuple[int, ...]:
    """Return the nodes that Kafka names as those that lack a level: registered ones, whether they run or not."""
    return tuple(sorted({int(node_id) for node_id in _LACKING.findall(failure.text)}))
