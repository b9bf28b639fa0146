"""Which groups are as the measurement before saw them, so that what was made of them then holds still. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from kraftd.broker.model import GroupState, TopicPartition


@dataclass(frozen=True, slots=True)
class Seen:
    """All that lag and pace are made from.

    Attributes:
        commits: By group.
        existing: The partitions that exist.
    """

    groups: Mapping[str, GroupState] = field(default_factory=dict)
    commits: Mapping[str, Mapping[TopicPartition, int]] = field(default_factory=dict)
    ends: Mapping[TopicPartition, int] = field(default_factory=dict)
    starts: Mapping[TopicPartition, int] = field(default_factory=dict)
    existing: frozenset[TopicPartition] = frozenset()


class Steadiness:
    """Compares each measurement with the one before."""

    def __init__(self) -> None:
        self._before = Seen()
        self._unchanged: dict[str, int] = {}

    def compare(self, now: Seen) -> None:
        """Take in what was seen now."""
        before, self._before = self._before, now
        moved = _differing(before.ends, now.ends) | _differing(before.starts, now.starts)
        moved |= before.existing ^ now.existing
        self._unchanged = {
            name: self._unchanged.get(name, 0) + 1 if _is_as_before(name, before, now, moved) else 0
            for name in now.commits
        }

    def looks_unchanged(self, group: str) -> int:
        """Return how many measurements in a row, up to the newest, saw of a group just what the one before saw."""
        return self._unchanged.get(group, 0)


def assigned_to(group: GroupState) -> Collection[TopicPartition]:
    """Return the partitions that a group's members read."""
    return {key for member in group.members or () for key in member.assigned or ()}


def _is_as_before(name: str, before: Seen, now: Seen, moved: Collection[TopicPartition]) -> bool:
    commits, group, group_before = now.commits[name], now.groups[name], before.groups.get(name)
    if group_before is None or group_before.members != group.members or before.commits.get(name) != commits:
        return False
    return not moved or (_are_apart(moved, commits) and _are_apart(moved, assigned_to(group)))


def _are_apart(moved: Collection[TopicPartition], keys: Iterable[TopicPartition]) -> bool:
    return not any(key in moved for key in keys)


def _differing(before: Mapping[TopicPartition, int], now: Mapping[TopicPartition, int]) -> set[TopicPartition]:
    return {key for key, offset in now.items() if before.get(key) != offset} | (before.keys() - now.keys())
