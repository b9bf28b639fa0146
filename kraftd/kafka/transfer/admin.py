"""Topics with their settings, ranges of offsets and commits, over confluent-kafka, whose records are read and written.

Importing this module does not import confluent-kafka; the first client does.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from kraftd.clock import Clock, SystemClock
from kraftd.kafka.model import KafkaAccessError, KafkaRejectedError, KafkaUnavailableError, TopicPartition
from kraftd.kafka.transfer.model import Commit, GroupCommits, OffsetRange, TopicState
from kraftd.plan.plan import Access

NOT_EMPTY_GROUP = "NON_EMPTY_GROUP"
_TIMEOUT_S = 30.0
_AGREE_WITHIN_S, _ASK_AGAIN_S = 10.0, 0.2
_PASSING = frozenset(
    {
        "UNKNOWN_TOPIC_OR_PART",
        "LEADER_NOT_AVAILABLE",
        "NOT_LEADER_FOR_PARTITION",
        "COORDINATOR_LOAD_IN_PROGRESS",
        "COORDINATOR_NOT_AVAILABLE",
        "NOT_COORDINATOR",
        "REQUEST_TIMED_OUT",
    }
)
_MOST_GROUPS_AT_ONCE = 50


def load_library() -> Any:
    """Return confluent-kafka, which takes 0.1 s to load, and has types for a part of it."""
    import confluent_kafka.admin  # noqa: PLC0415 - not for every command

    return confluent_kafka


def client_settings(access: Access) -> dict[str, Any]:
    """Return the settings with which a client of librdkafka reaches a cluster."""
    return {"bootstrap.servers": access.bootstrap_servers, **dict(access.properties), "log_level": 0}


class TransferAdmin:
    """Reads and makes the topics and commits of one cluster."""

    def __init__(self, access: Access, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._library = load_library()
        self._client = self._library.admin.AdminClient(client_settings(access))

    def cluster_id(self) -> str:
        """Return the cluster's id.

        Raises:
            KafkaAccessError: No broker answers.
        """
        return str(self._metadata().cluster_id)

    def brokers(self) -> int:
        """Return the number of live brokers.

        Raises:
            KafkaAccessError: No broker answers.
        """
        return len(self._metadata().brokers)

    def _metadata(self) -> Any:
        try:
            return self._client.list_topics(timeout=_TIMEOUT_S)
        except self._library.KafkaException as error:
            raise access_error("cannot ask Kafka for its topics", error) from error

    def topics(self) -> dict[str, TopicState]:
        """Return every topic by name, those that Kafka keeps for itself included.

        Raises:
            KafkaAccessError: A broker does not answer.
        """
        deadline_s = self._clock.monotonic_s() + _AGREE_WITHIN_S
        while True:
            try:
                return self._described(sorted(self._metadata().topics))
            except KafkaUnavailableError as error:
                # One broker after the other learns that a topic was made or deleted.
                if error.details.get("error") != "UNKNOWN_TOPIC_OR_PART" or self._clock.monotonic_s() > deadline_s:
                    raise
            self._clock.sleep(_ASK_AGAIN_S)

    def _described(self, names: Sequence[str]) -> dict[str, TopicState]:
        if not names:
            return {}
        described = self._client.describe_topics(self._library.TopicCollection(names), request_timeout=_TIMEOUT_S)
        resources = [
            self._library.admin.ConfigResource(self._library.admin.ConfigResource.Type.TOPIC, name) for name in names
        ]
        settings = {
            resource.name: future
            for resource, future in self._client.describe_configs(resources, request_timeout=_TIMEOUT_S).items()
        }
        own = self._library.admin.ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        found = {}
        for name in names:
            topic = _result(described[name], f"cannot describe the topic {name}")
            entries = _result(settings[name], f"cannot read the settings of the topic {name}")
            config = {
                entry.name: entry.value for entry in entries.values() if entry.source == own and entry.value is not None
            }
            replicas = len(topic.partitions[0].replicas)
            found[name] = TopicState(name, _topic_id(topic.topic_id), len(topic.partitions), replicas, config)
        return found

    def ranges(
        self, partitions: Iterable[TopicPartition], *, committed: bool = True
    ) -> dict[TopicPartition, OffsetRange]:
        """Return the first offset of each partition, and its last stable offset, else its high watermark.

        Raises:
            KafkaAccessError: A leader does not answer.
        """
        asked = list(partitions)
        level = (
            self._library.IsolationLevel.READ_COMMITTED if committed else self._library.IsolationLevel.READ_UNCOMMITTED
        )
        begins = self._offsets(
            asked, self._library.admin.OffsetSpec.earliest(), self._library.IsolationLevel.READ_UNCOMMITTED
        )
        ends = self._offsets(asked, self._library.admin.OffsetSpec.latest(), level)
        return {each: OffsetRange(begins[each], max(ends[each], begins[each])) for each in asked}

    def _offsets(self, asked: Sequence[TopicPartition], spec: Any, level: Any) -> dict[TopicPartition, int]:

        if not asked:
            return {}
        question = {self._library.TopicPartition(topic, index): spec for topic, index in asked}
        futures = self._client.list_offsets(question, isolation_level=level, request_timeout=_TIMEOUT_S)
        return {
            (each.topic, each.partition): _result(
                future, f"cannot read the offsets of {each.topic}-{each.partition}"
            ).offset
            for each, future in futures.items()
        }

    def groups(self) -> tuple[GroupCommits, ...]:
        """Return the committed offsets of every group that has some.

        Raises:
            KafkaAccessError: A coordinator does not answer.
        """
        listed = _result(self._client.list_consumer_groups(request_timeout=_TIMEOUT_S), "cannot list the groups")
        if listed.errors:
            raise access_error("cannot list the groups", listed.errors[0])
        names = sorted(each.group_id for each in listed.valid)
        found = []
        for name in names:
            # librdkafka takes one group in each call.
            question = [self._library.ConsumerGroupTopicPartitions(name)]
            futures = self._client.list_consumer_group_offsets(question, request_timeout=_TIMEOUT_S)
            answer = _result(futures[name], f"cannot read the commits of the group {name}")
            commits = tuple(
                Commit(each.topic, each.partition, each.offset, each.metadata or "")
                for each in answer.topic_partitions
                if each.offset >= 0
            )
            if commits:
                found.append(GroupCommits(name, commits))
        return tuple(found)

    def active_groups(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return which of some groups have members now.

        Raises:
            KafkaAccessError: A coordinator does not answer.
        """
        asked = sorted(names)
        if not asked:
            return ()
        futures = self._client.describe_consumer_groups(asked, request_timeout=_TIMEOUT_S)
        found = {
            name: _result(future, f"cannot describe the group {name}", absent=None) for name, future in futures.items()
        }
        return tuple(name for name, group in found.items() if group is not None and group.members)

    def commit(self, group: GroupCommits) -> None:
        """Set the committed offsets of a group without members.

        Raises:
            KafkaAccessError: The coordinator refuses, as where the group has members.
        """
        partitions = [
            self._library.TopicPartition(each.topic, each.partition, each.offset, each.metadata)
            for each in group.commits
        ]
        question = [self._library.ConsumerGroupTopicPartitions(group.group, partitions)]
        what = f"cannot set the offsets of the group {group.group}"
        futures = self._client.alter_consumer_group_offsets(question, request_timeout=_TIMEOUT_S)
        for each in _result(futures[group.group], what).topic_partitions:
            if each.error is not None:
                raise access_error(f"{what} in {each.topic}-{each.partition}", each.error)

    def create_topic(self, topic: TopicState) -> None:
        """Create a topic; one that exists is left alone.

        Raises:
            KafkaAccessError: The controller refuses.
        """
        asked = self._library.admin.NewTopic(
            topic.name, topic.partitions, topic.replication_factor, config=topic.config
        )
        futures = self._client.create_topics([asked], operation_timeout=_TIMEOUT_S, request_timeout=_TIMEOUT_S)
        _result(futures[topic.name], f"cannot create the topic {topic.name}", absent=None)

    def set_config(self, topic: str, config: Mapping[str, str], before: Iterable[str]) -> None:
        """Give a topic these settings of its own, and none of those that it had before.

        Raises:
            KafkaAccessError: A broker refuses.
        """

        def entry(name: str, value: str | None, operation: Any) -> Any:
            return self._library.admin.ConfigEntry(name, value, incremental_operation=operation)

        entries = [entry(name, value, self._library.admin.AlterConfigOpType.SET) for name, value in config.items()]
        entries += [
            entry(name, None, self._library.admin.AlterConfigOpType.DELETE) for name in before if name not in config
        ]
        if not entries:
            return
        resource = self._library.admin.ConfigResource(
            self._library.admin.ConfigResource.Type.TOPIC, topic, incremental_configs=entries
        )
        (future,) = self._client.incremental_alter_configs([resource], request_timeout=_TIMEOUT_S).values()
        _result(future, f"cannot set the configuration of the topic {topic}")


_RAISE = object()


def _result(future: "Future[Any]", what: str, absent: Any = _RAISE) -> Any:
    """Return the result of a call; for what exists already, or does not exist, another value where one is given."""
    kafka = load_library()
    expected = (kafka.KafkaError.TOPIC_ALREADY_EXISTS, kafka.KafkaError.GROUP_ID_NOT_FOUND)
    try:
        return future.result()
    except kafka.KafkaException as error:
        if absent is not _RAISE and error.args[0].code() in expected:
            return absent
        raise access_error(what, error) from error


def access_error(what: str, error: Any) -> KafkaAccessError:
    """Return librdkafka's error, or an exception that holds one, as ours."""
    cause = error.args[0] if isinstance(error, Exception) and error.args else error
    name = cause.name().lstrip("_") if hasattr(cause, "name") else "FAILED"
    text = cause.str() if hasattr(cause, "str") else str(cause)
    # Negative codes are librdkafka's own: no connection, no leader, no answer.
    is_passing = hasattr(cause, "code") and (cause.code() < 0 or cause.name() in _PASSING)
    kind = KafkaUnavailableError if is_passing else KafkaRejectedError
    return kind(f"{what}: {text}", hint="'kraftd status' shows which brokers run.", details={"error": name})


def _topic_id(value: Any) -> str:
    """Return an id as Kafka's own tools write it."""
    return str(value).translate(str.maketrans("+/", "-_")).rstrip("=")
