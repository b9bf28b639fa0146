"""The cluster that is backed up, or restored into: its topics, offsets and commits, whole or not at all.

Brokers learn of a change one after the other, and leaders and coordinators move: each question is asked again until
every answer has come, and the brokers agree.
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from kraftd.clock import Clock
from kraftd.kafka.admin import access_error
from kraftd.kafka.administration.administrator import Administrator
from kraftd.kafka.log import EARLIEST, IsolationLevel
from kraftd.kafka.model import (
    Failure,
    GroupState,
    KafkaAccessError,
    KafkaUnavailableError,
    OffsetRange,
    TopicPartition,
    TopicState,
)
from kraftd.operate.backup.manifest import ClusterTopic, Commit, GroupCommits
from kraftd.operate.data.topic_changes import made_meanwhile, placed
from kraftd.plan.plan import Topic

K = TypeVar("K")
T = TypeVar("T")

_WITHIN_S = 30.0
_ASK_AGAIN_S = 0.2
_GONE = "GROUP_ID_NOT_FOUND"


@dataclass(frozen=True, slots=True)
class ClusterGroups:
    """The groups of a cluster at one moment.

    Attributes:
        committed: Those that have committed offsets.
        share: The names of those that commit none, because Kafka keeps what each record of theirs has come to.
    """

    committed: tuple[GroupCommits, ...]
    share: tuple[str, ...]


class BackupCluster:
    """Reads and makes the topics and commits of one cluster.

    Each call raises a KafkaAccessError where a broker refuses, or something has no answer for half a minute.
    """

    def __init__(self, kafka: Administrator, clock: Clock) -> None:
        self._kafka = kafka
        self._clock = clock

    def cluster_id(self) -> str:
        """Return the cluster's id."""
        return self._kafka.cluster_id() or ""

    def brokers(self) -> int:
        """Return the number of live brokers."""
        return len(self._kafka.brokers())

    def topics(self) -> dict[str, ClusterTopic]:
        """Return every topic by name, those that Kafka keeps for itself included."""
        return self._retried(self._topics)

    def _topics(self) -> dict[str, ClusterTopic]:
        found = self._agreed_topics()
        if not found:
            return {}
        configs = self._kafka.configs(found)
        _check("cannot read the configuration of the topic", configs.failures)
        return {
            name: ClusterTopic(
                name,
                _topic_id(topic.topic_id),
                len(topic.partitions),
                len(topic.partitions[0].replicas),
                {each.name: each.value for each in configs.values[name] if each.is_own and each.value is not None},
            )
            for name, topic in found.items()
        }

    def _agreed_topics(self) -> Mapping[str, TopicState]:
        views = list(self._kafka.topic_views().values())
        for view in views:
            _check("cannot describe the topic", view.failures)
        ids = [{name: topic.topic_id for name, topic in view.values.items()} for view in views]
        if not views or any(each != ids[0] for each in ids):
            raise KafkaUnavailableError("cannot list the topics: the brokers do not know of the same ones yet")
        return views[0].values

    def ranges(
        self, partitions: Iterable[TopicPartition], *, committed: bool = True
    ) -> dict[TopicPartition, OffsetRange]:
        """Return the first offset of each partition, and its last stable offset, else its high watermark."""
        asked = frozenset(partitions)
        level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
        return self._retried(lambda: self._ranges(asked, level)) if asked else {}

    def _ranges(self, asked: frozenset[TopicPartition], level: IsolationLevel) -> dict[TopicPartition, OffsetRange]:
        topics = self._kafka.topics({topic for topic, _ in asked})
        _check("cannot describe the topic", topics.failures)
        found = [each for topic in topics.values.values() for each in topic.partitions if each.key in asked]
        if len(found) < len(asked):
            raise KafkaUnavailableError("cannot describe the topics: a broker does not know of all partitions yet")
        begins = self._kafka.mixed_offsets((each, EARLIEST) for each in found)
        ends = self._kafka.end_offsets(found, level)
        _check("cannot read the offsets of", {**begins.failures, **ends.failures})
        return {
            each.key: OffsetRange(begins.values[each.key], max(ends.values[each.key], begins.values[each.key]))
            for each in found
        }

    def groups(self) -> ClusterGroups:
        """Return every group that has committed offsets, and the share groups."""
        return self._retried(self._groups)

    def _groups(self) -> ClusterGroups:
        listed = self._listed_groups()
        found = self._kafka.commits(listed.values())
        _check("cannot read the commits of the group", _without_gone(found.failures))
        committed = tuple(
            GroupCommits(
                name, tuple(Commit(*place, offset, metadata) for place, (offset, metadata) in sorted(commits.items()))
            )
            for name, commits in sorted(found.values.items())
            if commits
        )
        return ClusterGroups(committed, tuple(name for name, group in listed.items() if group.is_share))

    def _listed_groups(self) -> dict[str, GroupState]:
        found = self._kafka.groups()
        _check("cannot list the groups of broker", found.broker_failures)
        _check("cannot describe the group", _without_gone(found.failures))
        return dict(found.groups)

    def existing_groups(self, names: Iterable[str]) -> tuple[GroupState, ...]:
        """Return those of some groups that exist now."""
        asked = sorted(names)
        found = self._retried(self._listed_groups) if asked else {}
        return tuple(found[name] for name in asked if name in found)

    def commit(self, group: GroupCommits) -> None:
        """Set the committed offsets of a group without members."""
        self._retried(lambda: self._commit(group))

    def _commit(self, group: GroupCommits) -> None:
        what = f"cannot set the offsets of the group {group.group}"
        node_id = self._kafka.coordinator(group.group)
        if isinstance(node_id, Failure):
            raise access_error(what, node_id)
        state = GroupState(group.group, None, "", None, node_id, None)
        offsets = {(each.topic, each.partition): each.offset for each in group.commits}
        metadata = {(each.topic, each.partition): each.metadata for each in group.commits}
        _check(f"{what} in", self._kafka.commit_offsets(state, offsets, metadata))

    def create_topics(self, topics: Iterable[ClusterTopic]) -> None:
        """Create topics and wait until every broker knows their leaders.

        Raises:
            RefusedError: Something else made one of them meanwhile; it is left as it is.
        """
        metadata = self._kafka.metadata()
        brokers = [broker.node_id for broker in metadata.brokers]
        taken = [each.replicas for each in metadata.partitions]
        declared = []
        for topic in topics:
            assignment = placed(taken, topic.partitions, topic.replication_factor, brokers)
            taken += assignment
            declared.append(Topic(topic.name, assignment, tuple(topic.config.items())))
        if declared:
            outcomes = self._kafka.create_topics(declared, _WITHIN_S)
            _check("cannot create the topic", {each.name: each.failure for each in outcomes if each.failure})
            others = [each.name for each in outcomes if not each.created]
            if others:
                raise made_meanwhile("restore into", others, "Delete it, and forget this restore with --abandon.")

    def set_config(self, topic: str, config: Mapping[str, str], before: Iterable[str]) -> None:
        """Give a topic these settings of its own, and none of those that it had before."""
        changes: dict[str, str | None] = {**dict.fromkeys(before), **config}
        self._retried(lambda: self._set_config(topic, changes))

    def _set_config(self, topic: str, changes: Mapping[str, str | None]) -> None:
        failure = self._kafka.alter_configs(topic, changes)
        _check("cannot set the configuration of the topic", {topic: failure} if failure else {})

    def _retried(self, ask: Callable[[], T]) -> T:
        deadline_s = self._clock.monotonic_s() + _WITHIN_S
        while True:
            try:
                return ask()
            except KafkaAccessError as error:
                if not error.retriable or self._clock.monotonic_s() > deadline_s:
                    raise
            self._clock.sleep(_ASK_AGAIN_S)


def _check(what: str, failures: Mapping[K, Failure]) -> None:
    """Raise the first failure."""
    for key, failure in failures.items():
        name = "-".join(map(str, key)) if isinstance(key, tuple) else key
        raise access_error(f"{what} {name}", failure)


def _without_gone(failures: Mapping[str, Failure]) -> Mapping[str, Failure]:
    """Return failures of asking about listed groups: one that has been deleted since then is none of them."""
    return {name: failure for name, failure in failures.items() if failure.error != _GONE}


def _topic_id(topic_id: str | None) -> str:
    """Return an id as Kafka's own tools write it."""
    return base64.urlsafe_b64encode(UUID(topic_id).bytes).decode().rstrip("=") if topic_id else ""
