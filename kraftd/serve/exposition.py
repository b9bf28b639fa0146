"""A snapshot as Prometheus metrics. No I/O: a scrape never waits for Kafka."""

from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

import kraftd
from kraftd.broker.model import Partition
from kraftd.spec.plan import Kind, Plan
from kraftd.watch.kafka_view import KafkaView
from kraftd.watch.snapshot import Snapshot


class SnapshotCollector(Collector):
    """Turns one snapshot into metric families."""

    def __init__(self, plan: Plan, snapshot: Snapshot | None, now_s: float) -> None:
        self._plan = plan
        self._snapshot = snapshot
        self._now_s = now_s

    def collect(self) -> Iterator[Metric]:
        """Yield every family; a value that is not known is absent, never 0 or -1."""
        yield InfoMetricFamily("kraftd_build", "The running kraftd.", {"version": kraftd.__version__})
        if self._snapshot is None:
            return
        age = GaugeMetricFamily("kraftd_snapshot_age_seconds", "Seconds since the cluster was looked at.")
        age.add_metric([], max(0.0, self._now_s - self._snapshot.taken_at_s))
        yield age
        yield self._brokers_up(self._snapshot)
        yield from self._processes(self._snapshot)
        yield from _quorum(self._snapshot.kafka)
        yield from _topics(self._snapshot.kafka)
        yield from _groups(self._snapshot.kafka)

    def _brokers_up(self, snapshot: Snapshot) -> Metric:
        up = GaugeMetricFamily(
            "kraftd_broker_up", "1 when the broker answers on its client port, for every broker.", labels=["broker_id"]
        )
        ready = {program.node_id for program in snapshot.programs if program.kind is Kind.BROKER and program.ready}
        for broker in self._plan.brokers:
            up.add_metric([str(broker.node_id)], float(broker.node_id in ready))
        return up

    def _processes(self, snapshot: Snapshot) -> Iterator[Metric]:
        up = GaugeMetricFamily("kraftd_process_up", "1 when the program's process runs.", labels=["name", "kind"])
        restarts = GaugeMetricFamily(
            "kraftd_process_restarts", "Restarts by kraftd since the cluster was started.", labels=["name", "kind"]
        )
        for program in snapshot.programs:
            labels = [program.name, program.kind.value]
            up.add_metric(labels, float(program.pid is not None))
            restarts.add_metric(labels, program.restarts)
        yield up
        yield restarts


def _quorum(kafka: KafkaView) -> Iterator[Metric]:
    if kafka.quorum is None or kafka.quorum.leader_id is None:
        return
    leader = GaugeMetricFamily("kraftd_quorum_leader_id", "Node id of the active controller.")
    leader.add_metric([], kafka.quorum.leader_id)
    yield leader
    if kafka.quorum.leader_epoch is not None:
        epoch = GaugeMetricFamily("kraftd_quorum_leader_epoch", "The quorum's leader epoch.")
        epoch.add_metric([], kafka.quorum.leader_epoch)
        yield epoch


_TOPIC_PARTITION = ["topic", "partition"]


def _topics(kafka: KafkaView) -> Iterator[Metric]:
    """Yield kafka_exporter's topic families, under its names and labels."""
    if kafka.topics is None:
        return
    count = GaugeMetricFamily("kafka_topic_partitions", "Partitions of the topic.", labels=["topic"])
    for topic in kafka.topics:
        count.add_metric([topic.name], len(topic.partitions))
    yield count
    partitions = [partition for topic in kafka.topics for partition in topic.partitions]
    for name, text, value in _PARTITION_FAMILIES:
        family = GaugeMetricFamily(f"kafka_topic_partition_{name}", text, labels=_TOPIC_PARTITION)
        for partition in partitions:
            number = value(partition)
            if number is not None:
                family.add_metric([partition.topic, str(partition.partition)], number)
        yield family


_PARTITION_FAMILIES: tuple[tuple[str, str, Callable[[Partition], int | None]], ...] = (
    ("leader", "Node id of the leader; absent while there is none.", lambda each: each.leader),
    ("leader_is_preferred", "1 when the first replica leads.", lambda each: int(each.leader == each.replicas[0])),
    ("replicas", "Replicas of the partition.", lambda each: len(each.replicas)),
    ("in_sync_replica", "Replicas that are in sync.", lambda each: len(each.in_sync_replicas)),
    (
        "under_replicated_partition",
        "1 when a replica is not in sync.",
        lambda each: int(len(each.in_sync_replicas) < len(each.replicas)),
    ),
)


def _groups(kafka: KafkaView) -> Iterator[Metric]:
    if kafka.lags is None:
        return
    members = GaugeMetricFamily("kafka_consumergroup_members", "Members of the group.", labels=["consumergroup"])
    for name, state in (kafka.groups or {}).items():
        if state.members is not None:
            members.add_metric([name], len(state.members))
    yield members
    labels = ["consumergroup", "topic", "partition"]
    offset = GaugeMetricFamily(
        "kafka_consumergroup_current_offset", "Next offset that the group will read.", labels=labels
    )
    lag = GaugeMetricFamily("kafka_consumergroup_lag", "Records between the group and the log end.", labels=labels)
    total = GaugeMetricFamily(
        "kafka_consumergroup_lag_sum", "The group's lag over a topic.", labels=["consumergroup", "topic"]
    )
    for group, group_lag in kafka.lags.items():
        for partition in group_lag.partitions:
            values = [group, partition.topic, str(partition.partition)]
            offset.add_metric(values, partition.committed)
            if partition.lag is not None:
                lag.add_metric(values, partition.lag)
        for topic, topic_lag in group_lag.topics.items():
            if topic_lag.lag is not None:
                total.add_metric([group, topic], topic_lag.lag)
    yield offset
    yield lag
    yield total
