"""`kraftd topics apply`: topics become what a file declares; nothing is deleted that such a file did not create."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kraftd.errors import ConfigurationError, KraftdError, RefusedError
from kraftd.escapes import named
from kraftd.host.files import read_text, write_atomically
from kraftd.host.lock import acquire
from kraftd.kafka.administration.settings import ConfigEntry
from kraftd.kafka.model import ClusterMetadata, TopicState
from kraftd.operate.context import ClusterContext
from kraftd.operate.data.access import KafkaData, refusal
from kraftd.operate.data.changing import (
    alter_topic,
    check_name,
    checked_alteration,
    known_configs,
    not_created,
    taken_replicas,
)
from kraftd.operate.data.topic_changes import (
    Alteration,
    Obstacle,
    declared_alteration,
    made_meanwhile,
    obstacles,
    placed,
    unknown_config,
)
from kraftd.operate.data.topics import (
    PlannedRemoval,
    changeable_topics,
    delete_topics,
    planned_removal,
)
from kraftd.plan.checks import topic_problems
from kraftd.plan.loading import configure, parse_toml
from kraftd.plan.plan import Plan, Topic
from kraftd.plan.planning import declared_topic, text_properties

_COMMAND = "topics apply"
_SCHEMA_VERSION = 1
_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Declaration:
    """One ``[[topic]]`` of a file.

    Attributes:
        topic: What is created where the topic does not exist.
        config: The settings that it states.
    """

    topic: Topic
    config: Mapping[str, str]


def parse_declarations(text: str, origin: str, plan: Plan) -> tuple[Declaration, ...]:
    """Return the topics that a file declares, as ``kraftd.toml`` does; its other tables are ignored.

    Args:
        text: The content.
        origin: The file, for messages.
        plan: The plan of the cluster that it is for.

    Raises:
        ConfigurationError: It is not TOML, declares no topics, or contradicts itself; every problem is named.
    """
    layer = parse_toml(text, origin)
    settings = configure([layer]).settings
    if "topic" not in layer.values:
        raise ConfigurationError(
            f"cannot apply {origin}: it declares no topic", hint='Add [[topic]], with a name = "..." below it.'
        )
    topics = [declared_topic(each, len(plan.brokers), plan.nodes) for each in settings.topic]
    if problems := list(topic_problems(settings.topic, topics, len(plan.brokers))):
        raise ConfigurationError(
            f"cannot apply {origin}:\n" + "\n".join(f"  {problem}" for problem in problems),
            hint="Correct the file.",
            details={"problems": problems},
        )
    configs = (dict(text_properties(each.config)) for each in settings.topic)
    return tuple(Declaration(topic, config) for topic, config in zip(topics, configs, strict=True))


@dataclass(frozen=True, slots=True)
class CreatedTopics:
    """The record of the topics that files created, by name.

    Attributes:
        files: The file of each.
        ids: Kafka's id of each; absent where a command ended between its creation and the record of it.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the text of ``topics.json``."""
        topics = [{"topic": name, "id": self.ids.get(name), "file": file} for name, file in sorted(self.files.items())]
        return json.dumps({"schema_version": _SCHEMA_VERSION, "topics": topics}, indent=2) + "\n"

    def extended(self, file: str, topics: Mapping[str, str | None]) -> "CreatedTopics":
        """Return the record with topics that a file creates, each with its id where that is known."""
        known = {name: topic_id for name, topic_id in topics.items() if topic_id is not None}
        ids = {name: topic_id for name, topic_id in self.ids.items() if name not in topics}
        return CreatedTopics({**self.files, **dict.fromkeys(topics, file)}, {**ids, **known})

    def following(self, topics: Mapping[str, TopicState], declared: Iterable[str]) -> "CreatedTopics":
        """Return the record of those that still exist; one that something else has recreated is left out.

        Args:
            topics: Those that exist, by name.
            declared: Names whose id, where the record has none, is taken from the topic that exists.
        """
        ids = {
            name: self.ids.get(name) or (found.topic_id if name in declared else None)
            for name, found in topics.items()
            if name in self.files
        }
        stay = {name: each for name, each in ids.items() if each is None or each == topics[name].topic_id}
        return CreatedTopics(
            {name: self.files[name] for name in stay}, {name: each for name, each in stay.items() if each is not None}
        )

    def undeclared(self, file: str, declared: Iterable[str]) -> list[str]:
        """Return the topics that a file created, and no longer declares."""
        return sorted(
            name for name, each in self.files.items() if each == file and name in self.ids and name not in declared
        )


def read_created(path: Path) -> CreatedTopics:
    """Return the record of the topics that files created; an empty one where there is none.

    Raises:
        KraftdError: It is damaged, or a newer kraftd wrote it.
    """
    text = read_text(path)
    if text is None:
        return CreatedTopics()
    try:
        raw: Any = json.loads(text)
        if int(raw["schema_version"]) > _SCHEMA_VERSION:
            raise ValueError(f"schema version {raw['schema_version']} is newer")  # noqa: TRY301 one report for all
        entries = [(str(each["topic"]), str(each["file"]), each["id"]) for each in raw["topics"]]
    except (ValueError, KeyError, TypeError) as error:
        raise KraftdError(
            f"cannot read the record of created topics {path}: it is damaged ({error})",
            hint="Remove that file: no topic that exists now is then deleted for not being declared.",
            code="record_damaged",
        ) from error
    return CreatedTopics(
        {name: file for name, file, _ in entries}, {name: str(topic_id) for name, _, topic_id in entries if topic_id}
    )


@dataclass(frozen=True, slots=True)
class PlannedApply:
    """What an application of declared topics would do.

    Attributes:
        created: The topics to create.
        altered: The topics that exist otherwise than declared.
        unchanged: The names of those that are as declared.
        kept: By topic, the settings of its own that are not declared, and stay.
        obstacles: What is declared and cannot be reached.
        undeclared: What the same file created earlier, and no longer declares.
        removal: What of it is deleted; None where nothing is.
        file: What identifies the file.
        record: The record of created topics, as it is now.
    """

    created: tuple[Topic, ...]
    altered: tuple[Alteration, ...]
    unchanged: tuple[str, ...]
    kept: Mapping[str, Mapping[str, str | None]]
    obstacles: tuple[Obstacle, ...]
    undeclared: tuple[str, ...]
    removal: PlannedRemoval | None
    file: str
    record: CreatedTopics

    @property
    def is_empty(self) -> bool:
        """Whether everything is as declared."""
        return not (self.created or self.altered or self.removal)


def planned_apply(
    kafka: KafkaData, plan: Plan, declarations: Sequence[Declaration], file: str, *, delete_undeclared: bool
) -> PlannedApply:
    """Return what declared topics change; Kafka has checked it, and changed nothing.

    Args:
        kafka: The cluster.
        plan: Its plan.
        declarations: What is declared.
        file: What identifies the file of the declarations among those that were applied.
        delete_undeclared: Delete what the same file created, and no longer declares.

    Raises:
        ConfigurationError: Kafka does not take a name or a setting, or too few brokers run.
        RefusedError: A topic is Kafka's or kraftd's own.
    """
    metadata = kafka.metadata()
    topics, names = metadata.topics.values, [each.topic.name for each in declarations]
    compared = [each for each in declarations if each.topic.name in topics]
    configs = _configs(kafka, metadata, names)
    brokers = [broker.node_id for broker in metadata.brokers]
    blocked = [obstacle for each in compared for obstacle in obstacles(each.topic, topics[each.topic.name])]
    planned = [
        declared_alteration(each.topic, each.config, topics[each.topic.name], configs[each.topic.name], brokers)
        for each in compared
        if each.topic.name not in {obstacle.topic for obstacle in blocked}
    ]
    record = read_created(plan.layout.created_topics).following(topics, names)
    undeclared = tuple(record.undeclared(file, [*names, *(topic.name for topic in plan.topics)]))
    return PlannedApply(
        _checked_new(kafka, metadata, [each for each in declarations if each.topic.name not in topics]),
        tuple(checked_alteration(kafka, plan.access, each, brokers[0]) for each in planned if not each.is_empty),
        tuple(each.topic.name for each in planned if each.is_empty),
        {each.topic.name: kept for each in compared if (kept := _kept(each, configs[each.topic.name]))},
        tuple(blocked),
        undeclared,
        planned_removal(kafka, undeclared, "delete") if undeclared and delete_undeclared else None,
        file,
        record,
    )


def _configs(
    kafka: KafkaData, metadata: ClusterMetadata, names: Iterable[str]
) -> Mapping[str, tuple[ConfigEntry, ...]]:
    """Return the configuration of those of the declared topics that exist, none of which is Kafka's or kraftd's own."""
    known = [name for name in names if name in metadata.topics.values or name in metadata.topics.failures]
    existing = changeable_topics(metadata, known, "apply")
    found = kafka.configs([topic.name for topic in existing])
    for name, failure in found.failures.items():
        raise refusal(f"cannot read the configuration of the topic {named(name)}", failure)
    return found.values


def _kept(declaration: Declaration, entries: Iterable[ConfigEntry]) -> dict[str, str | None]:
    """Return a topic's own settings that are not declared, apart from what kraftd gives each topic itself."""
    given = declaration.topic.config
    return {
        entry.name: entry.value
        for entry in entries
        if entry.is_own and entry.name not in declaration.config and given.get(entry.name) != entry.value
    }


def _checked_new(kafka: KafkaData, metadata: ClusterMetadata, missing: Sequence[Declaration]) -> tuple[Topic, ...]:
    """Return the topics to create, with their replicas over the brokers that run, as Kafka would take them."""
    if not missing:
        return ()
    known = known_configs(kafka)
    brokers = [broker.node_id for broker in metadata.brokers]
    taken = taken_replicas(metadata)
    created: list[Topic] = []
    for each in missing:
        check_name(each.topic.name)
        for name in each.config:
            if known and name not in known:
                raise unknown_config(name, known)
        if "assignment" in each.topic.stated:
            created.append(each.topic)
        else:
            assignment = placed(taken, each.topic.partitions, each.topic.replication_factor, brokers)
            created.append(replace(each.topic, assignment=assignment))
        taken += created[-1].assignment
    for name, failure in kafka.check_creation(created).items():
        raise not_created(kafka, name, (), failure)
    return tuple(created)


def exclusive(cluster: ClusterContext, *, is_reading: bool) -> AbstractContextManager[None]:
    """Return a context in which no other command applies topics to a cluster; one that only reads needs none.

    Raises:
        TimedOutError: Another one does.
    """
    if is_reading:
        return nullcontext()
    return acquire(cluster.layout.topics_lock, command=_COMMAND, clock=cluster.clock, timeout_s=0.0)


def refuse_obstacles(planned: PlannedApply, origin: str) -> None:
    """Refuse to apply a part of a file.

    Raises:
        RefusedError: Naming everything that cannot be reached, each with what to do instead.
    """
    if planned.obstacles:
        problems = [f"{named(each.topic)} {each.text}" for each in planned.obstacles]
        remedies = dict.fromkeys(each.remedy for each in planned.obstacles)
        raise RefusedError(
            f"cannot apply {origin}; nothing was changed:\n" + "\n".join(f"  {problem}" for problem in problems),
            hint=" ".join(remedies),
            code="cannot_be_changed",
            details={"topics": planned.obstacles},
        )


def carry_out(kafka: KafkaData, planned: PlannedApply, path: Path, limit_s: float | None = None) -> None:
    """Change, create and delete topics; where this fails half way, the next call does the rest.

    Args:
        kafka: The cluster.
        planned: What is to be done.
        path: The record of created topics.
        limit_s: How long new topics may take until they are usable.

    Raises:
        KraftdError: Kafka refused a topic.
        RefusedError: Something else made a topic, or made one again that was to be deleted, since the look at them.
        TimedOutError: New topics are created, and not yet usable.
    """
    for each in planned.altered:
        alter_topic(kafka, each)
    record = _with_created(kafka, planned, path, limit_s or _LIMIT_S) if planned.created else planned.record
    if planned.removal is not None:
        gone = delete_topics(kafka, planned.removal)
        record = CreatedTopics(
            {name: each for name, each in record.files.items() if name not in gone},
            {name: each for name, each in record.ids.items() if name not in gone},
        )
    if record != read_created(path):
        write_atomically(path, record.to_json())


def _with_created(kafka: KafkaData, planned: PlannedApply, path: Path, limit_s: float) -> CreatedTopics:
    """Create what is missing, and return the record with what this very call created, which is written by then."""
    # Before the topics: one whose creation is not on record would never be deleted.
    begun = planned.record.extended(planned.file, {topic.name: None for topic in planned.created})
    write_atomically(path, begun.to_json())
    outcomes = kafka.create_topics(planned.created, limit_s)
    existing = kafka.metadata().topics.values
    names = [each.name for each in outcomes if each.created]
    ids = {name: existing[name].topic_id if name in existing else None for name in names}
    record = planned.record.extended(planned.file, ids)
    write_atomically(path, record.to_json())
    for topic, outcome in zip(planned.created, outcomes, strict=True):
        if outcome.failure is not None:
            raise not_created(kafka, topic.name, topic.config, outcome.failure, limit_s)
    if others := [each.name for each in outcomes if not each.created]:
        raise made_meanwhile("create", others)
    return record
