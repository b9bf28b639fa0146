"""The group's protocol: which one the brokers support, and the membership that a process leaves behind."""

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined]  # public, not marked as such

_TIMEOUT_S = 1.0
_PROTOCOLS = "group.coordinator.rebalance.protocols"
"""A broker setting since Kafka 3.7, deprecated since 4.0: a list that contains `consumer` if KIP-848 is enabled."""
_SESSION_TIMEOUT = "group.consumer.session.timeout.ms"
"""A broker with this setting and no list of protocols supports all of them."""
_REMOVE_LIMIT_S = 10.0
"""A member of this app is gone by itself after 6 s."""
_REMOVE_TIMEOUT_S = 2.0
_REMOVE_PAUSE_S = 0.2
_STANDBY_S = 5.0
_STANDBY_LIMIT_S = 60.0
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

    def unsubscribe(self) -> None:
        """Leave the group when polled."""

    def store_offsets(self, *, offsets: list[TopicPartition]) -> None:
        """Store offsets for the next background commit."""

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> object:
        """Commit these offsets, even if lower than the committed ones."""

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Return the group's committed offsets of these partitions; raises KafkaException after `timeout` seconds."""

    def assignment(self) -> list[TopicPartition]:
        """Return the assigned partitions."""

    def memberid(self) -> str | None:
        """Return the id of this member; in the classic protocol empty or None before it has joined."""

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Replace the assignment by these partitions and offsets."""

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        """Add partitions, with their offsets, to the assignment."""

    def seek(self, partition: TopicPartition) -> None:
        """Change the position in a partition; raises KafkaException if it is not being read yet."""

    def close(self) -> None:
        """Commit and leave the group."""


class GroupClient(Protocol):
    """The part of `confluent_kafka.admin.AdminClient` that describes a group and its topic."""

    def describe_topics(self, topics: TopicCollection, *, request_timeout: float) -> Any:
        """Return a future of the description for each topic."""

    def describe_consumer_groups(self, group_ids: list[str], *, request_timeout: float) -> Any:
        """Return a future of the description for each group."""


class ConfigClient(Protocol):
    """The part of `confluent_kafka.admin.AdminClient` that describes a broker's settings."""

    def list_topics(self, *, timeout: float) -> Any:
        """Return metadata from any broker; raises KafkaException after `timeout` seconds."""

    def describe_configs(self, resources: list[ConfigResource], *, request_timeout: float) -> Any:
        """Return a future of the settings by name for each resource."""


def supports_consumer_protocol(client: ConfigClient) -> bool | None:
    """Return whether the brokers support the consumer protocol (KIP-848); None if no broker answers or serves.

    A client without permission to read a broker's settings uses the classic protocol, which every broker supports.
    """
    try:
        brokers = client.list_topics(timeout=_TIMEOUT_S).brokers
        if not brokers:
            return None
        resource = ConfigResource(ConfigResource.Type.BROKER, str(min(brokers)))
        settings = client.describe_configs([resource], request_timeout=_TIMEOUT_S)[resource].result()
    except KafkaException as error:
        return False if error.args[0].code() in _FORBIDDEN else None
    if _PROTOCOLS in settings:
        return "consumer" in settings[_PROTOCOLS].value.split(",")
    return _SESSION_TIMEOUT in settings


def has_free_partition(client: GroupClient, group: str, topic: str) -> bool:
    """Return whether the group has settled, and no member of it has one of the topic's partitions.

    False where that is not known: a broker does not answer, or the client may not describe the group.
    """
    members = _settled_members(client, group)
    if members is None:
        return False
    try:
        found = client.describe_topics(TopicCollection([topic]), request_timeout=_TIMEOUT_S)[topic].result()
    except KafkaException as error:
        logger.debug("The partitions of %s are not known: %s", topic, error)
        return False
    owned = {
        place.partition for member in members for place in member.assignment.topic_partitions if place.topic == topic
    }
    return any(partition.id not in owned for partition in found.partitions)


def stands_by(client: GroupClient, group: str, member_id: str) -> bool:
    """Return whether the group has settled with a member in it that has no partition.

    False where that is not known: a broker does not answer, or the client may not describe the group.
    """
    members = _settled_members(client, group) or ()
    return any(member.member_id == member_id and not member.assignment.topic_partitions for member in members)


def _settled_members(client: GroupClient, group: str) -> Sequence[Any] | None:
    """Return the members of a group; None while it has not settled, and where they are not known."""
    try:
        described = client.describe_consumer_groups([group], request_timeout=_TIMEOUT_S)[group].result()
    except KafkaException as error:
        logger.debug("The members of %s are not known: %s", group, error)
        return None
    members: Sequence[Any] = described.members
    return members if described.state == ConsumerGroupState.STABLE else None


class Standby:
    """Decides when a member without partitions joins the group anew, because one is free.

    In the classic protocol the leader of the group assigns the partitions that it knows. librdkafka's asks one broker
    for them, and where that one has not heard of a new topic yet, it assigns none, and does not ask again.
    """

    def __init__(self, has_free_partition: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._has_free_partition = has_free_partition
        self._clock = clock
        self._pause_s = _STANDBY_S
        self._due_s: float | None = None

    def note(self, partitions: Sequence[int], member_id: str | None) -> None:
        """Take the partitions of this member after each assignment; one of the consumer protocol has no id here."""
        if partitions:
            self._pause_s = _STANDBY_S
        self._due_s = None if partitions or not member_id else self._clock() + self._pause_s

    def is_over(self) -> bool:
        """Return whether to join anew; requests the group's state, within two seconds, at growing intervals."""
        now_s = self._clock()
        if self._due_s is None or now_s < self._due_s:
            return False
        self._pause_s = min(2 * self._pause_s, _STANDBY_LIMIT_S)
        self._due_s = now_s + self._pause_s
        return self._has_free_partition()


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

    @property
    def uses_consumer_protocol(self) -> bool:
        """Whether the brokers turned out to support the consumer protocol."""
        return self._uses_new is True

    def subscribe(self, topics: list[str], on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        """Join the group when polled, as soon as a broker has answered."""
        self._subscription = (topics, on_assign, on_revoke, on_lost)
        if self._uses_new is not None:
            self._join()

    def unsubscribe(self) -> None:
        """Pass it on."""
        self._client.unsubscribe()

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
        self._join()

    def _join(self) -> None:
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

    def memberid(self) -> str | None:
        """Pass it on."""
        return self._client.memberid()

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


class MembershipFile:
    """The membership that this process would leave behind, and the one that an earlier process did.

    A process that is killed stays a member until its session times out, and so may one that cannot leave because a
    broker is down. Whoever joins meanwhile waits for it. Its id is in a file, so that the next process of this app
    leaves for it. That is what a leave of its own would have been: nobody else's membership is touched, and no offset.

    Only for the classic protocol: brokers take no leave for a member of the consumer protocol (KIP-848).
    """

    def __init__(self, path: Path | None, group: str, leave: Callable[[str, str, float], None]) -> None:
        """Read the file.

        Args:
            path: The file; None to remember nothing.
            group: The group that this process joins.
            leave: Leaves a group for a member, within seconds; raises KafkaException.
        """
        self._path = path
        self._group = group
        self._leave = leave
        self._former = self._recorded()
        self._current: str | None = None

    def note(self, member_id: str | None) -> None:
        """Record this process as a member; on the member's thread, after each assignment."""
        if self._path is None or not member_id or member_id == self._current:
            return
        self._current = member_id
        try:
            self._path.write_text(json.dumps({"group": self._group, "member": member_id}), encoding="utf-8")
        except OSError as error:
            logger.warning(
                "%s cannot be written: after a kill, the next start waits for this member: %s", self._path, error
            )

    def forget(self) -> None:
        """Forget this process, which has left for sure."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def remove_in_background(self) -> None:
        """Do what `remove` does on a thread of its own, while this process joins."""
        if self._former is not None:
            threading.Thread(target=self.remove, name="kafka-former-member", daemon=True).start()

    def remove(self, pause: Callable[[float], object] | None = None) -> None:
        """Leave for the earlier process, if there was one, trying again until its session must have ended."""
        pause = pause or threading.Event().wait
        deadline_s = time.monotonic() + _REMOVE_LIMIT_S
        while self._former is not None and time.monotonic() < deadline_s:
            try:
                self._leave(*self._former, _REMOVE_TIMEOUT_S)
            except KafkaException as error:
                logger.debug("The previous process is still a member of the group: %s", error)
                pause(_REMOVE_PAUSE_S)
            else:
                logger.info("Removed the previous process from the group: %s", self._former[1])
                self._former = None

    def leave(self, timeout_s: float) -> None:
        """Leave for this process, whose own leave does not get through."""
        if self._current is not None:
            try:
                self._leave(self._group, self._current, timeout_s)
            except KafkaException as error:
                logger.info("Could not leave the group: %s", error)

    def _recorded(self) -> tuple[str, str] | None:
        if self._path is None:
            return None
        try:
            recorded = json.loads(self._path.read_text(encoding="utf-8"))
            return str(recorded["group"]), str(recorded["member"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.info("Cannot read which member the previous process was: %s: %s", self._path, error)
            return None
