"""The views of every configured broker, whether it runs or not. Pure."""

from collections.abc import Callable

from kraftd.health.lag.view import KafkaView
from kraftd.health.programs.state import BrokerContact, Snapshot
from kraftd.health.report.documents import BrokerView, Disk, age_s
from kraftd.kafka.model import Partition
from kraftd.plan.kinds import Node
from kraftd.plan.plan import Plan


def broker_views(plan: Plan, snapshot: Snapshot, now_s: float) -> tuple[BrokerView, ...]:
    """Return the brokers of a plan; a broker that does not run is included, with the reason."""
    topics = snapshot.kafka.topics
    partitions = None if topics is None else [each for topic in topics for each in topic.partitions]
    return tuple(_view(broker, snapshot, partitions, now_s) for broker in plan.brokers)


def _view(broker: Node, snapshot: Snapshot, partitions: list[Partition] | None, now_s: float) -> BrokerView:
    program = next((each for each in snapshot.programs if each.name == broker.name), None)
    up = program is not None and program.ready
    stopped = "it was stopped" if program is not None and not program.is_wanted else "it was not observed"
    contact = snapshot.contacts.get(broker.node_id, BrokerContact())
    canary = snapshot.kafka.canary
    return BrokerView(
        node_id=broker.node_id,
        name=broker.name,
        address=broker.client.address if broker.client else "",
        up=up,
        reason=None if up else (program.reason if program is not None else None) or stopped,
        unfenced=contact.unfenced,
        answer_s=contact.latency_s,
        round_trip=canary.brokers.values.get(broker.node_id) if canary else None,
        leads=_count(partitions, lambda each: each.leader == broker.node_id),
        in_sync=_count(partitions, lambda each: broker.node_id in each.in_sync_replicas),
        replicas=_count(partitions, lambda each: broker.node_id in each.replicas),
        disks=_disks(snapshot.kafka, broker.node_id),
        canary_age_s=age_s(canary.sent_at_s.get(broker.node_id), now_s) if canary else None,
    )


def _count(partitions: list[Partition] | None, counts: Callable[[Partition], bool]) -> int | None:
    return None if partitions is None else sum(1 for each in partitions if counts(each))


def _disks(kafka: KafkaView, node_id: int) -> tuple[Disk, ...] | None:
    directories = kafka.log_dirs.brokers.values.get(node_id) if kafka.log_dirs else None
    if directories is None:
        return None
    return tuple(
        Disk(each.path, None, None, None, each.failure.text)
        if each.failure
        else Disk(each.path, sum(each.replica_bytes.values()), each.usable_bytes, each.total_bytes, None)
        for each in directories
    )
