"""Detection of the group protocol that the brokers support (KAFKA_GROUP_PROTOCOL=auto)."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined]  # public, not marked as such

_TIMEOUT_S = 1.0
_PROTOCOLS = "group.coordinator.rebalance.protocols"
"""A broker setting since Kafka 3.7, deprecated since 4.0: a list that contains `consumer` if KIP-848 is enabled."""
_SESSION_TIMEOUT = "group.consumer.session.timeout.ms"
"""A broker with this setting and no list of protocols supports all of them."""
_FORBIDDEN = {KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.TOPIC_AUTHORIZATION_FAILED}

logger = logging.getLogger(__name__)


class ConsumerClient(Protocol):
    """The part of `confluent_kafka.Consumer` that a member uses."""

    def subscribe(self, topics: list[str], on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        """Join the group when polled."""

    def poll(self, timeout: float) -> Any:
        """Return the next message, or None after this many seconds."""

    def consume(self, num_messages: int, timeout: float) -> Sequence[Any]:
        """Return up to `num_messages` messages that have arrived."""

    def store_offsets(self, *, offsets: list[TopicPartition]) -> None:
        """Store offsets for the next background commit."""

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> object:
        """Commit these offsets, even if lower than the committed ones."""

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Return the group's committed offsets of these partitions; raises KafkaException after `timeout` seconds."""

    def assignment(self) -> list[TopicPartition]:
        """Return the assigned partitions."""

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Replace the assignment by these partitions and offsets."""

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        """Add partitions, with their offsets, to the assignment."""

    def seek(self, partition: TopicPartition) -> None:
        """Change the position in a partition; raises KafkaException if it is not being read yet."""

    def close(self) -> None:
        """Commit and leave the group."""


class ConfigClient(Protocol):
    """The part of `confluent_kafka.admin.AdminClient` that describes a broker's settings."""

    def list_topics(self, *, timeout: float) -> Any:
        """Return metadata from any broker; raises KafkaException after `timeout` seconds."""

    def describe_configs(self, resources: list[ConfigResource], *, request_timeout: float) -> Any:
        """Return a future of the settings by name for each resource."""


def supports_consumer_protocol(client: ConfigClient) -> bool | None:
    """Return whether the brokers support the consumer protocol (KIP-848); None if no broker answers.

    A client without permission to read a broker's settings uses the classic protocol, which every broker supports.
    """
    try:
        broker_id = min(client.list_topics(timeout=_TIMEOUT_S).brokers)
        resource = ConfigResource(ConfigResource.Type.BROKER, str(broker_id))
        settings = client.describe_configs([resource], request_timeout=_TIMEOUT_S)[resource].result()
    except KafkaException as error:
        return False if error.args[0].code() in _FORBIDDEN else None
    if _PROTOCOLS in settings:
        return "consumer" in settings[_PROTOCOLS].value.split(",")
    return _SESSION_TIMEOUT in settings


class ProtocolDetectingConsumer:
    """A member's client that detects the protocol of the brokers before it joins.

    Until then it polls the classic client, which has no subscription and so joins no group.
    """

    def __init__(
        self,
        classic: ConsumerClient,
        connect_new: Callable[[], ConsumerClient],
        supports_new: Callable[[], bool | None],
    ) -> None:
        self._client = classic
        self._connect_new = connect_new
        self._supports_new = supports_new
        self._uses_new: bool | None = None
        self._subscription: tuple[Any, ...] = ()

    def subscribe(self, topics: list[str], on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        """Join the group when polled, as soon as a broker has answered."""
        self._subscription = (topics, on_assign, on_revoke, on_lost)

    def poll(self, timeout: float) -> Any:
        """Detect the protocol, unless it is known, then poll its client."""
        if self._uses_new is None:
            self._detect()
        return self._client.poll(timeout)

    def _detect(self) -> None:
        self._uses_new = self._supports_new()
        if self._uses_new is None:
            return
        if self._uses_new:
            classic, self._client = self._client, self._connect_new()
            classic.close()
        logger.info("Joining with the %s protocol", "consumer" if self._uses_new else "classic")
        topics, on_assign, on_revoke, on_lost = self._subscription
        self._client.subscribe(topics, on_assign=on_assign, on_revoke=on_revoke, on_lost=on_lost)

    def consume(self, num_messages: int, timeout: float) -> Sequence[Any]:
        """Pass it on."""
        return self._client.consume(num_messages, timeout)

    def store_offsets(self, *, offsets: list[TopicPartition]) -> None:
        """Pass it on."""
        self._client.store_offsets(offsets=offsets)

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> object:
        """Pass it on."""
        return self._client.commit(offsets=offsets, asynchronous=asynchronous)

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Pass it on."""
        return self._client.committed(partitions, timeout)

    def assignment(self) -> list[TopicPartition]:
        """Pass it on."""
        return self._client.assignment()

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Assign partitions; the consumer protocol requires incremental_assign."""
        take = self._client.incremental_assign if self._uses_new else self._client.assign
        take(partitions)

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        """Pass it on."""
        self._client.incremental_assign(partitions)

    def seek(self, partition: TopicPartition) -> None:
        """Pass it on."""
        self._client.seek(partition)

    def close(self) -> None:
        """Pass it on."""
        self._client.close()
