"""How the data commands reach Kafka: this very cluster, and no other that has taken its ports."""

# ruff: noqa: D102 the Protocol names methods that Administrator describes

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from kraftd.errors import ConfigurationError, KraftdError, NeedsRunningClusterError, TimedOutError
from kraftd.escapes import named
from kraftd.kafka.administration.administrator import Administrator
from kraftd.kafka.administration.settings import ConfigEntry
from kraftd.kafka.log import IsolationLevel, Question
from kraftd.kafka.model import (
    BrokerEndpoint,
    ClusterMetadata,
    Failure,
    Groups,
    GroupState,
    KafkaUnreachableError,
    LogDir,
    Partial,
    Partition,
    TopicOutcome,
    TopicPartition,
    TopicState,
)
from kraftd.operate.context import ClusterContext
from kraftd.plan.plan import Plan, Topic

_TIMEOUT_S = 10.0
_USERS_FAULT = (
    "INVALID_CONFIG",
    "INVALID_REQUEST",
    "INVALID_TOPIC_EXCEPTION",
    "INVALID_PARTITIONS",
    "POLICY_VIOLATION",
)


class KafkaData(Protocol):
    """The part of ``Administrator`` that the use cases ask."""

    def metadata(self, names: Iterable[str] | None = None) -> ClusterMetadata: ...

    def groups(self, brokers: Iterable[BrokerEndpoint] | None = None) -> Groups: ...

    def committed(self, groups: Iterable[GroupState]) -> Partial[str, dict[TopicPartition, int]]: ...

    def share_topics(self, groups: Iterable[GroupState]) -> Partial[str, tuple[str, ...]]: ...

    def mixed_offsets(self, questions: Iterable[Question]) -> Partial[TopicPartition, int]: ...

    def end_offsets(
        self, partitions: Iterable[Partition], isolation_level: IsolationLevel
    ) -> Partial[TopicPartition, int]: ...

    def log_dirs(self, brokers: Iterable[BrokerEndpoint]) -> Partial[int, tuple[LogDir, ...]]: ...

    def configs(self, names: Iterable[str]) -> Partial[str, tuple[ConfigEntry, ...]]: ...

    def alter_configs(
        self, topic: str, changes: Mapping[str, str | None], *, validate_only: bool = False
    ) -> Failure | None: ...

    def create_topics(self, declared: Sequence[Topic], limit_s: float) -> tuple[TopicOutcome, ...]: ...

    def await_alteration(
        self, topic: str, partitions: int, config: Mapping[str, str | None], limit_s: float
    ) -> bool: ...

    def check_creation(self, declared: Sequence[Topic]) -> dict[str, Failure]: ...

    def add_partitions(
        self, topic: TopicState, added: Sequence[Sequence[int]], through: int, *, validate_only: bool = False
    ) -> Failure | None: ...

    def delete_topics(self, names: Sequence[str]) -> dict[str, Failure]: ...

    def await_deletion(self, topics: Iterable[TopicState], limit_s: float) -> bool: ...

    def delete_records(self, targets: Mapping[Partition, int]) -> Partial[TopicPartition, int]: ...

    def elect_leaders(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Failure]: ...

    def commit_offsets(
        self, group: GroupState, offsets: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, Failure]: ...

    def remove_offsets(
        self, group: GroupState, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, Failure]: ...

    def delete_groups(self, groups: Iterable[GroupState]) -> dict[str, Failure]: ...

    def coordinator(self, group: str) -> int | Failure: ...


@contextlib.contextmanager
def opened(cluster: ClusterContext) -> Iterator[Administrator]:
    """Yield the administrator of a running cluster.

    Raises:
        NeedsRunningClusterError: The cluster does not run, or another one has its ports.
    """
    plan = cluster.plan
    manifest = cluster.store.manifest()
    if manifest is None:
        raise _not_running(plan, f"nothing was started in {plan.layout.state_dir}")
    with Administrator(plan.access, timeout_s=cluster.command_context.left_s(_TIMEOUT_S)) as kafka:
        try:
            found = kafka.cluster_id()
            if found != manifest.cluster_id:
                raise _not_running(plan, f"the cluster that answers there has the id {found}")
            yield kafka
        except KafkaUnreachableError as error:
            raise _not_running(plan, str(error.details.get("causes", error))) from error


def _not_running(plan: Plan, reason: str) -> NeedsRunningClusterError:
    return NeedsRunningClusterError(
        f"cannot ask the brokers of the cluster {plan.cluster} at {plan.access.bootstrap_servers}: {reason}",
        hint="'kraftd status' shows what runs, 'kraftd start' starts it.",
    )


def already_deleted(done: Sequence[str]) -> str:
    """Return what was deleted before Kafka refused the next one, as a part of that sentence; empty for nothing."""
    return f" (deleted: {', '.join(map(named, done))})" if done else ""


def refusal(what: str, failure: Failure, *, hint: str = "") -> KraftdError:
    """Return the error for what Kafka refused; Kafka's name of the reason decides whose fault it is.

    Args:
        what: What cannot be done, as ``cannot create the topic t``.
        failure: Kafka's reason.
        hint: What to do; by default to try again, where that can help.
    """
    text = f"{what}: {failure.text.rstrip('.')}"
    details = {"error": failure.error}
    if failure.error in _USERS_FAULT:
        return ConfigurationError(text, hint=hint, details=details)
    again = hint or ("Try again; 'kraftd status' shows which brokers run." if failure.retriable else "")
    kind = TimedOutError if failure.error in ("TIMED_OUT", "REQUEST_TIMED_OUT") else KraftdError
    return kind(text, hint=again, code="kafka_refused" if kind is KraftdError else "", details=details)
