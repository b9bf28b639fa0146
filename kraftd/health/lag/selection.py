"""The selection of topics and groups to measure: allow and deny lists, and limits on the number of series. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from kraftd.kafka.model import GroupState, TopicState
from kraftd.plan.kinds import Selection

Matcher = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Selector:
    """A selection with its patterns compiled; see ``selector``."""

    is_topic_wanted: Matcher
    is_group_wanted: Matcher
    selection: Selection

    def topics(self, known: Iterable[TopicState]) -> tuple[TopicState, ...]:
        """Return the topics to measure: those wanted, in the order given, as far as their partitions fit in."""
        chosen = []
        room = self.selection.max_partitions
        for topic in known:
            if self.is_topic_wanted(topic.name) and len(topic.partitions) <= room:
                room -= len(topic.partitions)
                chosen.append(topic)
        return tuple(chosen)

    def groups(self, known: Mapping[str, GroupState]) -> dict[str, GroupState]:
        """Return the groups to measure: those wanted, in the order given, up to the limit."""
        wanted = [name for name in known if self.is_group_wanted(name)]
        return {name: known[name] for name in wanted[: self.selection.max_groups]}

    def undetailed(self, sizes: Mapping[str, int]) -> frozenset[str]:
        """Return the groups of which only totals are kept, those whose partitions do not fit in the limit."""
        room = self.selection.max_group_partitions
        summed = []
        for name, size in sizes.items():
            if size <= room:
                room -= size
            else:
                summed.append(name)
        return frozenset(summed)


def selector(selection: Selection) -> Selector:
    """Return a selection whose patterns are compiled."""
    return Selector(
        is_topic_wanted=_matcher(selection.topics_allow, selection.topics_deny),
        is_group_wanted=_matcher(selection.groups_allow, selection.groups_deny),
        selection=selection,
    )


def _matcher(allow: Iterable[str], deny: Iterable[str]) -> Matcher:
    allowed, denied = _compiled(allow), _compiled(deny)
    return lambda name: allowed.match(name) is not None and denied.match(name) is None


def _compiled(patterns: Iterable[str]) -> re.Pattern[str]:
    alternatives = (re.escape(pattern).replace(r"\*", ".*") for pattern in patterns)
    # Without a pattern nothing matches.
    return re.compile("|".join(f"(?:{each})\\Z" for each in alternatives) or r"(?!)", re.DOTALL)
