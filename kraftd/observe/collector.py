"""The collection of Kafka's state in cycles, by collectors that fail and are timed one by one."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from enum import Enum, auto
from typing import Protocol, TypeVar

from kraftd.clock import Clock
from kraftd.health.lag.selection import selector
from kraftd.health.lag.view import CollectorRun, Excluded, KafkaView, LogDirs, Unreadable
from kraftd.health.programs.state import ServiceState, Snapshot
from kraftd.kafka.model import BrokerEndpoint, ClusterMetadata, Groups, KafkaAccessError, LogDir, Partial, Quorum
from kraftd.observe.canary import CANARY_EVERY_S, CanaryDoor, CanaryProbe
from kraftd.observe.measurement import Measurement, OffsetSource
from kraftd.plan.kinds import default_replication_factor
from kraftd.plan.plan import Plan
from kraftd.plan.program import Kind

logger = logging.getLogger("kraftd.daemon")

T = TypeVar("T")

_NEVER_RUN = CollectorRun(up=False, duration_s=0.0, last_success_s=None)


LEFT_TO_START_S = 15.0
"""How long the collector leaves the cores to a start: it would take 0.3 s of CPU in a start of 4 s."""

LOG_DIRS_EVERY_S = 60.0
_LOG_DIRS_AFTER_S = 5.0
_CYCLES_FOR_TURNS = 4
"""In a minute so many cycles leave each kind of offset a turn of its own, and one to the log directories."""

_CYCLE_PARTS = ("groups", "lag", "log_dirs", "canary")


class Collectors:
    """Runs collectors, and keeps the result of each one's last run.

    Attributes:
        failures: By name of the collector, why it failed the last time.
        runs: By name of the collector.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.failures: dict[str, str] = {}
        self.runs: dict[str, CollectorRun] = {}

    def run_collector(self, name: str, ask: Callable[[], T]) -> T | None:
        """Return the value of a collector, None where it fails."""
        began_s = self._clock.monotonic_s()
        before = self.runs.get(name, _NEVER_RUN)
        try:
            value = ask()
        except KafkaAccessError as error:
            self._note_failure(name, before, began_s, str(error), str(error.details.get("error", error.code)))
            return None
        except Exception as error:
            # A defect in one collector must not end the others; it is in the log with its traceback.
            logger.exception("Collecting %s failed", name)
            self._note_failure(name, before, began_s, f"cannot collect {name}: {error!r}", "defect")
            return None
        self.failures.pop(name, None)
        duration_s, now_s = self._clock.monotonic_s() - began_s, self._clock.now_s()
        self.runs[name] = replace(before, up=True, duration_s=duration_s, last_success_s=now_s)
        return value

    def skip(self, name: str, reason: str) -> None:
        """Record that a collector cannot run."""
        before = self.runs.get(name, _NEVER_RUN)
        self.failures[name] = reason
        self.runs[name] = replace(before, up=False, duration_s=0.0)

    def _note_failure(self, name: str, before: CollectorRun, began_s: float, text: str, error: str) -> None:
        self.failures[name] = text
        errors = {**before.errors, error: before.errors.get(error, 0) + 1}
        duration_s = self._clock.monotonic_s() - began_s
        self.runs[name] = replace(before, up=False, duration_s=duration_s, errors=errors)


class CollectAction(Enum):
    """The action of a turn of the collector."""

    WAIT = auto()
    ASK = auto()
    GIVE_UP = auto()


def next_collect_action(newest: Snapshot | None, *, has_seen_kafka: bool, waited_s: float) -> CollectAction:
    """Return the next action: ask while a broker serves, but at first leave a start alone.

    Args:
        newest: The newest snapshot of the programs; None before the first.
        has_seen_kafka: Whether Kafka ever answered.
        waited_s: Seconds since the daemon came up.
    """
    programs = newest.programs if newest else ()
    is_coming_up = any(each.service_state is ServiceState.STARTING for each in programs)
    if newest is None or (not has_seen_kafka and waited_s < LEFT_TO_START_S and is_coming_up):
        return CollectAction.WAIT
    return (
        CollectAction.ASK if any(each.ready for each in programs if each.kind is Kind.BROKER) else CollectAction.GIVE_UP
    )


class Admin(OffsetSource, CanaryDoor, Protocol):
    """The part of the Kafka door that the collector reads."""

    @property
    def requests(self) -> Mapping[str, int]:
        """Return how many requests were sent, by Kafka's name of the API."""

    def quorum(self) -> Quorum:
        """Return the controllers' state."""

    def metadata(self, names: Iterable[str] | None = None) -> ClusterMetadata:
        """Return the live brokers and the topics."""

    def groups(self, brokers: Iterable[BrokerEndpoint] | None = None) -> Groups:
        """Return every group."""

    def log_dirs(self, brokers: Iterable[BrokerEndpoint]) -> Partial[int, tuple[LogDir, ...]]:
        """Return each broker's log directories."""


class Collector:
    """Keeps the newest view of Kafka; a collector that fails leaves a reason instead of its value.

    A healthy cluster is asked once in a cycle; an unhealthy one is asked for brokers, topics and quorum each time.
    """

    def __init__(self, admin: Admin, clock: Clock, plan: Plan) -> None:
        self._admin = admin
        self._clock = clock
        self._daemon = plan.daemon
        self._selector = selector(plan.daemon.selection)
        takes_turns = (_CYCLES_FOR_TURNS - 1) * plan.daemon.lag_interval_s < LOG_DIRS_EVERY_S
        self._measurement = Measurement(admin, clock, self._selector, asks_for_all=not takes_turns)
        broker_ids = [broker.node_id for broker in plan.brokers]
        replicas = default_replication_factor(len(broker_ids))
        self._canary = CanaryProbe(admin, clock, broker_ids, replicas)
        self._collectors = Collectors(clock)
        self._cycle_due_s = clock.monotonic_s()
        # Neither in the first cycle, which has start offsets to ask for, nor while a start goes on.
        self._log_dirs_due_s = clock.monotonic_s() + _LOG_DIRS_AFTER_S
        self._canary_due_s = clock.monotonic_s() + CANARY_EVERY_S
        self.view = KafkaView()

    def collect(self, *, is_settled: bool = False) -> KafkaView:
        """Ask for what is due, and return the new view.

        Args:
            is_settled: The cluster was healthy a moment ago, so that its state is read only when due.
        """
        is_cycle_due = self._clock.monotonic_s() >= self._cycle_due_s
        is_canary_due = self._daemon.canary and self._is_canary_due(is_cycle_due=is_cycle_due)
        if is_settled and not (is_cycle_due or is_canary_due):
            return self.view
        self._publish(self._with_state(self.view))
        if is_cycle_due:
            self._cycle_due_s = self._clock.monotonic_s() + self._daemon.lag_interval_s
            self._publish(self._with_cycle(self.view))
        if is_canary_due:
            self._canary_due_s = self._clock.monotonic_s() + CANARY_EVERY_S
            self._publish(self._with_canary(self.view))
        return self.view

    def _is_canary_due(self, *, is_cycle_due: bool) -> bool:
        """Return whether a canary is due; it joins a cycle near its time, so that both ask for the state once."""
        now_s = self._clock.monotonic_s()
        if is_cycle_due:
            return now_s >= self._canary_due_s - CANARY_EVERY_S / 2
        return now_s >= self._canary_due_s and self._cycle_due_s - now_s > CANARY_EVERY_S / 2

    def give_up(self, reason: str) -> KafkaView:
        """Drop every value, because no broker can be asked and older values may be wrong by now."""
        parts = ("quorum", "topics", *_CYCLE_PARTS)
        has_values = replace(self.view, failures={}, runs={}, requests={}) != KafkaView()
        if has_values or any(self.view.failures.get(part) != reason for part in parts):
            for part in parts:
                self._collectors.skip(part, reason)
            self._cycle_due_s = self._log_dirs_due_s = self._clock.monotonic_s()
            self._publish(KafkaView())
        return self.view

    def _publish(self, view: KafkaView) -> None:
        failures, runs = dict(self._collectors.failures), dict(self._collectors.runs)
        self.view = replace(view, failures=failures, runs=runs, requests=dict(self._admin.requests))

    def _with_state(self, view: KafkaView) -> KafkaView:
        metadata = self._collectors.run_collector("topics", self._admin.metadata)
        quorum = self._collectors.run_collector("quorum", self._admin.quorum)
        if metadata is None:
            return replace(view, quorum=quorum, topics=None, brokers=None)
        topics = tuple(metadata.topics.values.values())
        measured = {topic.name for topic in self._selector.topics(topics)}
        left_out = frozenset(topic.name for topic in topics if topic.name not in measured)
        return replace(
            view,
            quorum=quorum,
            topics=topics,
            brokers=metadata.brokers,
            unreadable=replace(view.unreadable, topics=metadata.topics.failures),
            excluded=replace(view.excluded, topics=left_out),
        )

    def _with_cycle(self, view: KafkaView) -> KafkaView:
        if view.topics is None or view.brokers is None:
            for part in ("groups", "lag"):
                self._collectors.skip(part, self._collectors.failures["topics"])
            return _without_groups(view)
        are_log_dirs_due = self._clock.monotonic_s() >= self._log_dirs_due_s
        view = self._with_groups(view, with_details=not are_log_dirs_due)
        if are_log_dirs_due and view.brokers is not None:
            self._log_dirs_due_s = self._clock.monotonic_s() + LOG_DIRS_EVERY_S
            brokers = view.brokers
            found = self._collectors.run_collector("log_dirs", lambda: self._admin.log_dirs(brokers))
            view = replace(view, log_dirs=None if found is None else LogDirs(self._clock.now_s(), found))
        return view

    def _with_groups(self, view: KafkaView, *, with_details: bool) -> KafkaView:
        listed = self._collectors.run_collector("groups", lambda: self._admin.groups(view.brokers))
        if listed is None:
            self._collectors.skip("lag", self._collectors.failures["groups"])
            return _without_groups(view)
        groups = self._selector.groups(listed.groups)
        topics = tuple(topic for topic in view.topics or () if topic.name not in view.excluded.topics)
        measured = self._collectors.run_collector(
            "lag",
            lambda: self._measurement.measure(
                groups,
                topics,
                view.unreadable.topics,
                are_all_groups_listed=not listed.broker_failures,
                with_details=with_details,
                brokers=view.brokers or (),
            ),
        )
        unreadable = Unreadable(view.unreadable.topics, listed.failures, {}, listed.broker_failures)
        if measured is None:
            return replace(_without_groups(view), groups=groups, unreadable=unreadable)
        return replace(
            view,
            groups=groups,
            lags=measured.lags,
            lags_taken_at_s=measured.offsets.taken_at_s,
            offsets=measured.offsets,
            time_lags=measured.time_lags,
            statuses=measured.statuses,
            open_transactions=measured.open_transactions,
            unreadable=replace(unreadable, commits=measured.not_read),
            excluded=Excluded(view.excluded.topics, len(listed.groups) - len(groups), measured.undetailed),
        )

    def _with_canary(self, view: KafkaView) -> KafkaView:
        if view.topics is None or view.brokers is None:
            self._collectors.skip("canary", self._collectors.failures["topics"])
            return replace(view, canary=None)
        topics, brokers = view.topics, view.brokers
        return replace(view, canary=self._collectors.run_collector("canary", lambda: self._canary.run(topics, brokers)))


def _without_groups(view: KafkaView) -> KafkaView:
    return replace(view, groups=None, lags=None, offsets=None, time_lags=None, statuses=None, open_transactions={})
