"""Committed offsets as a file: what `kraftd groups export` writes, and `import` reads."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kraftd.errors import ConfigurationError
from kraftd.escapes import named
from kraftd.kafka.model import Failure, Groups, GroupState, TopicPartition
from kraftd.operate.data.access import KafkaData, refusal
from kraftd.operate.data.groups import (
    PlannedMoves,
    bounds_of,
    check_commits,
    check_empty,
    chosen_groups,
    commits_of,
    refuse_unlisted,
)
from kraftd.operate.data.resets import import_moves
from kraftd.operate.data.topics import chosen_topics

SCHEMA_VERSION = 1


class ExportedOffset(msgspec.Struct, frozen=True):
    """The next offset that a group reads of one partition."""

    topic: str
    partition: int
    offset: int


class ExportedGroup(msgspec.Struct, frozen=True):
    """One group."""

    group: str
    offsets: tuple[ExportedOffset, ...]


class OffsetsFile(msgspec.Struct, frozen=True):
    """What ``kraftd groups export`` prints."""

    schema_version: int
    groups: tuple[ExportedGroup, ...]


def exported(kafka: KafkaData, names: Sequence[str]) -> OffsetsFile:
    """Return the committed offsets of the named groups, or of all that can have some.

    Raises:
        UnknownNameError: There is no such group.
        RefusedError: One that is named is a share group.
        KraftdError: The offsets of a group cannot be read, or not every broker named its groups.
    """
    found = kafka.groups()
    if not names:
        refuse_unlisted(found, "cannot export all groups")
    groups = chosen_groups(found, names or [name for name, group in found.groups.items() if not group.is_share])
    check_commits(groups, "export offsets of")
    commits = commits_of(kafka, groups)
    return OffsetsFile(SCHEMA_VERSION, tuple(_exported(group, commits.get(group.name, {})) for group in groups))


def _exported(group: GroupState, commits: Mapping[TopicPartition, int]) -> ExportedGroup:
    offsets = (ExportedOffset(topic, index, offset) for (topic, index), offset in sorted(commits.items()))
    return ExportedGroup(group.name, tuple(offsets))


def parse_offsets(content: bytes, origin: str) -> OffsetsFile:
    """Return the offsets that a file holds.

    Raises:
        ConfigurationError: It is not such a file, of a newer kraftd, or has two offsets for one partition of a group.
    """
    try:
        found = msgspec.json.decode(content, type=OffsetsFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(
            f"cannot read offsets from {origin}: {error}", hint="Give a file that 'kraftd groups export' wrote."
        ) from error
    if found.schema_version != SCHEMA_VERSION:
        raise ConfigurationError(
            f"cannot read offsets from {origin}: its schema_version is {found.schema_version}, not {SCHEMA_VERSION}",
            hint="Use the version of kraftd that wrote it.",
        )
    places = Counter((group.group, each.topic, each.partition) for group in found.groups for each in group.offsets)
    for (group, topic, index), count in places.items():
        if count > 1:
            raise ConfigurationError(
                f"cannot read offsets from {origin}: it has {count} for partition {index} of the topic {named(topic)} "
                f"in the group {named(group)}",
                hint="Leave the one from which the group is to go on.",
            )
    return found


def planned_import(kafka: KafkaData, offsets: OffsetsFile) -> tuple[PlannedMoves, ...]:
    """Return where imported offsets move each group; a group that does not exist is created by that.

    Raises:
        UnknownNameError: There is no such topic.
        ConfigurationError: A topic has no such partition.
        RefusedError: A group is active, or a share group.
        KraftdError: The offsets of a group, which the import would replace, cannot be read, or nobody tells whether it
            exists.
    """
    metadata = kafka.metadata()
    found = kafka.groups(metadata.brokers)
    known = found.groups
    groups = [known.get(each.group) or _new_group(kafka, found, each.group) for each in offsets.groups]
    check_commits(groups, "import offsets of")
    check_empty(groups, "import offsets of")
    commits = commits_of(kafka, [group for group in groups if group.name in known])
    topics = chosen_topics(metadata, sorted({each.topic for group in offsets.groups for each in group.offsets}))
    partitions = {partition.key: partition for topic in topics for partition in topic.partitions}
    counts = {topic.name: len(topic.partitions) for topic in topics}
    wanted = [{(each.topic, each.partition): each.offset for each in group.offsets} for group in offsets.groups]
    used = sorted({key for each in wanted for key in each})
    for topic, index in used:
        if (topic, index) not in partitions:
            raise ConfigurationError(
                f"cannot import the offset of partition {index} of the topic {named(topic)}: it has no such partition",
                hint=f"It has 0 to {counts[topic] - 1}; 'kraftd topics alter {topic} --partitions N' adds more.",
            )
    bounds = bounds_of(kafka, [partitions[key] for key in used], None)
    return tuple(
        PlannedMoves(group, import_moves(each, commits.get(group.name, {}), bounds))
        for group, each in zip(groups, wanted, strict=True)
    )


def _new_group(kafka: KafkaData, existing: Groups, name: str) -> GroupState:
    refuse_unlisted(existing, f"cannot tell whether there is a group {named(name)}")
    found: Any = kafka.coordinator(name)
    if isinstance(found, Failure):
        raise refusal(f"cannot make the group {named(name)}", found)
    return GroupState(name, None, "", None, found, ())
