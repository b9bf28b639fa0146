"""Topics: requests and responses that delete them and their records, and elect their leaders."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kraftd.kafka.model import Failure, Partial, Partition, TopicPartition
from kraftd.kafka.wire import Request, Wire, ask_leaders, by_topic

HIGH_WATERMARK = -1
_PREFERRED = 0
_NOT_NEEDED = "ELECTION_NOT_NEEDED"


def deletion_request(names: Sequence[str], timeout_s: float) -> Request:
    """Return the request that deletes topics, by name."""
    # Version 6 names topics in another field.
    fields = {"topic_names": list(names), "timeout_ms": round(timeout_s * 1000)}
    return Request("DeleteTopics", fields, min_version=5, max_version=5)


def deletion_failures(response: Any, wire: Wire) -> dict[str, Failure]:
    """Return why topics were not deleted, by name."""
    failures = {each.name: wire.failure_of(each.error_code, each.error_message) for each in response.responses}
    return {name: failure for name, failure in failures.items() if failure is not None}


def delete_records(wire: Wire, targets: Mapping[Partition, int], timeout_s: float) -> Partial[TopicPartition, int]:
    """Delete the records before an offset of each partition, or before its HIGH_WATERMARK; return the new starts."""

    def low_watermark(partition: Any) -> int:
        offset: int = partition.low_watermark
        return offset

    return ask_leaders(wire, targets.items(), lambda theirs: _records_request(theirs, timeout_s), low_watermark)


def _records_request(targets: Sequence[tuple[Partition, int]], timeout_s: float) -> Request:
    asked = by_topic(
        (partition.topic, {"partition_index": partition.partition, "offset": offset}) for partition, offset in targets
    )
    topics = [{"name": name, "partitions": partitions} for name, partitions in asked.items()]
    return Request("DeleteRecords", {"topics": topics, "timeout_ms": round(timeout_s * 1000)})


def election_request(partitions: Iterable[TopicPartition], timeout_s: float) -> Request:
    """Return the request that makes the first replica of each partition its leader, where it is in sync."""
    fields = {
        "election_type": _PREFERRED,
        "topic_partitions": [{"topic": name, "partitions": indexes} for name, indexes in by_topic(partitions).items()],
        "timeout_ms": round(timeout_s * 1000),
    }
    return Request("ElectLeaders", fields, min_version=1)


def election_failures(response: Any, wire: Wire) -> dict[TopicPartition, Failure]:
    """Return why partitions kept their leaders; one that its first replica leads already is no failure."""
    failures: dict[TopicPartition, Failure] = {}
    for topic in response.replica_election_results:
        for found in topic.partition_result:
            failure = wire.failure_of(found.error_code, found.error_message)
            if failure is not None and failure.error != _NOT_NEEDED:
                failures[topic.topic, found.partition_id] = failure
    return failures
