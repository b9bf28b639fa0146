"""Every configured broker, whether it runs or not. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from kraftd.broker.model import Partition
from kraftd.spec.plan import Node, Plan
from kraftd.watch.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class BrokerView:
    """One broker, as its process and the cluster's metadata have it together.

    Attributes:
        up: It answers on its client port.
        reason: Why it does not; None when it does.
        leads: Partitions that it leads; this and the next two are None while the topics are not known.
        in_sync: Replicas that it holds and that are in sync.
        replicas: Replicas that it holds.
    """

    node_id: int
    name: str
    address: str
    up: bool
    reason: str | None
    leads: int | None
    in_sync: int | None
    replicas: int | None


def broker_views(plan: Plan, snapshot: Snapshot) -> tuple[BrokerView, ...]:
    """Return the brokers of a plan; one that is gone stays, and says why."""
    topics = snapshot.kafka.topics
    partitions = None if topics is None else [each for topic in topics for each in topic.partitions]
    return tuple(_view(broker, snapshot, partitions) for broker in plan.brokers)


def _view(broker: Node, snapshot: Snapshot, partitions: list[Partition] | None) -> BrokerView:
    program = next((each for each in snapshot.programs if each.name == broker.name), None)
    up = program is not None and program.ready
    stopped = "it was stopped" if program is not None and not program.is_wanted else "it was not looked at"
    return BrokerView(
        node_id=broker.node_id,
        name=broker.name,
        address=broker.client.address if broker.client else "",
        up=up,
        reason=None if up else (program.reason if program is not None else None) or stopped,
        leads=_count(partitions, lambda each: each.leader == broker.node_id),
        in_sync=_count(partitions, lambda each: broker.node_id in each.in_sync_replicas),
        replicas=_count(partitions, lambda each: broker.node_id in each.replicas),
    )


def _count(partitions: list[Partition] | None, counts: Callable[[Partition], bool]) -> int | None:
    return None if partitions is None else sum(1 for each in partitions if counts(each))
