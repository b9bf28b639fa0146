"""`kraftd topics create` and `alter`: a plan that can be shown, and what carries it out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from kraftd.errors import ConfigurationError, KraftdError, RefusedError, TimedOutError
from kraftd.escapes import named
from kraftd.kafka.log import EARLIEST, IsolationLevel
from kraftd.kafka.model import ClusterMetadata, Failure, Gap, TopicState
from kraftd.kafka.records.reading import record_batches
from kraftd.kafka.round_trip import CANARY_TOPIC
from kraftd.operate.data.access import KafkaData, refusal
from kraftd.operate.data.key_sample import sampled_key_risk
from kraftd.operate.data.topic_changes import (
    Alteration,
    alteration,
    made_meanwhile,
    placed,
    unknown_config,
    unknown_key_risk,
)
from kraftd.operate.data.topics import changeable_topics
from kraftd.plan.kinds import default_replication_factor
from kraftd.plan.plan import Access, Plan, Topic
from kraftd.plan.planning import topic_config
from kraftd.units import plural

_DEFAULT_PARTITIONS = 1
_SILENT_LIMIT_S = 5.0
_MOST_CHARACTERS = 249
_LIMIT_S = 30.0
_KNOWN_LIMIT_S = 5.0
_MADE_BY_THEMSELVES = (CANARY_TOPIC, "__consumer_offsets", "__transaction_state", "__share_group_state")


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic as a user asks for it; None leaves the choice to kraftd."""

    name: str
    partitions: int | None
    replication_factor: int | None
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Created:
    """What ``kraftd topics create`` did; existed is true where the topic was there already, as asked for."""

    topic: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]
    existed: bool = False


def create_topic(kafka: KafkaData, plan: Plan, asked: NewTopic, *, if_missing: bool, limit_s: float | None) -> Created:
    """Create a topic and wait until each broker knows its leaders.

    Raises:
        ConfigurationError: The name or the configuration is wrong, or there are too few brokers.
        RefusedError: It exists, or something else made it meanwhile; with if_missing, it has other partitions.
        TimedOutError: It is created, and not yet usable.
    """
    check_name(asked.name)
    metadata = kafka.metadata()
    existing = metadata.topics.values.get(asked.name)
    if existing is not None:
        return _as_it_exists(existing, asked, if_missing=if_missing)
    brokers = [broker.node_id for broker in metadata.brokers]
    # Of all brokers, as in kraftd.toml: a topic made while one is down would have a replica less for good.
    factor = asked.replication_factor or default_replication_factor(len(plan.brokers))
    assignment = placed(taken_replicas(metadata), asked.partitions or _DEFAULT_PARTITIONS, factor, brokers)
    config = topic_config(factor, dict(asked.config), plan.nodes)
    limit = limit_s or _LIMIT_S
    (outcome,) = kafka.create_topics([Topic(asked.name, assignment, config)], limit)
    if outcome.failure is not None:
        raise not_created(kafka, asked.name, asked.config, outcome.failure, limit)
    if not outcome.created:
        existing = kafka.metadata().topics.values.get(asked.name)
        if existing is None:
            raise made_meanwhile("create", [asked.name])
        return _as_it_exists(existing, asked, if_missing=if_missing)
    return Created(asked.name, len(assignment), factor, dict(config))


def taken_replicas(metadata: ClusterMetadata) -> list[tuple[int, ...]]:
    """Return the replicas of each partition, beside which new ones are placed: without Kafka's own topics.

    So topics of few partitions are even over the brokers too.
    """
    return [
        each.replicas for topic in metadata.topics.values.values() if not topic.internal for each in topic.partitions
    ]


def check_name(name: str) -> None:
    """Refuse a name that Kafka does not take, or uses itself.

    Raises:
        ConfigurationError: Kafka does not take it.
        RefusedError: Kafka, or kraftd, makes a topic of that name itself.
    """
    if name in _MADE_BY_THEMSELVES:
        raise RefusedError(
            f"cannot create the topic {name}: Kafka or kraftd makes it when it is needed", code="protected_topic"
        )
    is_legal = all(character.isascii() and (character.isalnum() or character in "._-") for character in name)
    if not name or name in (".", "..") or len(name) > _MOST_CHARACTERS or not is_legal:
        raise ConfigurationError(
            f"cannot create a topic named {named(name)}: Kafka does not take the name",
            hint=f"Use up to {_MOST_CHARACTERS} of the characters a-z, A-Z, 0-9, '.', '_' and '-'.",
        )


def _as_it_exists(existing: TopicState, asked: NewTopic, *, if_missing: bool) -> Created:
    partitions, factor = len(existing.partitions), min(len(each.replicas) for each in existing.partitions)
    differs = asked.partitions not in (None, partitions) or asked.replication_factor not in (None, factor)
    if not if_missing or differs:
        raise RefusedError(
            f"cannot create the topic {named(asked.name)}: it exists, with {plural(partitions, 'partition')} "
            f"of {plural(factor, 'replica')}",
            hint="'kraftd topics alter' changes it.",
            code="topic_exists",
            details={"partitions": partitions, "replication_factor": factor},
        )
    return Created(asked.name, partitions, factor, {}, existed=True)


def not_created(
    kafka: KafkaData, name: str, config: Iterable[str], failure: Failure, limit_s: float = _LIMIT_S
) -> KraftdError:
    """Return the error of a topic that was not created, or is not usable in time.

    Args:
        kafka: The cluster.
        name: The topic.
        config: The names of the configurations that it was to have.
        failure: Kafka's reason.
        limit_s: How long it was waited for.
    """
    if failure.error == "NOT_READY":
        return TimedOutError(
            f"cannot wait longer than {limit_s:g} s for the new topic {named(name)}: {failure.text}",
            hint="'kraftd topics describe' shows its leaders.",
        )
    if failure.error == "INVALID_CONFIG" and (known := known_configs(kafka)):
        unknown = next((each for each in config if each not in known), None)
        if unknown is not None:
            return unknown_config(unknown, known)
    return refusal(f"cannot create the topic {named(name)}", failure)


def known_configs(kafka: KafkaData) -> tuple[str, ...]:
    """Return the configurations that topics have, as any topic shows them; none where there is no topic."""
    names = list(kafka.metadata().topics.values)[:1]
    entries = kafka.configs(names).values if names else {}
    return tuple(entry.name for found in entries.values() for entry in found)


@dataclass(frozen=True, slots=True)
class WantedAlteration:
    """How a topic is to change: None keeps the number of partitions, and makes a setting follow the brokers again."""

    partitions: int | None
    changes: Mapping[str, str | None]


def planned_alteration(kafka: KafkaData, access: Access, name: str, wanted: WantedAlteration) -> Alteration:
    """Return the changes of a topic, with their risks; Kafka has checked the configuration.

    Raises:
        UnknownNameError: There is no such topic.
        ConfigurationError: Kafka does not take the configuration.
        RefusedError: The topic is internal, or would have fewer partitions.
    """
    metadata = kafka.metadata()
    (topic,) = changeable_topics(metadata, [name], "alter")
    found = kafka.configs([topic.name])
    if topic.name not in found.values:
        raise refusal(f"cannot read the configuration of the topic {named(topic.name)}", found.failures[topic.name])
    brokers = [broker.node_id for broker in metadata.brokers]
    planned = alteration(topic, found.values[topic.name], brokers, partitions=wanted.partitions, changes=wanted.changes)
    return checked_alteration(kafka, access, planned, brokers[0])


def checked_alteration(kafka: KafkaData, access: Access, planned: Alteration, through: int) -> Alteration:
    """Return a change that Kafka would take, with its risk to records that have keys; nothing is changed.

    Args:
        kafka: The cluster.
        access: The way to its records.
        planned: The change.
        through: The node id of the broker that checks new partitions.

    Raises:
        ConfigurationError: Kafka does not take the configuration.
        KraftdError: Kafka does not take the partitions.
    """
    topic, changes = planned.topic, {change.name: change.after for change in planned.changes}
    failure = kafka.alter_configs(topic.name, changes, validate_only=True) if changes else None
    if failure is None and planned.added:
        failure = kafka.add_partitions(topic, planned.added, through, validate_only=True)
    if failure is not None:
        raise refusal(f"cannot alter the topic {named(topic.name)}", failure)
    risk = _sampled_key_risk(kafka, access, topic) if planned.added else None
    return planned if risk is None else replace(planned, risks=(risk, *planned.risks))


def alter_topic(kafka: KafkaData, planned: Alteration) -> None:
    """Carry out the change of a topic: its configuration, then its partitions; returns when every broker knows it.

    Raises:
        KraftdError: Kafka refused it; the text says what was done before.
    """
    name = planned.topic.name
    changes = {change.name: change.after for change in planned.changes}
    if changes and (failure := kafka.alter_configs(name, changes)):
        raise refusal(f"cannot alter the topic {named(name)}", failure)
    if planned.added:
        through = kafka.metadata(()).brokers[0].node_id
        failure = kafka.add_partitions(planned.topic, planned.added, through)
        if failure is not None:
            done = " (its configuration is changed)" if changes else ""
            raise refusal(f"cannot add partitions to the topic {named(name)}{done}", failure)
    if not planned.is_empty:
        kafka.await_alteration(name, planned.partitions + len(planned.added), changes, _KNOWN_LIMIT_S)


def _sampled_key_risk(kafka: KafkaData, access: Access, topic: TopicState) -> str | None:
    """Return the risk to records with keys, seen in a sample, or that a partition cannot be looked at."""
    firsts = kafka.mixed_offsets((partition, EARLIEST) for partition in topic.partitions)
    ends = kafka.end_offsets(topic.partitions, IsolationLevel.READ_COMMITTED)
    read = partial(record_batches, access, silent_limit_s=_SILENT_LIMIT_S, on_gap=_ignore)
    risk = sampled_key_risk(read, firsts.values, ends.values)
    if risk is None and (unread := {**firsts.failures, **ends.failures}):
        (_, index), failure = next(iter(unread.items()))
        return unknown_key_risk(index, failure.text)
    return risk


def _ignore(_gap: Gap) -> None:
    """A sample is as good without what is damaged."""
