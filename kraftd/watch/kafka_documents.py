"""The Kafka part of the health document. Pure: what is not known is null, and its reason stands under ``missing``."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any

from kraftd.broker.model import Failure, GroupState, Partition, TopicPartition, TopicState
from kraftd.watch.history import Rates
from kraftd.watch.kafka_view import KafkaView
from kraftd.watch.lag import PartitionLag
from kraftd.watch.time_lag import Age

_LAG_FIELDS = tuple(field.name for field in fields(PartitionLag))

MOST_MISSING = 200
"""More reasons than this are only counted."""


def kafka_document(kafka: KafkaView, rates: Rates, now_s: float, *, details: bool = True) -> dict[str, Any]:
    """Return quorum, topics and groups; a part that failed is null, with its reason under ``failures``.

    Args:
        kafka: What Kafka said.
        rates: How fast things go.
        now_s: Seconds since the Unix epoch.
        details: Whether groups are told with their partitions.
    """
    missing = list(_missing(kafka))
    return {
        "quorum": asdict(kafka.quorum) if kafka.quorum else None,
        "topics": None if kafka.topics is None else [_topic(kafka, each, rates) for each in kafka.topics],
        "groups": _groups(kafka, details=details),
        "groups_age_s": age_s(kafka.lags_taken_at_s, now_s),
        "failures": dict(kafka.failures),
        "missing": missing[:MOST_MISSING],
        "missing_total": len(missing),
        "dropped": {
            "topics": len(kafka.dropped.topics),
            "groups": kafka.dropped.groups,
            "undetailed_groups": len(kafka.dropped.undetailed),
        },
        "collectors": {
            name: {
                "up": run.up,
                "duration_s": run.duration_s,
                "last_success_age_s": age_s(run.last_success_s, now_s),
                "errors": dict(run.errors),
            }
            for name, run in kafka.runs.items()
        },
    }


def age_s(at_s: float | None, now_s: float) -> float | None:
    """Return how long ago something was, never a negative time; None for what never was."""
    return None if at_s is None else round(max(0.0, now_s - at_s), 3)


def age_document(age: Age | None) -> dict[str, Any] | None:
    """Return a time lag with its bounds."""
    if age is None:
        return None
    return {"at_least_s": age.at_least_s, "at_most_s": age.at_most_s, "estimate_s": age.estimate_s}


def longest(ages: Iterable[Age]) -> Age | None:
    """Return the age of the oldest of several records; None of none."""
    known = list(ages)
    if not known:
        return None
    bounds = [age.at_most_s for age in known if age.at_most_s is not None]
    return Age(max(age.at_least_s for age in known), max(bounds) if len(bounds) == len(known) else None)


def _topic(kafka: KafkaView, topic: TopicState, rates: Rates) -> dict[str, Any]:
    return {
        "topic": topic.name,
        "internal": topic.internal,
        "partitions": len(topic.partitions),
        "without_leader": sum(1 for each in topic.partitions if each.leader is None),
        "under_replicated": sum(1 for each in topic.partitions if len(each.in_sync_replicas) < len(each.replicas)),
        "offsets": _offsets(kafka, topic),
        "produced_per_s": rates.topics.get(topic.name),
        "bytes": _bytes(kafka, topic),
    }


def _offsets(kafka: KafkaView, topic: TopicState) -> int | None:
    """Return how many offsets lie between start and end; of a compacted topic more than there are records."""
    if kafka.offsets is None:
        return None
    ends, starts = kafka.offsets.ends.values, kafka.offsets.starts.values
    keys = [each.key for each in topic.partitions]
    if any(key not in ends or key not in starts for key in keys):
        return None
    # The starts may be read earlier than the ends, but never later.
    return sum(max(0, ends[key] - starts[key]) for key in keys)


def _bytes(kafka: KafkaView, topic: TopicState) -> int | None:
    """Return the size of all replicas on the brokers that told it."""
    if kafka.log_dirs is None:
        return None
    sizes = [directory.replica_bytes for each in kafka.log_dirs.brokers.values.values() for directory in each]
    return sum(size.get(partition.key, 0) for size in sizes for partition in topic.partitions)


def _groups(kafka: KafkaView, *, details: bool) -> list[dict[str, Any]] | None:
    if kafka.groups is None or kafka.lags is None:
        return None
    found = [_group(kafka, name, group) for name, group in kafka.groups.items()]
    if details:
        known = {partition.key: partition for topic in kafka.topics or () for partition in topic.partitions}
        for group in found:
            group["partitions"] = _partitions(kafka, group["group"], known)
    return found


def _group(kafka: KafkaView, name: str, group: GroupState) -> dict[str, Any]:
    lag = (kafka.lags or {}).get(name)
    waits = (kafka.waits or {}).get(name)
    pace = (kafka.paces or {}).get(name)
    return {
        "group": name,
        "state": group.state,
        "coordinator": group.coordinator,
        "members": len(group.members) if group.members is not None else None,
        "lag": lag.total.lag if lag else None,
        "known_lag": lag.total.known_lag if lag else None,
        "time_lag": age_document(longest(waits.values())) if waits else None,
        "pace": pace.status.value if pace and pace.status else None,
        "committed_partitions": lag.total.partitions if lag else None,
        "uncommitted_partitions": len(lag.uncommitted) if lag else None,
        "reason": _unknown_lag(kafka, name) if lag is None or lag.total.lag is None else None,
    }


def _unknown_lag(kafka: KafkaView, group: str) -> str:
    """Return why a group's lag is not known, or only in part."""
    for failures in (kafka.missing.commits, kafka.missing.groups):
        if group in failures:
            return failures[group].text
    lag = (kafka.lags or {}).get(group)
    unknown = next((each for each in lag.partitions if each.lag is None), None) if lag else None
    if unknown is None:
        return "its commits were not read yet" if lag is None else "it has committed nothing yet"
    return f"{unknown.topic}-{unknown.partition}: {_unknown_end(kafka, (unknown.topic, unknown.partition))}"


def _unknown_end(kafka: KafkaView, key: TopicPartition) -> str:
    failure = kafka.offsets.ends.failures.get(key) if kafka.offsets else None
    return failure.text if failure else "its end offset was not read"


def _partitions(kafka: KafkaView, group: str, known: Mapping[TopicPartition, Partition]) -> list[dict[str, Any]] | None:
    lag = (kafka.lags or {}).get(group)
    if lag is None or group in kafka.dropped.undetailed:
        return None
    waits = (kafka.waits or {}).get(group, {})
    pace = (kafka.paces or {}).get(group)
    paces = pace.partitions if pace else {}
    documents = []
    for each in lag.partitions:
        key = (each.topic, each.partition)
        partition, status = known.get(key), paces.get(key)
        documents.append(
            {
                # asdict would take ten times as long, and there may be twenty thousand of these.
                **{name: getattr(each, name) for name in _LAG_FIELDS},
                "time_lag": age_document(waits.get(key)),
                "pace": status.value if status else None,
                "leader": partition.leader if partition else None,
                "replicas": partition.replicas if partition else (),
                "reason": _unknown_end(kafka, key) if each.end is None else None,
            }
        )
    return documents


def _missing(kafka: KafkaView) -> Iterator[dict[str, Any]]:
    """Yield every single thing that has no value or only a part of one, with the reason."""
    yield from _reasons("topic", kafka.missing.topics)
    yield from _reasons("group", kafka.missing.groups)
    yield from _reasons("commits of group", kafka.missing.commits)
    yield from _reasons("groups of broker", kafka.missing.coordinators)
    if kafka.log_dirs is not None:
        yield from _reasons("log directories of broker", kafka.log_dirs.brokers.failures)
    if kafka.canary is not None:
        yield from _reasons("canary of broker", kafka.canary.brokers.failures)
    if kafka.offsets is not None:
        yield from _reasons("end offset of partition", _named(kafka.offsets.ends.failures))
        yield from _reasons("start offset of partition", _named(kafka.offsets.starts.failures))
        yield from _reasons("last stable offset of partition", _named(kafka.offsets.last_stable.failures))


def _reasons(what: str, failures: Mapping[Any, Failure]) -> Iterator[dict[str, Any]]:
    for name, failure in failures.items():
        yield {"what": what, "name": str(name), **asdict(failure)}


def _named(failures: Mapping[TopicPartition, Failure]) -> dict[str, Failure]:
    return {f"{topic}-{partition}": failure for (topic, partition), failure in failures.items()}
