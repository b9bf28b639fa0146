"""The Kafka part of the health document. Pure: an unknown value is None, with its reason beside it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kraftd.health.lag.time_lag import AgeBounds
from kraftd.health.lag.view import CollectorRun, KafkaView
from kraftd.health.report.documents import (
    CollectorSummary,
    GroupPartition,
    GroupSummary,
    HeldBack,
    MissingValue,
    TimeLag,
    TopicSummary,
    age_s,
)
from kraftd.health.report.history import Rates
from kraftd.kafka.model import Failure, GroupState, Partition, TopicPartition, TopicState


def collector_summaries(runs: Mapping[str, CollectorRun], now_s: float) -> Mapping[str, CollectorSummary]:
    """Return the last run of each collector, by its name."""
    return {
        name: CollectorSummary(run.up, run.duration_s, age_s(run.last_success_s, now_s), run.errors)
        for name, run in runs.items()
    }


def topic_summaries(kafka: KafkaView, rates: Rates) -> tuple[TopicSummary, ...] | None:
    """Return each topic summed up; None while the topics are not known."""
    return None if kafka.topics is None else tuple(_topic(kafka, each, rates) for each in kafka.topics)


def group_summaries(kafka: KafkaView, *, details: bool = True) -> tuple[GroupSummary, ...] | None:
    """Return each group, where wanted with its partitions; None while groups or their lag are not known."""
    if kafka.groups is None or kafka.lags is None:
        return None
    topics = kafka.topics or () if details else ()
    known = {partition.key: partition for topic in topics for partition in topic.partitions}
    return tuple(
        _group(kafka, name, group, _partitions(kafka, name, known) if details else None)
        for name, group in kafka.groups.items()
    )


def longest(ages: Iterable[AgeBounds]) -> AgeBounds | None:
    """Return the age of the oldest of several records; None of none."""
    known = list(ages)
    if not known:
        return None
    bounds = [age.at_most_s for age in known if age.at_most_s is not None]
    return AgeBounds(max(age.at_least_s for age in known), max(bounds) if len(bounds) == len(known) else None)


def _time_lag(age: AgeBounds | None) -> TimeLag | None:
    return None if age is None else TimeLag(age.at_least_s, age.at_most_s, age.estimate_s)


def _topic(kafka: KafkaView, topic: TopicState, rates: Rates) -> TopicSummary:
    return TopicSummary(
        topic=topic.name,
        internal=topic.internal,
        partitions=len(topic.partitions),
        without_leader=sum(1 for each in topic.partitions if each.leader is None),
        under_replicated=sum(1 for each in topic.partitions if len(each.in_sync_replicas) < len(each.replicas)),
        offsets=_offsets(kafka, topic),
        produced_per_s=rates.topics.get(topic.name),
        bytes=_bytes(kafka, topic),
    )


def _offsets(kafka: KafkaView, topic: TopicState) -> int | None:
    """Return the number of offsets between start and end; of a compacted topic more than there are records."""
    if kafka.offsets is None:
        return None
    ends, starts = kafka.offsets.ends.values, kafka.offsets.starts.values
    keys = [each.key for each in topic.partitions]
    if any(key not in ends or key not in starts for key in keys):
        return None
    # The starts may be read earlier than the ends, but never later.
    return sum(max(0, ends[key] - starts[key]) for key in keys)


def _bytes(kafka: KafkaView, topic: TopicState) -> int | None:
    """Return the size of all replicas on the brokers that reported it."""
    if kafka.log_dirs is None:
        return None
    sizes = [directory.replica_bytes for each in kafka.log_dirs.brokers.values.values() for directory in each]
    return sum(size.get(partition.key, 0) for size in sizes for partition in topic.partitions)


def _group(
    kafka: KafkaView, name: str, group: GroupState, partitions: tuple[GroupPartition, ...] | None
) -> GroupSummary:
    lag = (kafka.lags or {}).get(name)
    time_lags = (kafka.time_lags or {}).get(name)
    group_status = (kafka.statuses or {}).get(name)
    return GroupSummary(
        group=name,
        state=group.state,
        coordinator=group.coordinator,
        members=len(group.members) if group.members is not None else None,
        lag=lag.total.lag if lag else None,
        known_lag=lag.total.known_lag if lag else None,
        time_lag=_time_lag(longest(time_lags.values())) if time_lags else None,
        status=group_status.status if group_status else None,
        committed_partitions=lag.total.partitions if lag else None,
        uncommitted_partitions=len(lag.uncommitted) if lag else None,
        reason=_unknown_lag(kafka, name) if lag is None or lag.total.lag is None else None,
        partitions=partitions,
    )


def _unknown_lag(kafka: KafkaView, group: str) -> str:
    """Return why a group's lag is not known, or only in part."""
    found = (kafka.groups or {}).get(group)
    if found is not None and found.is_share:
        return "it is a share group, which commits no offsets: 'kraftd kafka share-groups --describe' shows its lag"
    for failures in (kafka.unreadable.commits, kafka.unreadable.groups):
        if group in failures:
            return failures[group].text
    lag = (kafka.lags or {}).get(group)
    unknown = next((each for each in lag.partitions if each.lag is None), None) if lag else None
    if unknown is None:
        return "its commits were not read yet" if lag is None else "a part of it was not read yet"
    return f"{unknown.topic}-{unknown.partition}: {_unknown_end(kafka, (unknown.topic, unknown.partition))}"


def _unknown_end(kafka: KafkaView, key: TopicPartition) -> str:
    if kafka.offsets is None:
        return "its offsets were not read"
    failure = kafka.offsets.ends.failures.get(key) or kafka.offsets.starts.failures.get(key)
    return failure.text if failure else "its offsets were not read yet"


def _held_back(kafka: KafkaView, key: TopicPartition) -> HeldBack | None:
    found = kafka.open_transactions.get(key)
    now_s = kafka.lags_taken_at_s
    if found is None or now_s is None:
        return None
    return HeldBack(
        found.start_offset,
        found.producer_id,
        found.transactional_id,
        age_s(found.began_at_s, now_s),
        age_s(found.written_at_s, now_s),
        found.timeout_s,
    )


def _partitions(
    kafka: KafkaView, group: str, known: Mapping[TopicPartition, Partition]
) -> tuple[GroupPartition, ...] | None:
    lag = (kafka.lags or {}).get(group)
    if lag is None or group in kafka.excluded.undetailed:
        return None
    time_lags = (kafka.time_lags or {}).get(group, {})
    group_status = (kafka.statuses or {}).get(group)
    statuses = group_status.partitions if group_status else {}
    found = []
    for each in lag.partitions:
        key = (each.topic, each.partition)
        partition = known.get(key)
        found.append(
            GroupPartition(
                each.topic,
                each.partition,
                each.committed,
                each.end,
                each.start,
                each.lag,
                each.offset_lag,
                each.retention_margin,
                each.ahead_of_end,
                time_lag=_time_lag(time_lags.get(key)),
                status=statuses.get(key),
                leader=partition.leader if partition else None,
                replicas=partition.replicas if partition else (),
                reason=_unknown_end(kafka, key) if each.lag is None else None,
                held_back=_held_back(kafka, key),
            )
        )
    return tuple(found)


def missing_values(kafka: KafkaView) -> Iterator[MissingValue]:
    """Yield every item that could not be read, or only in part, with the reason."""
    yield from _reasons("topic", kafka.unreadable.topics)
    yield from _reasons("group", kafka.unreadable.groups)
    yield from _reasons("commits of group", kafka.unreadable.commits)
    yield from _reasons("groups of broker", kafka.unreadable.coordinators)
    if kafka.log_dirs is not None:
        yield from _reasons("log directories of broker", kafka.log_dirs.brokers.failures)
    if kafka.canary is not None:
        yield from _reasons("canary of broker", kafka.canary.brokers.failures)
    if kafka.offsets is not None:
        yield from _reasons("end offset of partition", _named(kafka.offsets.ends.failures))
        yield from _reasons("start offset of partition", _named(kafka.offsets.starts.failures))
        yield from _reasons("last stable offset of partition", _named(kafka.offsets.last_stable.failures))


def _reasons(what: str, failures: Mapping[Any, Failure]) -> Iterator[MissingValue]:
    for name, failure in failures.items():
        yield MissingValue(what, str(name), failure.error, failure.text, failure.retriable)


def _named(failures: Mapping[TopicPartition, Failure]) -> dict[str, Failure]:
    return {f"{topic}-{partition}": failure for (topic, partition), failure in failures.items()}
