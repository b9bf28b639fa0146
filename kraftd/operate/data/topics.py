"""`kraftd topics`: the topics as Kafka has them now; their removal, and the election of their leaders."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kraftd.errors import ConfigurationError, NeedsRunningClusterError, RefusedError, unknown_name
from kraftd.escapes import named, typed
from kraftd.health.report.documents import SCHEMA_VERSION, TopicsDocument, TopicSummary
from kraftd.kafka.administration.settings import ConfigEntry
from kraftd.kafka.log import EARLIEST, LATEST
from kraftd.kafka.model import ClusterMetadata, Failure, Partial, Partition, TopicPartition, TopicState
from kraftd.kafka.round_trip import CANARY_TOPIC
from kraftd.kafka.topics import HIGH_WATERMARK
from kraftd.operate.data.access import KafkaData, already_deleted, refusal
from kraftd.operate.status import health
from kraftd.plan.plan import Plan

_KNOWN_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class PartitionDescription:
    """One partition; what could not be read is None."""

    partition: int
    leader: int | None
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]
    start: int | None
    end: int | None
    bytes: int | None


@dataclass(frozen=True, slots=True)
class TopicDescription:
    """What ``kraftd topics describe --json`` prints.

    Attributes:
        offsets: Between start and end, over all partitions; of a compacted topic more than there are records.
        config: What is set on the topic itself.
        defaults: What the topic has from the brokers.
        groups: Those that committed in it, or are assigned a partition of it.
        groups_unknown: Why others may be, too; None where all are known.
    """

    topic: str
    topic_id: str | None
    internal: bool
    offsets: int | None
    bytes: int | None
    partitions: tuple[PartitionDescription, ...]
    config: Mapping[str, str | None]
    defaults: Mapping[str, str | None]
    groups: tuple[str, ...]
    groups_unknown: str | None


@dataclass(frozen=True, slots=True)
class Offsets:
    """The first and the next offset of partitions, as far as their leaders answered."""

    starts: Partial[TopicPartition, int]
    ends: Partial[TopicPartition, int]

    def count(self, partitions: Iterable[Partition]) -> int | None:
        """Return the offsets between start and end; None where those of one partition are not known."""
        keys = [partition.key for partition in partitions]
        if any(key not in self.starts.values or key not in self.ends.values for key in keys):
            return None
        return sum(self.ends.values[key] - self.starts.values[key] for key in keys)


def offsets_of(kafka: KafkaData, partitions: Iterable[Partition]) -> Offsets:
    """Return the start and end offsets of partitions."""
    asked = tuple(partitions)
    starts = kafka.mixed_offsets((partition, EARLIEST) for partition in asked)
    return Offsets(starts, kafka.mixed_offsets((partition, LATEST) for partition in asked))


def chosen_topics(metadata: ClusterMetadata, names: Iterable[str]) -> tuple[TopicState, ...]:
    """Return the named topics; names may be in the escaped form.

    Raises:
        UnknownNameError: There is no such topic; the hint has the nearest.
    """
    known = metadata.topics.values
    meant = [typed(name, known) for name in names]
    for name in meant:
        if name in metadata.topics.failures:
            raise refusal(f"cannot read the topic {named(name)}", metadata.topics.failures[name])
        if name not in known:
            raise unknown_name(f"cannot find the topic {named(name)}", name, list(known))
    return tuple(known[name] for name in dict.fromkeys(meant))


def chosen_partitions(topics: Iterable[TopicState], wanted: Sequence[int]) -> list[Partition]:
    """Return these partitions of each topic; all where none is named.

    Raises:
        ConfigurationError: A topic has no such partition.
    """
    chosen: list[Partition] = []
    for topic in topics:
        known = {partition.partition: partition for partition in topic.partitions}
        for index in wanted:
            if index not in known:
                raise ConfigurationError(
                    f"cannot find partition {index} of the topic {named(topic.name)}: it has no such partition",
                    hint=f"It has 0 to {len(known) - 1}.",
                )
        chosen += [known[index] for index in dict.fromkeys(wanted)] or topic.partitions
    return chosen


def changeable_topics(metadata: ClusterMetadata, names: Iterable[str], verb: str) -> tuple[TopicState, ...]:
    """Return the named topics, none of which is Kafka's or kraftd's own.

    Raises:
        UnknownNameError: There is no such topic.
        RefusedError: One of them is internal.
    """
    chosen = chosen_topics(metadata, names)
    for topic in chosen:
        if is_protected(topic):
            owner = "kraftd's canary" if topic.name == CANARY_TOPIC else "Kafka itself"
            raise RefusedError(f"cannot {verb} the topic {topic.name}: it belongs to {owner}", code="protected_topic")
    return chosen


def is_protected(topic: TopicState) -> bool:
    """Return whether a topic is Kafka's or kraftd's own."""
    return topic.internal or topic.name == CANARY_TOPIC


def list_topics(kafka: KafkaData, rates: Mapping[str, float | None]) -> TopicsDocument:
    """Return the topics as Kafka has them now, with the records per second that were seen of each."""
    metadata = kafka.metadata()
    topics = metadata.topics.values
    offsets = offsets_of(kafka, (partition for topic in topics.values() for partition in topic.partitions))
    sizes = _sizes(kafka, metadata)
    summaries = (
        TopicSummary(
            topic=topic.name,
            internal=topic.internal,
            partitions=len(topic.partitions),
            without_leader=sum(partition.leader is None for partition in topic.partitions),
            under_replicated=sum(len(each.in_sync_replicas) < len(each.replicas) for each in topic.partitions),
            offsets=offsets.count(topic.partitions),
            produced_per_s=rates.get(topic.name),
            bytes=_total(sizes.get(partition.key) for partition in topic.partitions),
        )
        for topic in topics.values()
    )
    return TopicsDocument(ok=True, schema_version=SCHEMA_VERSION, age_s=0.0, topics=tuple(summaries))


def topic_rates(plan: Plan) -> dict[str, float | None]:
    """Return the records per second by topic, as the daemon saw them; none without it."""
    try:
        topics = health(plan, timeout_s=1.0).topics or ()
    except NeedsRunningClusterError:
        return {}
    return {topic.topic: topic.produced_per_s for topic in topics}


def _sizes(kafka: KafkaData, metadata: ClusterMetadata) -> dict[TopicPartition, int]:
    """Return the bytes of all replicas by partition; a partition is absent where a broker did not tell."""
    found = kafka.log_dirs(metadata.brokers)
    sizes: dict[TopicPartition, int] = {}
    for directories in found.values.values():
        for directory in directories:
            for key, size_bytes in directory.replica_bytes.items():
                sizes[key] = sizes.get(key, 0) + size_bytes
    silent = set(found.failures)
    for partition in metadata.partitions:
        if not silent.isdisjoint(partition.replicas):
            sizes.pop(partition.key, None)
    return sizes


def _total(sizes: Iterable[int | None]) -> int | None:
    known = list(sizes)
    return None if None in known else sum(each or 0 for each in known)


def describe_topics(kafka: KafkaData, names: Sequence[str]) -> tuple[TopicDescription, ...]:
    """Return the named topics, or all, with partitions, configuration and the groups that read them.

    Raises:
        UnknownNameError: There is no such topic.
    """
    metadata = kafka.metadata()
    topics = chosen_topics(metadata, names) if names else tuple(metadata.topics.values.values())
    offsets = offsets_of(kafka, (partition for topic in topics for partition in topic.partitions))
    sizes = _sizes(kafka, metadata)
    configs = kafka.configs([topic.name for topic in topics]).values if topics else {}
    readers = readers_of(kafka, metadata)
    return tuple(
        TopicDescription(
            topic=topic.name,
            topic_id=topic.topic_id,
            internal=topic.internal,
            offsets=offsets.count(topic.partitions),
            bytes=_total(sizes.get(partition.key) for partition in topic.partitions),
            partitions=tuple(_described(partition, offsets, sizes) for partition in topic.partitions),
            config=_values(configs.get(topic.name, ()), own=True),
            defaults=_values(configs.get(topic.name, ()), own=False),
            groups=readers.of(topic.name),
            groups_unknown=readers.unknown,
        )
        for topic in topics
    )


def _described(partition: Partition, offsets: Offsets, sizes: Mapping[TopicPartition, int]) -> PartitionDescription:
    return PartitionDescription(
        partition=partition.partition,
        leader=partition.leader,
        replicas=partition.replicas,
        in_sync=partition.in_sync_replicas,
        start=offsets.starts.values.get(partition.key),
        end=offsets.ends.values.get(partition.key),
        bytes=sizes.get(partition.key),
    )


def _values(entries: Iterable[ConfigEntry], *, own: bool) -> dict[str, str | None]:
    return {entry.name: entry.value for entry in entries if entry.is_own == own}


@dataclass(frozen=True, slots=True)
class Readers:
    """The groups that read topics.

    Attributes:
        groups: By topic, those that committed or shared in it, or have a member with a partition of it.
        unknown: Why others may read one, too; None where all are known.
    """

    groups: Mapping[str, set[str]]
    unknown: str | None

    def of(self, topic: str) -> tuple[str, ...]:
        """Return the groups that read a topic, by their names."""
        return tuple(sorted(self.groups.get(topic, ())))


def readers_of(kafka: KafkaData, metadata: ClusterMetadata) -> Readers:
    """Return the groups that read topics, as far as the brokers tell."""
    groups = kafka.groups(metadata.brokers)
    commits = kafka.committed(groups.groups.values())
    shared = kafka.share_topics(groups.groups.values())
    found: dict[str, set[str]] = defaultdict(set)
    for name, group in groups.groups.items():
        assigned = (topic for member in group.members or () for topic, _ in member.assigned or ())
        for topic in (*(topic for topic, _ in commits.values.get(name, ())), *shared.values.get(name, ()), *assigned):
            found[topic].add(name)
    of_groups = {**groups.failures, **commits.failures, **shared.failures}
    silent = [
        *(f"broker {node_id} did not name its groups: {each.text}" for node_id, each in groups.broker_failures.items()),
        *(
            f"could not read which topics the group {named(name)} reads: {each.text}"
            for name, each in of_groups.items()
        ),
    ]
    return Readers(found, silent[0] if silent else None)


@dataclass(frozen=True, slots=True)
class Removal:
    """What a deletion, or a clearing, would remove of one topic.

    Attributes:
        groups: Those that read it.
        groups_unknown: Why others may read it, too; None where all are known.
    """

    topic: str
    partitions: int
    offsets: int | None
    groups: tuple[str, ...]
    groups_unknown: str | None = None


@dataclass(frozen=True, slots=True)
class PlannedRemoval:
    """The topics that a command would delete or clear, as they were when it looked."""

    topics: tuple[TopicState, ...]
    removals: tuple[Removal, ...]


def planned_removal(kafka: KafkaData, names: Sequence[str], verb: str) -> PlannedRemoval:
    """Return what deleting or clearing topics would remove.

    Raises:
        ConfigurationError: No topic is named.
        UnknownNameError: There is no such topic.
        RefusedError: One of them is internal.
    """
    if not names:
        raise ConfigurationError(f"cannot {verb} topics: none was named", hint="'kraftd topics list' shows them.")
    metadata = kafka.metadata()
    topics = changeable_topics(metadata, names, verb)
    offsets = offsets_of(kafka, (partition for topic in topics for partition in topic.partitions))
    readers = readers_of(kafka, metadata)
    removals = (
        Removal(
            topic.name,
            len(topic.partitions),
            offsets.count(topic.partitions),
            readers.of(topic.name),
            readers.unknown,
        )
        for topic in topics
    )
    return PlannedRemoval(topics, tuple(removals))


def delete_topics(kafka: KafkaData, planned: PlannedRemoval) -> tuple[str, ...]:
    """Delete topics with their records, and return their names when no broker knows them any more.

    Raises:
        KraftdError: Kafka refused some; the text names what was deleted and what was not.
        RefusedError: One of them is another topic by now; none was deleted.
    """
    _refuse_others(kafka, planned, "delete")
    names = [topic.name for topic in planned.topics]
    failures = kafka.delete_topics(names)
    kafka.await_deletion([topic for topic in planned.topics if topic.name not in failures], _KNOWN_LIMIT_S)
    if failures:
        name, failure = next(iter(failures.items()))
        done = [each for each in names if each not in failures]
        raise refusal(f"cannot delete the topic {named(name)}{already_deleted(done)}", failure)
    return tuple(names)


def clear_topics(kafka: KafkaData, planned: PlannedRemoval) -> int | None:
    """Delete the records of topics up to each high watermark, and return the offsets that went; None if unknown.

    Raises:
        KraftdError: Kafka refused a partition; the others are cleared.
        RefusedError: One of them is another topic by now; none was cleared.
    """
    _refuse_others(kafka, planned, "clear")
    partitions = [partition for topic in planned.topics for partition in topic.partitions]
    before = offsets_of(kafka, partitions).starts
    found = kafka.delete_records(dict.fromkeys(partitions, HIGH_WATERMARK))
    if found.failures:
        (topic, partition), failure = next(iter(found.failures.items()))
        raise refusal(
            f"cannot clear partition {partition} of the topic {named(topic)}", failure, hint=_hint_for_clearing(failure)
        )
    if before.failures:
        return None
    return sum(found.values[key] - before.values[key] for key in found.values)


def _refuse_others(kafka: KafkaData, planned: PlannedRemoval, verb: str) -> None:
    """Refuse to remove what was made under the same name since the look at it: nobody was asked about that."""
    known = kafka.metadata().topics.values
    for topic in planned.topics:
        if topic.name in known and known[topic.name].topic_id != topic.topic_id:
            raise RefusedError(
                f"cannot {verb} the topic {named(topic.name)}: it was deleted meanwhile, and recreated",
                hint="Run the command again: it looks at what is there now.",
                code="topic_changed",
                details={"topic": topic.name},
            )


def _hint_for_clearing(failure: Failure) -> str:
    if failure.error == "POLICY_VIOLATION":
        return "A topic with cleanup.policy=compact keeps its newest records: delete it, or add delete to its policy."
    return ""


@dataclass(frozen=True, slots=True)
class Election:
    """The leaders before and after an election."""

    topic: str
    partition: int
    before: int | None
    after: int | None


def elect_leaders(kafka: KafkaData, names: Sequence[str]) -> tuple[Election, ...]:
    """Make the first replica of each partition its leader, of the named topics or all; return what changed.

    Raises:
        UnknownNameError: There is no such topic.
        KraftdError: A first replica is not in sync, or does not run; the other partitions have changed.
    """
    metadata = kafka.metadata()
    topics = chosen_topics(metadata, names) if names else tuple(metadata.topics.values.values())
    moving = [
        each for topic in topics for each in topic.partitions if each.replicas and each.leader != each.replicas[0]
    ]
    if not moving:
        return ()
    failures = kafka.elect_leaders(each.key for each in moving)
    if failures:
        (topic, index), failure = next(iter(failures.items()))
        raise refusal(f"cannot elect the first replica of partition {index} of the topic {named(topic)}", failure)
    # The answer comes when the controller has decided; metadata may be a moment behind.
    return tuple(Election(each.topic, each.partition, each.leader, each.replicas[0]) for each in moving)
