"""What a scale moves, and what it throttles. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from kraftd.kafka.model import LogDir, TopicPartition, TopicState
from kraftd.kafka.round_trip import CANARY_TOPIC
from kraftd.kafka.topics import Reassignment
from kraftd.operate.scale.placement import Placement, Replicas, added, balanced

LEADER_REPLICAS = "leader.replication.throttled.replicas"
FOLLOWER_REPLICAS = "follower.replication.throttled.replicas"
LEADER_RATE = "leader.replication.throttled.rate"
FOLLOWER_RATE = "follower.replication.throttled.rate"


@dataclass(frozen=True, slots=True)
class Situation:
    """Where the replicas are.

    Attributes:
        topics: By name, internal ones included.
        reassignments: Those that are under way.
        replica_bytes: The size of each replica, by broker.
    """

    topics: Mapping[str, TopicState]
    reassignments: Mapping[TopicPartition, Reassignment] = field(default_factory=dict)
    replica_bytes: Mapping[int, Mapping[TopicPartition, int]] = field(default_factory=dict)

    @property
    def placement(self) -> dict[TopicPartition, Replicas]:
        """The replicas of each partition, once the reassignments are done."""
        found = self.current
        return found | {key: each.target for key, each in self.reassignments.items() if key in found}

    @property
    def sizes(self) -> dict[TopicPartition, int]:
        """The size of each partition: that of its largest replica, in bytes."""
        sizes: dict[TopicPartition, int] = {}
        for of_broker in self.replica_bytes.values():
            for key, size_bytes in of_broker.items():
                sizes[key] = max(size_bytes, sizes.get(key, 0))
        return sizes

    def size_bytes(self, copies: Iterable[tuple[TopicPartition, int]]) -> int:
        """Return the size of replicas that are copied, each a partition and the broker that receives it."""
        sizes = self.sizes
        return sum(sizes.get(key, 0) for key, _ in copies)

    def of(self, chosen: Collection[str]) -> "Situation":
        """Return the situation of some topics; of all but the canary's where none is named."""
        names = set(topics_of(self, chosen))
        return Situation(
            {name: topic for name, topic in self.topics.items() if name in names},
            {key: each for key, each in self.reassignments.items() if key[0] in names},
            {
                broker: {key: size for key, size in theirs.items() if key[0] in names}
                for broker, theirs in self.replica_bytes.items()
            },
        )

    @property
    def not_led_by_preferred(self) -> list[TopicPartition]:
        """The partitions that another replica leads than the preferred one."""
        partitions = [each for topic in self.topics.values() for each in topic.partitions]
        return [each.key for each in partitions if each.leader != each.replicas[0]]

    @property
    def moving_brokers(self) -> frozenset[int]:
        """The brokers that the reassignments under way need: those that receive, and the leaders, which send."""
        moving = [each for topic in self.topics.values() for each in topic.partitions if each.key in self.reassignments]
        receivers = {broker for each in self.reassignments.values() for broker in each.adding}
        return frozenset(receivers | {each.leader for each in moving if each.leader is not None})

    @property
    def current(self) -> dict[TopicPartition, Replicas]:
        """The replicas that each partition has now, those that are added and removed included."""
        return {each.key: each.replicas for topic in self.topics.values() for each in topic.partitions}


def replica_bytes(log_dirs: Mapping[int, Iterable[LogDir]]) -> dict[int, dict[TopicPartition, int]]:
    """Return the size of each replica by broker, from its log directories."""
    return {
        broker: {key: size for found in theirs for key, size in found.replica_bytes.items()}
        for broker, theirs in log_dirs.items()
    }


def spread_over(
    situation: Situation,
    brokers: Collection[int],
    replication_factor: int | None,
    chosen: Collection[str],
    before: Placement,
) -> dict[TopicPartition, Replicas]:
    """Return the new replicas of each partition that changes, for these brokers and no others.

    Args:
        situation: Where the replicas are.
        brokers: The node ids that may have replicas.
        replication_factor: The replicas of the chosen topics; None to leave their number.
        chosen: Topics by name; none for all.
        before: The replicas at the beginning, whose number the others keep: a broker that is behind still shows those
            that a reassignment has given up.
    """
    placement = _without_canary(situation.placement)
    changed = topics_of(situation, chosen) if replication_factor is not None else ()
    factors = {
        key: replication_factor if replication_factor is not None and key[0] in changed else len(before.get(key, now))
        for key, now in placement.items()
    }
    return balanced(placement, brokers, factors, situation.sizes)


def moved_back(situation: Situation, before: Placement, brokers: Collection[int]) -> dict[TopicPartition, Replicas]:
    """Return the earlier replicas of partitions that have others now; new partitions are spread over the brokers."""
    placement = _without_canary(situation.placement)
    back = {key: replicas for key, replicas in before.items() if placement.get(key, replicas) != replicas}
    new = {key: replicas for key, replicas in placement.items() if key not in before}
    factors = {key: min(len(replicas), len(brokers)) for key, replicas in new.items()}
    return back | balanced(new, brokers, factors, situation.sizes)


def topics_of(situation: Situation, chosen: Collection[str]) -> list[str]:
    """Return the topics whose number of replicas is to change: all but the canary's, or those that were chosen."""
    return [name for name in situation.topics if (name in chosen if chosen else name != CANARY_TOPIC)]


def too_many_replicas(placement: Placement, brokers: int, changed: Collection[str]) -> list[str]:
    """Return the topics that have more replicas than there will be brokers, except those whose number is changed."""
    found = {key[0] for key, replicas in placement.items() if len(replicas) > brokers}
    return sorted(found - {CANARY_TOPIC, *changed})


def throttles(before: Placement, after: Placement) -> dict[str, dict[str, str | None]]:
    """Return the settings that throttle the copies of a change, by topic: who sends, and who receives."""
    senders: dict[str, list[str]] = defaultdict(list)
    receivers: dict[str, list[str]] = defaultdict(list)
    for (topic, partition), broker in added(before, after):
        receivers[topic].append(f"{partition}:{broker}")
    for key in sorted({key for key, _ in added(before, after)}):
        senders[key[0]] += [f"{key[1]}:{broker}" for broker in before[key]]
    return {
        topic: {LEADER_REPLICAS: ",".join(senders[topic]), FOLLOWER_REPLICAS: ",".join(receivers[topic])}
        for topic in receivers
    }


def left_bytes(situation: Situation) -> int:
    """Return how much the reassignments under way have still to copy."""
    sizes = situation.sizes
    return sum(
        max(0, sizes.get(key, 0) - situation.replica_bytes.get(broker, {}).get(key, 0))
        for key, each in situation.reassignments.items()
        for broker in each.adding
    )


def _without_canary(placement: Placement) -> dict[TopicPartition, Replicas]:
    """Return the placement of what is moved: the daemon adds the canary's partition that a new broker lacks."""
    return {key: replicas for key, replicas in placement.items() if key[0] != CANARY_TOPIC}
