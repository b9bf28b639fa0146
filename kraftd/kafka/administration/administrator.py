"""The administrator with which commands change topics, records and groups."""

from collections.abc import Iterable, Mapping, Sequence

from kraftd.kafka.admin import KafkaAdmin
from kraftd.kafka.administration import groups as group_calls
from kraftd.kafka.administration import topics as topic_calls
from kraftd.kafka.administration.topics import ConfigEntry
from kraftd.kafka.model import Failure, GroupState, Partial, Partition, TopicPartition
from kraftd.kafka.topics import metadata_request
from kraftd.kafka.wire import Request, Response


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

    def configs(self, names: Iterable[str]) -> Partial[str, tuple[ConfigEntry, ...]]:
        """Return every configuration of topics.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        return topic_calls.configs_in(self._opened.request_any(topic_calls.configs_request(names)), self._opened)

    def alter_configs(
        self, topic: str, changes: Mapping[str, str | None], *, validate_only: bool = False
    ) -> Failure | None:
        """Set configurations of a topic; None takes the topic's own value away. Returns the reason of a refusal.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        request = topic_calls.alter_request(topic, changes, validate_only=validate_only)
        return topic_calls.alter_failure(self._opened.request_any(request), self._opened)

    def delete_topics(self, names: Sequence[str]) -> dict[str, Failure]:
        """Delete topics with their records; return why some were not.

        The request goes to one broker only: repeated by another one it would find no topic, and say so.
        """
        answer = self._through_one(topic_calls.deletion_request(names, self._timeout_s))
        if isinstance(answer, Failure):
            return dict.fromkeys(names, answer)
        return topic_calls.deletion_failures(answer, self._opened)

    def delete_records(self, targets: Mapping[Partition, int]) -> Partial[TopicPartition, int]:
        """Delete the records before an offset of each partition, or before its HIGH_WATERMARK; return the new starts.

        The partitions come from topics(), because they carry their leaders.
        """
        return topic_calls.delete_records(self._opened, targets, self._timeout_s)

    def elect_leaders(self, partitions: Sequence[Partition]) -> dict[TopicPartition, Failure]:
        """Make the first replica of each partition its leader; return why some kept theirs."""
        answer = self._through_one(topic_calls.election_request(partitions, self._timeout_s))
        if isinstance(answer, Failure):
            return dict.fromkeys((partition.key for partition in partitions), answer)
        return topic_calls.election_failures(answer, self._opened)

    def commit_offsets(self, group: GroupState, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, Failure]:
        """Commit offsets of a group without members; return why some were not."""
        request = group_calls.commit_request(group.name, offsets)
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

    def _through_one(self, request: Request) -> Response:
        first = self.brokers()[0]
        (answer,) = self._opened.request_each([(first.node_id, request)])
        return answer
