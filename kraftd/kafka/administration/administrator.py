"""The administrator with which commands change topics, records, groups, and brokers that run."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from kraftd.kafka import groups as group_calls
from kraftd.kafka import quorum as quorum_calls
from kraftd.kafka import topics as topic_calls
from kraftd.kafka.admin import KafkaAdmin, access_error
from kraftd.kafka.administration import settings as setting_calls
from kraftd.kafka.administration.settings import BROKER_RESOURCE, BrokerSetting, ConfigEntry
from kraftd.kafka.groups import committed
from kraftd.kafka.model import Failure, GroupState, Partial, Partition, TopicPartition, TopicState
from kraftd.kafka.quorum import Features
from kraftd.kafka.topics import (
    TOPIC_RESOURCE,
    Reassignment,
    creation_failures_in,
    creation_request,
    metadata_request,
    topics_in,
)
from kraftd.kafka.wire import Request
from kraftd.plan.plan import Topic

_POLL_S = 0.1


class Administrator(KafkaAdmin):
    """A KafkaAdmin that changes too; what one topic, partition or group is refused, the others are not."""

    def cluster_id(self) -> str | None:
        """Return the id of the cluster that answers.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        response = self._opened.request_any(metadata_request(()))
        self._opened.add_brokers(response)
        found: str | None = response.cluster_id
        return found

    def topic_views(self) -> dict[int, Partial[str, TopicState]]:
        """Return every topic as each live broker knows it, by node id; they learn of a change one after the other.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        asked = [broker.node_id for broker in self.brokers()]
        answers = self._opened.request_each([(node_id, metadata_request(None)) for node_id in asked])
        return {
            node_id: topics_in(answer, self._opened)
            for node_id, answer in zip(asked, answers, strict=True)
            if not isinstance(answer, Failure)
        }

    def configs(self, names: Iterable[str]) -> Partial[str, tuple[ConfigEntry, ...]]:
        """Return every configuration of topics.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        return setting_calls.configs_in(self._opened.request_any(setting_calls.configs_request(names)), self._opened)

    def alter_configs(
        self, topic: str, changes: Mapping[str, str | None], *, validate_only: bool = False
    ) -> Failure | None:
        """Set configurations of a topic; None takes the topic's own value away. Returns the reason of a refusal.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        request = setting_calls.alter_request(TOPIC_RESOURCE, topic, changes, validate_only=validate_only)
        return setting_calls.alter_failure(self._opened.request_any(request), self._opened)

    def own_settings(self, names: Iterable[str]) -> dict[str, dict[str, str | None]]:
        """Return the settings that topics have themselves, by topic; those that follow the brokers are absent.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        names = tuple(names)
        found = self.configs(names).values if names else {}
        return {name: {each.name: each.value for each in entries if each.is_own} for name, entries in found.items()}

    def alter_topics(self, changes: Mapping[str, Mapping[str, str | None]]) -> dict[str, Failure]:
        """Set settings of topics and, where one is None, give the topic that of the brokers; return the refusals.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        found = {name: self.alter_configs(name, values) for name, values in changes.items()}
        return {name: failure for name, failure in found.items() if failure is not None}

    def broker_settings(self, node_id: int, keys: Iterable[str]) -> dict[str, BrokerSetting]:
        """Return settings of a broker by key; one that it does not know is absent.

        Raises:
            KafkaAccessError: That broker does not answer, or refuses.
        """
        (answer,) = self._opened.request_each([(node_id, setting_calls.broker_request(node_id, keys))])
        found = answer if isinstance(answer, Failure) else setting_calls.broker_settings_in(answer, self._opened)
        if isinstance(found, Failure):
            raise access_error(f"cannot read the settings of broker {node_id}", found)
        return found

    def alter_broker(
        self,
        node_id: int,
        values: Mapping[str, str | None],
        *,
        of_all_brokers: bool = False,
        validate_only: bool = False,
    ) -> Failure | None:
        """Set dynamic settings of a broker, or through it of all, or only check them; None forgets a dynamic one.

        Returns the reason of a refusal; None for success. The broker follows a moment later.
        """
        name = "" if of_all_brokers else str(node_id)
        request = setting_calls.alter_request(BROKER_RESOURCE, name, values, validate_only=validate_only)
        (answer,) = self._opened.request_each([(node_id, request)])
        return answer if isinstance(answer, Failure) else setting_calls.alter_failure(answer, self._opened)

    def features(self, node_id: int) -> Features:
        """Return which levels of features a broker knows, and which it takes for finalized.

        Raises:
            KafkaAccessError: That broker does not answer.
        """
        (answer,) = self._opened.request_each([(node_id, quorum_calls.features_request())])
        found = answer if isinstance(answer, Failure) else quorum_calls.features_in(answer, self._opened)
        if isinstance(found, Failure):
            raise access_error(f"cannot read the features of broker {node_id}", found)
        return found

    def finalize_features(self, node_id: int, levels: Mapping[str, int], *, validate_only: bool) -> Failure | None:
        """Finalize levels of features through a broker, all or none, or only check whether that can be.

        Returns the reason of a refusal; None for success. The brokers know of it a moment later.
        """
        request = quorum_calls.update_request(levels, self._timeout_s, validate_only=validate_only)
        (answer,) = self._opened.request_each([(node_id, request)])
        return answer if isinstance(answer, Failure) else quorum_calls.update_failure(answer, self._opened)

    def unregister(self, node_id: int) -> Failure | None:
        """Make the cluster forget a broker that has ended; return the reason of a refusal.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        response = self._opened.request_any(topic_calls.unregister_request(node_id))
        return self._opened.failure_of(response.error_code, response.error_message)

    def check_creation(self, declared: Sequence[Topic]) -> dict[str, Failure]:
        """Return why topics could not be created, by name; nothing is created.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        request = creation_request(declared, self._timeout_s, validate_only=True)
        return creation_failures_in(self._opened.request_any(request), self._opened)

    def await_alteration(self, topic: str, partitions: int, config: Mapping[str, str | None], limit_s: float) -> bool:
        """Wait until every broker knows a topic's change: each learns of it up to a second after the controller.

        Args:
            topic: The topic.
            partitions: The number that it has now.
            config: What was set; None where the topic follows the brokers again.
            limit_s: How long to wait.

        Returns:
            Whether all know it in time; a broker that does not answer is not waited for.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        return self._await(lambda: self._is_known(topic, partitions, config), limit_s)

    def await_deletion(self, topics: Iterable[TopicState], limit_s: float) -> bool:
        """Wait until no broker knows topics that were deleted: each learns of it up to a second after the controller.

        Args:
            topics: As they were before; one of the same name that was created since then is another topic.
            limit_s: How long to wait.

        Returns:
            Whether none knows them in time; a broker that does not answer is not waited for.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        gone = {(topic.name, topic.topic_id) for topic in topics}

        def is_forgotten() -> bool:
            known = (each for view in self.topic_views().values() for each in view.values.values())
            return gone.isdisjoint((each.name, each.topic_id) for each in known)

        return self._await(is_forgotten, limit_s)

    def _await(self, is_so: Callable[[], bool], limit_s: float) -> bool:
        deadline_s = self._clock.monotonic_s() + limit_s
        while not is_so():
            if self._clock.monotonic_s() > deadline_s:
                return False
            self._clock.sleep(_POLL_S)
        return True

    def _is_known(self, topic: str, partitions: int, config: Mapping[str, str | None]) -> bool:
        views = self.topic_views()
        found = [view.values[topic] for view in views.values() if topic in view.values]
        if any(len(each.partitions) != partitions for each in found):
            return False
        request = setting_calls.configs_request([topic])
        answers = self._opened.request_each([(node_id, request) for node_id in views]) if config else ()
        known = [
            setting_calls.configs_in(each, self._opened).values for each in answers if not isinstance(each, Failure)
        ]
        owns = [{each.name: each.value for each in found[topic] if each.is_own} for found in known if topic in found]
        return all(setting_calls.same_value(own.get(name), value) for own in owns for name, value in config.items())

    def delete_topics(self, names: Sequence[str]) -> dict[str, Failure]:
        """Delete topics with their records; return why some were not.

        The request goes to one broker only: repeated by another one it would find no topic, and say so.
        """
        first = self.brokers()[0]
        request = topic_calls.deletion_request(names, self._timeout_s)
        (answer,) = self._opened.request_each([(first.node_id, request)])
        if isinstance(answer, Failure):
            return dict.fromkeys(names, answer)
        return topic_calls.deletion_failures(answer, self._opened)

    def delete_records(self, targets: Mapping[Partition, int]) -> Partial[TopicPartition, int]:
        """Delete the records before an offset of each partition, or before its HIGH_WATERMARK; return the new starts.

        The partitions come from topics(), because they carry their leaders.
        """
        return topic_calls.delete_records(self._opened, targets, self._timeout_s)

    def elect_leaders(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Failure]:
        """Make the first replica of each partition its leader, where it is in sync; return why some kept theirs.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        response = self._opened.request_any(topic_calls.election_request(partitions, self._timeout_s))
        return topic_calls.election_failures(response, self._opened)

    def reassign(self, targets: Mapping[TopicPartition, tuple[int, ...]]) -> dict[TopicPartition, Failure]:
        """Give partitions other replicas, the preferred leader first; return the reason of each refusal.

        A reassignment of the same partition that is under way is replaced.

        Raises:
            KafkaAccessError: No broker answers, or none of it is accepted.
        """
        response = self._opened.request_any(topic_calls.reassign_request(targets, self._timeout_s))
        found = topic_calls.reassign_failures(response, self._opened)
        if isinstance(found, Failure):
            raise access_error("cannot reassign partitions", found)
        return found

    def reassignments(self) -> dict[TopicPartition, Reassignment]:
        """Return the reassignments that are under way.

        Raises:
            KafkaAccessError: No broker answers, or the one asked knows no controller.
        """
        response = self._opened.request_any(topic_calls.reassignments_request(self._timeout_s))
        found = topic_calls.reassignments_in(response, self._opened)
        if isinstance(found, Failure):
            raise access_error("cannot list the reassignments", found)
        return found

    def commits(self, groups: Iterable[GroupState]) -> Partial[str, dict[TopicPartition, tuple[int, str]]]:
        """Return every committed offset of each group, by group, each with the text that its client added."""
        return committed(self._opened, groups, lambda each: (each.committed_offset, each.metadata or ""))

    def share_topics(self, groups: Iterable[GroupState]) -> Partial[str, tuple[str, ...]]:
        """Return the topics in which share groups took records, by group; other groups are left out."""
        return group_calls.share_topics(self._opened, groups)

    def commit_offsets(
        self,
        group: GroupState,
        offsets: Mapping[TopicPartition, int],
        metadata: Mapping[TopicPartition, str] = MappingProxyType({}),
    ) -> dict[TopicPartition, Failure]:
        """Commit offsets of a group without members, with a text where there is one; return why some were not."""
        request = group_calls.commit_request(group.name, offsets, metadata)
        (answer,) = self._opened.request_each([(group.coordinator, request)])
        if isinstance(answer, Failure):
            return dict.fromkeys(offsets, answer)
        return group_calls.partition_failures(answer, self._opened)

    def remove_offsets(self, group: GroupState, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Failure]:
        """Remove offsets of a group; return why some were not."""
        asked = tuple(partitions)
        (answer,) = self._opened.request_each([(group.coordinator, group_calls.removal_request(group.name, asked))])
        failure = answer if isinstance(answer, Failure) else self._opened.failure_of(answer.error_code)
        if failure is not None:
            return dict.fromkeys(asked, failure)
        return group_calls.partition_failures(answer, self._opened)

    def delete_groups(self, groups: Iterable[GroupState]) -> dict[str, Failure]:
        """Delete groups with their offsets; return why some were not."""
        return group_calls.delete_groups(self._opened, groups)

    def coordinator(self, group: str) -> int | Failure:
        """Return the node id of a group's coordinator, also of a group that does not exist yet.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        request = Request("FindCoordinator", {"key_type": 0, "coordinator_keys": [group]}, min_version=4)
        (found,) = self._opened.request_any(request).coordinators
        failure = self._opened.failure_of(found.error_code, found.error_message)
        node_id: int = found.node_id
        return failure or node_id
