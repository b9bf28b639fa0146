"""The protocol that a member joins its group with, where the brokers decide it (KAFKA_GROUP_PROTOCOL=auto)."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined]  # public, not marked as such

_TIMEOUT_S = 1.0
_PROTOCOLS = "group.coordinator.rebalance.protocols"
"""A broker's setting from Kafka 3.7 on, deprecated since 4.0: a list with `consumer` in it where KIP-848 is on."""
_SESSION_TIMEOUT = "group.consumer.session.timeout.ms"
"""A broker that has this and no list of protocols has them all."""
_FORBIDDEN = {KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.TOPIC_AUTHORIZATION_FAILED}

logger = logging.getLogger(__name__)


class ConsumerClient(Protocol):
    """The part of `confluent_kafka.Consumer` that a member uses."""

    def subscribe(self, topics: list[str], on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        """Join the group when polled."""

    def poll(self, timeout: float) -> Any:
        """Return the next message, or None after this many seconds."""

    def consume(self, num_messages: int, timeout: float) -> Sequence[Any]:
        """Return up to so many messages that are there."""

    def store_offsets(self, *, offsets: list[TopicPartition]) -> None:
        """Note what the next background commit may commit."""

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> object:
        """Commit these offsets, also where they are lower than those before."""

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Return what the group has committed of these partitions; raises KafkaException after `timeout` seconds."""

    def assignment(self) -> list[TopicPartition]:
        """Return the partitions that are read now."""

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Take all partitions of an assignment, from these offsets."""

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        """Take further partitions, from these offsets."""

    def seek(self, partition: TopicPartition) -> None:
        """Go on elsewhere in a partition; raises KafkaException where it is not being read yet."""

    def close(self) -> None:
        """Commit and leave the group."""


class ConfigClient(Protocol):
    """The part of `confluent_kafka.admin.AdminClient` that describes a broker's settings."""

    def list_topics(self, *, timeout: float) -> Any:
        """Ask any broker for the cluster; raises KafkaException after `timeout` seconds."""

    def describe_configs(self, resources: list[ConfigResource], *, request_timeout: float) -> Any:
        """Return a future for each resource, of its settings by name."""


def supports_consumer_protocol(client: ConfigClient) -> bool | None:
    """Return whether the brokers support the consumer protocol (KIP-848); None where none answers.

    A client that may not see a broker's settings stays with the classic protocol, which every broker takes.
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
    """A member's client that asks the brokers which protocol they take before it joins.

    Until then it polls the classic client, which is not subscribed to anything and so joins nothing.
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
        """Find out the protocol, where it is not known yet; then pass it on."""
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
        """Take partitions in the way of the protocol: the new one knows only further ones."""
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
