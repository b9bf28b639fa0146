"""Asking Kafka, part by part: what one part cannot tell costs its own values only."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Protocol, TypeVar

from kraftd.broker.errors import KafkaAccessError
from kraftd.broker.model import Groups, GroupState, Partial, Partition, Quorum, TopicPartition, TopicState
from kraftd.clock import Clock
from kraftd.watch.kafka_view import KafkaView
from kraftd.watch.lag import GroupLag, group_lag

T = TypeVar("T")


class Admin(Protocol):
    """The part of the Kafka door that is collected from."""

    def quorum(self) -> Quorum:
        """Return the controllers' state."""

    def topics(self, names: Iterable[str] | None = None) -> Partial[str, TopicState]:
        """Return topics by name."""

    def groups(self) -> Groups:
        """Return every group."""

    def committed(self, groups: Iterable[GroupState]) -> Partial[str, dict[TopicPartition, int]]:
        """Return the commits of groups."""

    def end_offsets(self, partitions: Iterable[Partition]) -> Partial[TopicPartition, int]:
        """Return the end offsets of partitions."""

    def start_offsets(self, partitions: Iterable[Partition]) -> Partial[TopicPartition, int]:
        """Return the start offsets of partitions."""


class Collector:
    """Keeps the newest view; a part that fails loses its value and gains a reason."""

    def __init__(self, admin: Admin, clock: Clock, *, lag_interval_s: float) -> None:
        self._admin = admin
        self._clock = clock
        self._lag_interval_s = lag_interval_s
        self._lags_due_s = clock.monotonic_s()
        self._failures: dict[str, str] = {}
        self.view = KafkaView()

    def collect(self) -> KafkaView:
        """Ask for the quorum and the topics, and for the groups when they are due; return the new view."""
        quorum = self._part("quorum", self._admin.quorum)
        topics = self._part("topics", lambda: self._admin.topics().values)
        known = tuple(topics.values()) if topics is not None else None
        view = replace(self.view, quorum=quorum, topics=known)
        if self._clock.monotonic_s() >= self._lags_due_s:
            self._lags_due_s = self._clock.monotonic_s() + self._lag_interval_s
            view = self._with_lags(view)
        self.view = replace(view, failures=dict(self._failures))
        return self.view

    def _with_lags(self, view: KafkaView) -> KafkaView:
        groups = self._part("groups", self._admin.groups)
        if groups is None or view.topics is None:
            return replace(view, groups=None, lags=None)
        lags = self._part("lag", lambda: self._lags(groups.groups, view.topics or ()))
        return replace(view, groups=groups.groups, lags=lags, lags_taken_at_s=self._clock.now_s())

    def _lags(self, groups: Mapping[str, GroupState], topics: Iterable[TopicState]) -> dict[str, GroupLag]:
        committed = self._admin.committed(groups.values())
        partitions = {partition.key: partition for topic in topics for partition in topic.partitions}
        read = {key for offsets in committed.values.values() for key in offsets} & partitions.keys()
        asked = [partitions[key] for key in sorted(read)]
        # Commits first, end offsets after: no group can then seem ahead of a log that only grows.
        ends = self._admin.end_offsets(asked)
        starts = self._admin.start_offsets(asked)
        return {
            name: group_lag(
                offsets, ends.values, starts.values, existing=partitions.keys(), assigned=_assigned(groups[name])
            )
            for name, offsets in committed.values.items()
        }

    def _part(self, name: str, ask: Callable[[], T]) -> T | None:
        try:
            value = ask()
        except KafkaAccessError as error:
            self._failures[name] = str(error)
            return None
        self._failures.pop(name, None)
        return value


def _assigned(group: GroupState) -> Collection[TopicPartition]:
    return {key for member in group.members or () for key in member.assigned or ()}
