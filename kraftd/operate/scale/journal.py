"""The journal of a scale or reassignment: what it is to reach and to put back, so that the next call ends or undoes it.

What is moved is not in it: that follows from where the replicas are and which moves are under way.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from kraftd.errors import KraftdError
from kraftd.operate.scale.placement import PartitionId, Placement, Replicas
from kraftd.plan.kinds import min_in_sync_replicas

_SCHEMA_VERSION = 1

Values: TypeAlias = Mapping[str, str | None]
"""Settings by key; None for one that was not set."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a reassignment is to reach, whose brokers stay as they are.

    Attributes:
        brokers: The node ids that may have replicas.
        topics: The topics that it moves; none for all.
        assignment: The replicas of each partition of the only topic, the preferred leader first; none to balance.
    """

    brokers: tuple[int, ...]
    topics: tuple[str, ...] = ()
    assignment: tuple[Replicas, ...] = ()


@dataclass(frozen=True, slots=True)
class Journal:
    """A scale, or a reassignment, that is under way.

    Attributes:
        brokers_before: How many brokers there were.
        brokers_after: How many there are to be.
        since: When it began; RFC 3339, UTC.
        placement: The replicas of every partition when it began.
        replication_factor: The number of replicas that the chosen topics are to have; None where it is not changed.
        topics: The chosen topics; none for all.
        min_in_sync_replicas: What the topics' own min.insync.replicas were, of those that are changed.
        topic_throttles: What the throttle's settings of topics were before; by topic.
        broker_throttles: The same of brokers, by node id as text.
        is_aborted: It is being undone.
        is_removing: The brokers that leave are empty, and are being stopped.
        goal: What a reassignment is to reach; None of a scale.
    """

    brokers_before: int
    brokers_after: int
    since: str
    placement: Placement
    replication_factor: int | None = None
    topics: tuple[str, ...] = ()
    min_in_sync_replicas: Mapping[str, str | None] = field(default_factory=dict)
    topic_throttles: Mapping[str, Values] = field(default_factory=dict)
    broker_throttles: Mapping[str, Values] = field(default_factory=dict)
    is_aborted: bool = False
    is_removing: bool = False
    goal: Goal | None = None

    @property
    def command(self) -> str:
        """The words of the command that is under way."""
        return "scale" if self.goal is None else "topics reassign"

    @property
    def what(self) -> str:
        """The command that is under way, as a part of a sentence."""
        if self.goal is None:
            return f"the scale from {self.brokers_before} to {self.brokers_after} brokers that began at {self.since}"
        return f"the reassignment of {', '.join(self.goal.topics) or 'all topics'} that began at {self.since}"

    @property
    def most_brokers(self) -> int:
        """The number of brokers that run while it is under way."""
        return max(self.brokers_before, self.brokers_after)

    def min_in_sync_replicas_changes(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the topics' new min.insync.replicas by name: those that get lower, and those that get higher.

        A topic without its own follows the brokers' default: the lowest value there is lower than that, others are not.
        """
        if self.replication_factor is None:
            return {}, {}
        wanted = min_in_sync_replicas(self.replication_factor)
        values = dict.fromkeys(self.min_in_sync_replicas, str(wanted))
        lower = {
            name: values[name]
            for name, before in self.min_in_sync_replicas.items()
            if (wanted == 1 if before is None else int(before) > wanted)
        }
        return lower, {name: value for name, value in values.items() if name not in lower}

    def to_json(self) -> str:
        """Return the text of ``scale.json``."""
        document: dict[str, Any] = {
            "schema_version": _SCHEMA_VERSION,
            "command": self.command,
            "brokers_before": self.brokers_before,
            "brokers_after": self.brokers_after,
            "since": self.since,
            "placement": [[*key, list(replicas)] for key, replicas in self.placement.items()],
            "replication_factor": self.replication_factor,
            "topics": self.topics,
            "min_in_sync_replicas": self.min_in_sync_replicas,
            "topic_throttles": self.topic_throttles,
            "broker_throttles": self.broker_throttles,
            "is_aborted": self.is_aborted,
            "is_removing": self.is_removing,
            "goal": asdict(self.goal) if self.goal is not None else None,
        }
        return json.dumps(document, indent=2) + "\n"


def parse_journal(text: str, path: Path) -> Journal:
    """Return the journal that a text holds.

    Raises:
        KraftdError: The text is damaged, or a newer kraftd wrote it.
    """
    try:
        raw = json.loads(text)
        if int(raw["schema_version"]) > _SCHEMA_VERSION:
            raise ValueError(f"schema version {raw['schema_version']} is newer")  # noqa: TRY301 one report for all
        return Journal(
            brokers_before=int(raw["brokers_before"]),
            brokers_after=int(raw["brokers_after"]),
            since=str(raw["since"]),
            placement=dict(_placed(each) for each in raw["placement"]),
            replication_factor=raw["replication_factor"],
            topics=tuple(map(str, raw["topics"])),
            min_in_sync_replicas=dict(raw["min_in_sync_replicas"]),
            topic_throttles={str(name): dict(values) for name, values in raw["topic_throttles"].items()},
            broker_throttles={str(name): dict(values) for name, values in raw["broker_throttles"].items()},
            is_aborted=bool(raw["is_aborted"]),
            is_removing=bool(raw["is_removing"]),
            goal=_goal(raw.get("goal")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise KraftdError(
            f"cannot read the journal {path}: it is damaged ({error})",
            hint="Remove that file: 'kraftd scale' then starts over from where the replicas are. It also held which "
            "throttles of replication to take away: 'kraftd kafka configs --describe' shows them.",
            code="journal_damaged",
        ) from error


def _goal(raw: Any) -> Goal | None:
    if raw is None:
        return None
    assignment = tuple(tuple(map(int, replicas)) for replicas in raw["assignment"])
    return Goal(tuple(map(int, raw["brokers"])), tuple(map(str, raw["topics"])), assignment)


def _placed(raw: Any) -> tuple[PartitionId, Replicas]:
    topic, partition, replicas = raw
    return (str(topic), int(partition)), tuple(map(int, replicas))
