"""The metrics of kafka_exporter, under its names and labels, and those that its users ask for.

Where kafka_exporter invents a number (-1 for no commit, 0 for unknown), the value is absent.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from kraftd.health.lag.lag import PartitionLag
from kraftd.health.lag.view import KafkaView, Offsets
from kraftd.kafka.model import Partition, TopicPartition
from kraftd.serve.metrics.family import Family, Sample, gauge

_TOPIC = ("topic",)
_PARTITION = ("topic", "partition")
_GROUP = ("consumergroup",)
_GROUP_TOPIC = ("consumergroup", "topic")
_GROUP_PARTITION = ("consumergroup", "topic", "partition")
_STATES = ("Stable", "Empty", "PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling", "Dead")

Samples: TypeAlias = Callable[[KafkaView], Iterator[Sample]]


def _brokers(view: KafkaView) -> Iterator[Sample]:
    if view.brokers is not None:
        yield (), len(view.brokers)


def _broker_info(view: KafkaView) -> Iterator[Sample]:
    for broker in view.brokers or ():
        yield (broker.node_id, f"{broker.host}:{broker.port}"), 1


def _topic_partitions(view: KafkaView) -> Iterator[Sample]:
    for topic in view.topics or ():
        if topic.name not in view.excluded.topics:
            yield (topic.name,), len(topic.partitions)


def _of_partitions(number: Callable[[Partition], int | None]) -> Samples:
    def samples(view: KafkaView) -> Iterator[Sample]:
        for topic in view.topics or ():
            if topic.name in view.excluded.topics:
                continue
            for partition in topic.partitions:
                if (value := number(partition)) is not None:
                    yield partition.key, value

    return samples


def _of_offsets(offsets: Callable[[Offsets], Mapping[TopicPartition, int]]) -> Samples:
    def samples(view: KafkaView) -> Iterator[Sample]:
        if view.offsets is not None:
            yield from offsets(view.offsets).items()

    return samples


def _of_group_partitions(number: Callable[[PartitionLag], int | None]) -> Samples:
    def samples(view: KafkaView) -> Iterator[Sample]:
        for group, lag in (view.lags or {}).items():
            if group in view.excluded.undetailed:
                continue
            for partition in lag.partitions:
                if (value := number(partition)) is not None:
                    yield (group, partition.topic, partition.partition), value

    return samples


def _lag_sums(view: KafkaView) -> Iterator[Sample]:
    for group, lag in (view.lags or {}).items():
        for topic, total in lag.topics.items():
            if total.offset_lag is not None:
                yield (group, topic), total.offset_lag


def _offset_sums(view: KafkaView) -> Iterator[Sample]:
    for group, lag in (view.lags or {}).items():
        for topic, total in lag.topics.items():
            if total.partitions:
                yield (group, topic), total.committed


def _lag_seconds(view: KafkaView) -> Iterator[Sample]:
    for group, time_lags in (view.time_lags or {}).items():
        for (topic, partition), age in time_lags.items():
            # Without an upper bound the age is still being searched; the lower bound alone would be misleading.
            if age.at_most_s is not None:
                yield (group, topic, partition), round(age.estimate_s, 3)


def _members(view: KafkaView) -> Iterator[Sample]:
    for name, group in (view.groups or {}).items():
        if group.members is not None:
            yield (name,), len(group.members)


def _states(view: KafkaView) -> Iterator[Sample]:
    for name, group in (view.groups or {}).items():
        if group.state is not None:
            for state in dict.fromkeys((*_STATES, group.state)):
                yield (name, state), int(state == group.state)


def _uncommitted(view: KafkaView) -> Iterator[Sample]:
    for group, lag in (view.lags or {}).items():
        yield (group,), len(lag.uncommitted)


KAFKA_FAMILIES: tuple[Family[KafkaView], ...] = (
    gauge("kafka_brokers", (), "Brokers that the cluster counts as alive.", _brokers),
    gauge("kafka_broker_info", ("id", "address"), "1 for each broker that the cluster counts as alive.", _broker_info),
    gauge("kafka_topic_partitions", _TOPIC, "Partitions of the topic.", _topic_partitions),
    gauge(
        "kafka_topic_partition_current_offset",
        _PARTITION,
        "Next offset that will be assigned.",
        _of_offsets(lambda offsets: offsets.ends.values),
    ),
    gauge(
        "kafka_topic_partition_oldest_offset",
        _PARTITION,
        "First offset that retention has left; up to a minute old.",
        _of_offsets(lambda offsets: offsets.starts.values),
    ),
    gauge(
        "kafka_topic_partition_last_stable_offset",
        _PARTITION,
        "Next offset that a read_committed consumer will see once open transactions end; up to a minute old.",
        _of_offsets(lambda offsets: offsets.last_stable.values),
    ),
    gauge(
        "kafka_topic_partition_leader",
        _PARTITION,
        "Node id of the leader; absent while there is none.",
        _of_partitions(lambda each: each.leader),
    ),
    gauge(
        "kafka_topic_partition_leader_is_preferred",
        _PARTITION,
        "1 when the first replica leads.",
        _of_partitions(lambda each: int(each.leader == each.replicas[0])),
    ),
    gauge(
        "kafka_topic_partition_replicas",
        _PARTITION,
        "Replicas of the partition.",
        _of_partitions(lambda each: len(each.replicas)),
    ),
    gauge(
        "kafka_topic_partition_in_sync_replica",
        _PARTITION,
        "Replicas that are in sync.",
        _of_partitions(lambda each: len(each.in_sync_replicas)),
    ),
    gauge(
        "kafka_topic_partition_under_replicated_partition",
        _PARTITION,
        "1 when a replica is not in sync.",
        _of_partitions(lambda each: int(len(each.in_sync_replicas) < len(each.replicas))),
    ),
    gauge(
        "kafka_consumergroup_current_offset",
        _GROUP_PARTITION,
        "Next offset that the group will read; absent where it has not committed.",
        _of_group_partitions(lambda each: each.committed),
    ),
    gauge(
        "kafka_consumergroup_current_offset_sum",
        _GROUP_TOPIC,
        "The sum of the group's commits on the topic; of use for rates only.",
        _offset_sums,
    ),
    gauge(
        "kafka_consumergroup_lag",
        _GROUP_PARTITION,
        "Offsets between the group's commit and the end of the partition, as kafka_exporter has them.",
        _of_group_partitions(lambda each: each.offset_lag),
    ),
    gauge(
        "kafka_consumergroup_lag_sum",
        _GROUP_TOPIC,
        "The sum of kafka_consumergroup_lag over the topic; absent while that of one partition is not known.",
        _lag_sums,
    ),
    gauge(
        "kafka_consumergroup_lag_seconds",
        _GROUP_PARTITION,
        "How long the oldest record that the group can still read waits, in seconds, to within 10 seconds or a tenth.",
        _lag_seconds,
    ),
    gauge(
        "kafka_consumergroup_retention_margin",
        _GROUP_PARTITION,
        "Offsets between the start of the log and the group's commit; below 0, that many were lost.",
        _of_group_partitions(lambda each: each.retention_margin),
    ),
    gauge(
        "kafka_consumergroup_uncommitted_partitions",
        _GROUP,
        "Partitions of topics that the group reads, without a commit: kafka_consumergroup_lag leaves them out.",
        _uncommitted,
    ),
    gauge("kafka_consumergroup_members", _GROUP, "Members of the group.", _members),
    gauge("kafka_consumergroup_state", ("consumergroup", "state"), "1 for the state that the group is in.", _states),
)
"""In the order in which they are exposed."""
