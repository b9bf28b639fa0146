"""Kafka as the data commands ask it: topics with offsets, and groups with commits, in memory."""

from collections import defaultdict
from dataclasses import dataclass, field, replace

from kraftd.kafka.administration.settings import ConfigEntry
from kraftd.kafka.log import EARLIEST, LATEST, IsolationLevel
from kraftd.kafka.model import (
    BrokerEndpoint,
    ClusterMetadata,
    Failure,
    Groups,
    GroupState,
    LogDir,
    Member,
    Partial,
    Partition,
    TopicOutcome,
    TopicState,
)

REFUSED = Failure("REFUSED", "it is refused", retriable=False)
OWN = ConfigEntry("retention.ms", "1000", is_own=True)
DEFAULTS = (ConfigEntry("cleanup.policy", "delete", is_own=False), ConfigEntry("retention.bytes", "-1", is_own=False))


def topic(name, *replicas, internal=False, leaders=None):
    """A topic whose partitions are led by their first replica, or as said."""
    leads = leaders or [each[0] for each in replicas]
    partitions = (
        Partition(name, index, leader, tuple(each), tuple(each))
        for index, (each, leader) in enumerate(zip(replicas, leads, strict=True))
    )
    return TopicState(name, internal, tuple(partitions), f"id of {name}")


def group(name, *, state="Empty", assigned=(), coordinator=1, kind="classic"):
    members = (Member(f"{name}-1", "client", "host", tuple(assigned)),) if state != "Empty" else ()
    return GroupState(name, state, "consumer", kind, coordinator, members)


@dataclass
class FakeKafka:
    """What exists, and what was done to it.

    Attributes:
        silent_brokers: By node id, why a broker does not name its groups.
        undescribed: By group, why it cannot be described.
        unreadable_commits: By group, why its offsets cannot be read.
        shared: By share group, the topics that it took records of.
        bounds: The start and end of partitions; 0 and 10 where nothing is said.
        unreadable_ends: By partition, why its offsets cannot be read.
        last_stable: Where an open transaction of a partition began.
        at_times: The offset at each time, by partition.
        refused: Topics, partitions and groups that every change is refused of.
        made_meanwhile: Topics that something else makes just before they are created.
    """

    states: list = field(default_factory=lambda: [topic("t", (1, 2), (2, 1)), topic("__kraftd_probe", (1,))])
    described: list = field(default_factory=list)
    silent_brokers: dict = field(default_factory=dict)
    undescribed: dict = field(default_factory=dict)
    commits: dict = field(default_factory=dict)
    unreadable_commits: dict = field(default_factory=dict)
    shared: dict = field(default_factory=dict)
    bounds: dict = field(default_factory=dict)
    unreadable_ends: dict = field(default_factory=dict)
    last_stable: dict = field(default_factory=dict)
    at_times: dict = field(default_factory=dict)
    entries: tuple = (OWN, *DEFAULTS)
    refused: set = field(default_factory=set)
    made_meanwhile: tuple = ()
    did: list = field(default_factory=list)

    def metadata(self, names=None):
        brokers = tuple(BrokerEndpoint(node_id, "127.0.0.1", 9091 + node_id) for node_id in (1, 2))
        return ClusterMetadata(brokers, Partial({each.name: each for each in self.states}))

    def groups(self, brokers=None):
        listed = [each for each in self.described if each.coordinator not in self.silent_brokers]
        return Groups({each.name: each for each in listed}, self.undescribed, self.silent_brokers)

    def committed(self, groups):
        asked = [each.name for each in groups if not each.is_share]
        return Partial(
            {name: self.commits.get(name, {}) for name in asked if name not in self.unreadable_commits},
            {name: self.unreadable_commits[name] for name in asked if name in self.unreadable_commits},
        )

    def share_topics(self, groups):
        return Partial({each.name: self.shared.get(each.name, ()) for each in groups if each.is_share})

    def mixed_offsets(self, questions):
        values = {}
        for partition, at_ms in questions:
            bounds = self.bounds.get(partition.key, (0, 10))
            if at_ms in (EARLIEST, LATEST):
                values[partition.key] = bounds[at_ms == LATEST]
            elif (found := self.at_times.get((partition.key, at_ms))) is not None:
                values[partition.key] = found
        return Partial(values)

    def end_offsets(self, partitions, isolation_level):
        assert isolation_level is IsolationLevel.READ_COMMITTED
        ends = {each.key: self.bounds.get(each.key, (0, 10))[1] for each in partitions}
        found = {key: self.last_stable.get(key, end) for key, end in ends.items() if key not in self.unreadable_ends}
        return Partial(found, {key: self.unreadable_ends[key] for key in ends if key in self.unreadable_ends})

    def log_dirs(self, brokers):
        held = defaultdict(dict)
        for state in self.states:
            for partition in state.partitions:
                for broker in partition.replicas:
                    held[broker][partition.key] = 100
        return Partial({broker.node_id: (LogDir("/d", held[broker.node_id], 1, 1, None),) for broker in brokers})

    def configs(self, names):
        return Partial(dict.fromkeys(names, self.entries))

    def alter_configs(self, topic, changes, *, validate_only=False):
        self.did.append(("validate" if validate_only else "alter", topic, dict(changes)))
        return REFUSED if topic in self.refused else None

    def create_topics(self, declared, limit_s):
        self.did += [("create", each.name, each.assignment, each.config) for each in declared]
        self.states += self.made_meanwhile
        there = {each.name for each in self.states} | self.refused
        self.states = [
            *self.states,
            *(topic(each.name, *each.assignment) for each in declared if each.name not in there),
        ]
        return tuple(
            TopicOutcome(each.name, each.name not in there, failure=REFUSED if each.name in self.refused else None)
            for each in declared
        )

    def await_alteration(self, topic, partitions, config, limit_s):
        return True

    def check_creation(self, declared):
        self.did.append(("check", tuple(each.name for each in declared)))
        return {each.name: REFUSED for each in declared if each.name in self.refused}

    def add_partitions(self, topic, added, through, *, validate_only=False):
        self.did.append(("validate" if validate_only else "add", topic.name, added))
        return REFUSED if topic.name in self.refused else None

    def delete_topics(self, names):
        self.did.append(("delete", tuple(names)))
        return {name: REFUSED for name in names if name in self.refused}

    def await_deletion(self, topics, limit_s):
        self.did.append(("await deletion", tuple(each.name for each in topics)))
        return True

    def delete_records(self, targets):
        self.did.append(("clear", tuple(partition.key for partition in targets)))
        keys = [partition.key for partition in targets]
        return Partial(
            {key: self.bounds.get(key, (0, 10))[1] for key in keys if key not in self.refused},
            {key: REFUSED for key in keys if key in self.refused},
        )

    def elect_leaders(self, partitions):
        asked = tuple(partitions)
        self.did.append(("elect", asked))
        return {each: REFUSED for each in asked if each in self.refused}

    def commit_offsets(self, group, offsets):
        self.did.append(("commit", group.name, dict(offsets)))
        return {key: REFUSED for key in offsets if key in self.refused}

    def remove_offsets(self, group, partitions):
        self.did.append(("remove", group.name, tuple(partitions)))
        return {key: REFUSED for key in partitions if key in self.refused}

    def delete_groups(self, groups):
        names = [each.name for each in groups]
        self.did.append(("delete groups", tuple(names)))
        return {name: REFUSED for name in names if name in self.refused}

    def coordinator(self, group):
        return 1

    def with_leaders(self, name, *leaders):
        """Return the same with other leaders of a topic."""
        states = [topic(name, *_replicas(each), leaders=leaders) if each.name == name else each for each in self.states]
        return replace(self, states=states)


def _replicas(state):
    return [partition.replicas for partition in state.partitions]
