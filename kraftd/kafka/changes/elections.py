"""The election of preferred leaders, which gives a broker that came back its partitions again."""

from collections.abc import Iterable

from kraftd.kafka.model import TopicPartition
from kraftd.kafka.wire import Request

_PREFERRED = 0


def election_request(partitions: Iterable[TopicPartition], timeout_s: float) -> Request:
    """Return the request that makes the first replica of each partition its leader, where it is in sync."""
    by_topic: dict[str, list[int]] = {}
    for topic, partition in partitions:
        by_topic.setdefault(topic, []).append(partition)
    chosen = [{"topic": topic, "partitions": numbers} for topic, numbers in by_topic.items()]
    fields = {"election_type": _PREFERRED, "topic_partitions": chosen, "timeout_ms": round(timeout_s * 1000)}
    return Request("ElectLeaders", fields, min_version=1)
