"""What a restore is to do: topics to make, partitions and where they begin, commits; and its journal. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from kraftd.errors import IdentityMismatchError, RefusedError
from kraftd.kafka.model import OffsetRange, TopicPartition
from kraftd.operate.backup.manifest import BackupManifest, BackupTopic, ClusterTopic, Commit, GroupCommits
from kraftd.plan.kinds import MIN_IN_SYNC_REPLICAS
from kraftd.units import plural

_FOREVER = str(2**63 - 1)
_MARK = "kraftd:"
"""kraftd's consumer commits the topic's id with an offset, and uses none with another id."""

WHILE_RESTORING = {
    "cleanup.policy": "delete",
    "compression.type": "producer",
    "max.message.bytes": str(100 * 1024 * 1024),
    "message.timestamp.after.max.ms": _FOREVER,
    "message.timestamp.before.max.ms": _FOREVER,
    "message.timestamp.type": "CreateTime",
    "retention.bytes": "-1",
    "retention.ms": "-1",
}
"""The settings of a topic while records are written to it: none is removed, compacted or refused, and the time of
each stays. A partition that only grows tells by its end how far an interrupted restore came."""


@dataclass(frozen=True, slots=True)
class TopicRestorePlan:
    """A topic to restore.

    Attributes:
        config: The settings that it gets at the end; those of a topic that existed stay.
        bases: Per partition the offset of the first restored record.
        archived_id: The id of the topic that was backed up.
        is_created: Whether the restore makes the topic.
    """

    name: str
    replication_factor: int
    config: dict[str, str]
    bases: tuple[int, ...]
    archived_id: str
    is_created: bool


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """A restore, as its journal keeps it.

    Attributes:
        target: Where the backup is.
        backup: Its id.
        checksum: The checksum of its manifest.
        cluster_id: The cluster that it is restored into.
        notes: What differs from the cluster that was backed up.
    """

    target: str
    backup: str
    checksum: str
    cluster_id: str
    topics: tuple[TopicRestorePlan, ...]
    groups: tuple[GroupCommits, ...]
    notes: tuple[str, ...] = ()
    schema_version: int = 1

    def without_bases(self) -> "RestorePlan":
        """Return it as if every partition were empty, which two plans have in common where others wrote meanwhile."""
        topics = tuple(replace(topic, bases=(0,) * len(topic.bases)) for topic in self.topics)
        return replace(self, topics=topics)

    def to_json(self) -> str:
        """Return the text of the journal."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1).decode() + "\n"


def parse_journal(text: str, path: Path) -> RestorePlan:
    """Return the restore that a journal holds.

    Raises:
        IdentityMismatchError: It is damaged, or of a newer kraftd.
    """
    try:
        found = msgspec.json.decode(text, type=RestorePlan)
    except msgspec.MsgspecError as error:
        raise IdentityMismatchError(
            f"cannot read the journal of a restore {path}: it is damaged ({error})",
            hint="Delete the topics that it was to restore, then that file.",
            code="journal_damaged",
        ) from error
    if found.schema_version != 1:
        raise IdentityMismatchError(
            f"cannot read the journal of a restore {path}: a newer kraftd wrote it",
            hint="Use that kraftd.",
            code="journal_too_new",
        )
    return found


@dataclass(frozen=True, slots=True)
class Destination:
    """The cluster to restore into, as it is before.

    Attributes:
        brokers: How many it has.
        alive: How many of them run.
        ranges: Of the partitions of the existing topics.
    """

    cluster_id: str
    brokers: int
    alive: int
    topics: Mapping[str, ClusterTopic]
    ranges: Mapping[TopicPartition, OffsetRange]


def plan_restoration(
    manifest: BackupManifest,
    target: str,
    destination: Destination,
    *,
    topics: Sequence[str] = (),
    into_existing: bool = False,
    with_groups: bool = True,
) -> RestorePlan:
    """Return what a restore is to do.

    Args:
        manifest: The backup.
        target: Where it is.
        destination: The cluster.
        topics: Only these; all where none is named.
        into_existing: Whether records may be added to topics that have some.
        with_groups: Whether committed offsets are restored.

    Raises:
        RefusedError: A topic exists with another number of partitions, or with records; or brokers are missing for one.
    """
    chosen = [topic for topic in manifest.topics if not topics or topic.name in topics]
    notes: list[str] = []
    planned = tuple(_planned_topic(topic, destination, notes, into_existing=into_existing) for topic in chosen)
    names = {topic.name for topic in chosen}
    kept = [
        replace(group, commits=tuple(each for each in group.commits if each.topic in names))
        for group in manifest.groups
    ]
    groups = tuple(group for group in kept if group.commits) if with_groups else ()
    return RestorePlan(target, manifest.id, manifest.checksum, destination.cluster_id, planned, groups, tuple(notes))


def _planned_topic(
    topic: BackupTopic, destination: Destination, notes: list[str], *, into_existing: bool
) -> TopicRestorePlan:
    there = destination.topics.get(topic.name)
    if there is None:
        return _created_topic(topic, destination, notes)
    count = len(topic.partitions)
    if there.partitions != count:
        raise RefusedError(
            f"cannot restore the topic {topic.name}: it exists with {plural(there.partitions, 'partition')}, "
            f"and the backup has {count}",
            hint="Delete that topic, or restore others with --topic.",
            code="partitions_differ",
        )
    found = [destination.ranges[topic.name, index] for index in range(count)]
    if not into_existing and any(each.begin < each.end for each in found):
        raise RefusedError(
            f"cannot restore the topic {topic.name}: it exists and holds records",
            hint="Delete that topic; or add --into-existing, which writes the records after those that are there.",
            code="topic_not_empty",
        )
    if there.config != topic.config:
        notes.append(f"{topic.name}: exists, and keeps its settings")
    bases = tuple(each.end for each in found)
    return TopicRestorePlan(topic.name, there.replication_factor, {}, bases, topic.topic_id, is_created=False)


def _created_topic(topic: BackupTopic, destination: Destination, notes: list[str]) -> TopicRestorePlan:
    replicas = min(topic.replication_factor, destination.brokers)
    config = dict(topic.config)
    if replicas < topic.replication_factor:
        notes.append(
            f"{topic.name}: {replicas} replicas instead of {topic.replication_factor}, as there are no more brokers"
        )
        if int(config.get(MIN_IN_SYNC_REPLICAS, "1")) > replicas:
            config[MIN_IN_SYNC_REPLICAS] = str(replicas)
    if replicas > destination.alive:
        raise RefusedError(
            f"cannot restore the topic {topic.name} with {replicas} replicas: "
            f"{destination.alive} of {plural(destination.brokers, 'broker')} "
            f"{'runs' if destination.alive == 1 else 'run'}",
            hint="'kraftd start' starts the others.",
            code="brokers_missing",
        )
    return TopicRestorePlan(topic.name, replicas, config, (0,) * len(topic.partitions), topic.topic_id, is_created=True)


def restored_commits(
    group: GroupCommits,
    restoration: RestorePlan,
    passed: Mapping[TopicPartition, Mapping[int, int]],
    ids: Mapping[str, str],
) -> GroupCommits:
    """Return a group's commits at the offsets that the records have now.

    Args:
        group: The group as it was.
        restoration: The restore.
        passed: By partition and old offset, how many restored records are before it.
        ids: The ids of the topics now, by name.
    """
    topics = {topic.name: topic for topic in restoration.topics}
    commits = []
    for each in group.commits:
        topic = topics[each.topic]
        if each.partition >= len(topic.bases):
            # Kafka takes a commit for any partition, and backups were made with such ones.
            continue
        offset = topic.bases[each.partition] + passed[each.topic, each.partition][each.offset]
        mark = _MARK + topic.archived_id
        metadata = _MARK + ids[each.topic] if each.metadata == mark else each.metadata
        commits.append(Commit(each.topic, each.partition, offset, metadata))
    return GroupCommits(group.group, tuple(commits))
