"""What an alteration of a topic changes, and what it puts at risk. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from kraftd.errors import ConfigurationError, RefusedError
from kraftd.escapes import named
from kraftd.kafka.administration.settings import ConfigEntry, same_value
from kraftd.kafka.model import TopicState
from kraftd.kafka.topics import written
from kraftd.plan.plan import Topic
from kraftd.units import plural

Assignment = tuple[tuple[int, ...], ...]

UNLIMITED = "-1"
_RETENTION = ("retention.ms", "retention.bytes")
_CLEANUP_POLICY = "cleanup.policy"
_KEYS_MOVE = "most keys go to other partitions, so that consumers may see the records of a key out of order"


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """One configuration before and after; an after of None follows the brokers again."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Alteration:
    """The changes of one topic.

    Attributes:
        partitions: The number before.
        added: The replicas of each partition to add, the first leader first.
        risks: What is lost or reordered; each needs a yes.
    """

    topic: TopicState
    partitions: int
    added: Assignment = ()
    changes: tuple[ConfigChange, ...] = ()
    risks: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the topic is already as asked."""
        return not self.added and not self.changes


def made_meanwhile(
    action: str, names: Sequence[str], hint: str = "Run the command again: it looks at what is there now."
) -> RefusedError:
    """Return the error of topics that were missing when the command looked, and that something else made since.

    Args:
        action: What cannot be done: "create", or "restore into".
        names: The topics, at least one.
        hint: What to do.
    """
    what = f"the {'topic' if len(names) == 1 else 'topics'} {', '.join(map(named, names))}"
    return RefusedError(
        f"cannot {action} {what}: something else made {'it' if len(names) == 1 else 'them'} meanwhile",
        hint=hint,
        code="topic_exists",
        details={"topics": list(names)},
    )


def placed(
    existing: Sequence[Sequence[int]], count: int, replication_factor: int, brokers: Iterable[int]
) -> Assignment:
    """Return the replicas of new partitions, so that leaders, then replicas, are even over the brokers.

    Args:
        existing: The replicas of the partitions that the topic has.
        count: How many partitions are new.
        replication_factor: The replicas of each.
        brokers: The brokers that are alive.

    Raises:
        ConfigurationError: There are fewer brokers than replicas.
    """
    alive = sorted(brokers)
    if replication_factor > len(alive):
        raise ConfigurationError(
            f"cannot place {plural(replication_factor, 'replica')} of a partition: only {plural(len(alive), 'broker')} "
            f"{'runs' if len(alive) == 1 else 'run'}",
            hint="Lower --replication-factor, or start the other brokers.",
        )
    leads = Counter(replicas[0] for replicas in existing if replicas)
    holds = Counter(broker for replicas in existing for broker in replicas)
    added: list[tuple[int, ...]] = []
    for _ in range(count):
        leader = min(alive, key=lambda broker: (leads[broker], holds[broker], broker))
        at = alive.index(leader)
        # Those behind the leader first, so that no two brokers always hold the same partitions.
        others = [*alive[at + 1 :], *alive[:at]]
        followers = sorted(others, key=lambda broker: holds[broker])[: replication_factor - 1]
        leads[leader] += 1
        holds.update((leader, *followers))
        added.append((leader, *followers))
    return tuple(added)


def alteration(
    topic: TopicState,
    entries: Sequence[ConfigEntry],
    brokers: Iterable[int],
    *,
    partitions: int | None,
    changes: Mapping[str, str | None],
) -> Alteration:
    """Return what a topic's wanted partitions and configuration change.

    Raises:
        RefusedError: Fewer partitions are wanted; Kafka cannot take any away.
        ConfigurationError: There is no such configuration, or there are too few brokers.
    """
    before = len(topic.partitions)
    wanted = before if partitions is None else partitions
    if wanted < before:
        raise RefusedError(
            f"cannot shrink the topic {named(topic.name)} from {before} to {plural(wanted, 'partition')}: "
            "Kafka takes no partition away",
            hint="Create another topic with fewer, and move its records there.",
            code="fewer_partitions",
        )
    replicas = [partition.replicas for partition in topic.partitions]
    # One that is being reassigned has more for a while.
    factor = min(map(len, replicas), default=1)
    added = placed(replicas, wanted - before, factor, brokers) if wanted > before else ()
    config = config_changes(entries, changes)
    return Alteration(topic, before, added, config, tuple(_risks(config)))


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A difference from a declaration that nothing changes while the topic keeps its records, or another command does.

    Attributes:
        text: The difference, and why.
        remedy: What to do instead, as an instruction.
    """

    topic: str
    text: str
    remedy: str


def obstacles(declared: Topic, topic: TopicState) -> tuple[Obstacle, ...]:
    """Return the differences of a topic from its declaration that no change of settings or partitions removes."""
    found = []
    placement = tuple(partition.replicas for partition in topic.partitions)
    before, factor = len(placement), min(map(len, placement), default=0)
    name = named(topic.name)
    if "partitions" in declared.stated and declared.partitions < before:
        text = f"has {plural(before, 'partition')}, {declared.partitions} are declared: Kafka takes no partition away"
        found.append(Obstacle(topic.name, text, "Declare as many as it has, or move its records to another topic."))
    if "replication_factor" in declared.stated and declared.replication_factor != factor:
        text = f"has {plural(factor, 'replica')} of each partition, {declared.replication_factor} are declared"
        command = f"kraftd scale --replication-factor {declared.replication_factor} --topic {name}"
        found.append(Obstacle(topic.name, text, f"'{command}' changes that."))
    elif "assignment" in declared.stated and declared.assignment[:before] != placement[: declared.partitions]:
        text = f"has its replicas at {written(placement)}, not at {written(declared.assignment[:before])}"
        command = f"kraftd topics reassign {name} --assignment {written(declared.assignment[:before])}"
        found.append(Obstacle(topic.name, text, f"'{command}' moves them."))
    return tuple(found)


def declared_alteration(
    declared: Topic,
    config: Mapping[str, str],
    topic: TopicState,
    entries: Sequence[ConfigEntry],
    brokers: Iterable[int],
) -> Alteration:
    """Return what a declaration changes of a topic that exists, where there are no obstacles.

    Args:
        declared: The declaration; what it does not state is left as it is.
        config: The settings that it states.
        topic: The topic.
        entries: Its configuration.
        brokers: The brokers that are alive.

    Raises:
        ConfigurationError: There is no such configuration, or there are too few brokers.
    """
    partitions = declared.partitions if "partitions" in declared.stated else None
    planned = alteration(topic, entries, brokers, partitions=partitions, changes=config)
    if planned.added and "assignment" in declared.stated:
        return replace(planned, added=declared.assignment[planned.partitions :])
    return planned


def config_changes(entries: Sequence[ConfigEntry], changes: Mapping[str, str | None]) -> tuple[ConfigChange, ...]:
    """Return the settings that change, without those that the topic has already.

    Raises:
        ConfigurationError: There is no such configuration; the hint has the nearest.
    """
    known = {entry.name: entry for entry in entries}
    found = []
    for name, after in changes.items():
        entry = known.get(name)
        if entry is None:
            raise unknown_config(name, known)
        if (entry.is_own and same_value(entry.value, after)) or (after is None and not entry.is_own):
            continue
        found.append(ConfigChange(name, entry.value, after))
    return tuple(found)


def unknown_config(name: str, known: Iterable[str]) -> ConfigurationError:
    """Return the error of a configuration that topics do not have, with the nearest that they have."""
    import difflib  # noqa: PLC0415 - only where something is wrong

    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    meant = f"Did you mean {near[0]}? " if near else ""
    return ConfigurationError(
        f"cannot configure a topic with {named(name)}: Kafka's topics have no such configuration",
        hint=f"{meant}'kraftd topics describe TOPIC --json' shows them all.",
        details={"unknown": [name], "known": names},
    )


def _risks(changes: Iterable[ConfigChange]) -> Iterable[str]:
    for change in changes:
        if change.name in _RETENTION and _is_less(change.before, change.after):
            yield f"{change.name} is lowered: Kafka deletes what is over it"
        elif change.name == _CLEANUP_POLICY:
            after = change.after or "that of the brokers"
            yield f"{_CLEANUP_POLICY} becomes {after}: other records are kept than before"


def _is_less(before: str | None, after: str | None) -> bool:
    if after is None:
        # What the brokers have is not known here.
        return True
    try:
        limits = [int(value) if value and value != UNLIMITED else None for value in (before, after)]
    except ValueError:
        return False
    return limits[1] is not None and (limits[0] is None or limits[1] < limits[0])


def key_risk(keyed: int, sampled: int, which: str) -> str | None:
    """Return the risk of more partitions to records with keys; None where no key was seen."""
    if not keyed:
        return None
    have = f"the {which} record has a key" if sampled == 1 else f"{keyed} of the {sampled} {which} records have keys"
    return f"{have}: from now on {_KEYS_MOVE}"


def unknown_key_risk(partition: int, reason: str) -> str:
    """Return the risk of more partitions while one of those that there are cannot be looked at."""
    return f"could not check whether the records of partition {partition} have keys ({reason}): if so, {_KEYS_MOVE}"
