"""The group's member: one thread that polls, puts records into the ring, and only then stores their offsets."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from confluent_kafka import KafkaException, TopicPartition

from kraftd_apps.consumer.record import SeenRecord, record_of

SILENT_S = 10.0
"""A member that has not polled for so long is stuck."""
_POLL_S = 0.1
_BATCH = 500

logger = logging.getLogger(__name__)


class Client(Protocol):
    """The part of `confluent_kafka.Consumer` that a member uses."""

    def subscribe(self, topics: list[str], on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        """Join the group when polled."""

    def poll(self, timeout: float) -> Any:
        """Return the next message, or None after this many seconds."""

    def consume(self, num_messages: int, timeout: float) -> Sequence[Any]:
        """Return up to so many messages that are there."""

    def store_offsets(self, *, offsets: list[TopicPartition]) -> None:
        """Note what the next background commit may commit."""

    def close(self) -> None:
        """Commit and leave the group."""


@dataclass(frozen=True, slots=True)
class Membership:
    """Where a member stands."""

    partitions: tuple[int, ...] | None = None
    """Its own ones, sorted; empty for a standby member; None before it has joined."""
    polled_s: float | None = None
    """Monotonic time of its last poll."""


def unready_reasons(membership: Membership, now_s: float) -> list[str]:
    """Return why a member does not take part; none when it does, a standby included."""
    reasons = []
    if membership.partitions is None:
        reasons.append("not yet a member of the group")
    if membership.polled_s is None or now_s - membership.polled_s > SILENT_S:
        reasons.append("the polling thread is silent")
    return reasons


class Member:
    """Polls on a thread of its own until told to stop."""

    def __init__(
        self,
        client: Client,
        topic: str,
        *,
        on_records: Callable[[list[SeenRecord]], None],
        on_assigned: Callable[[tuple[int, ...]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._topic = topic
        self._on_records = on_records
        self._on_assigned = on_assigned
        self._clock = clock
        self._stopping = False
        self._partitions: tuple[int, ...] | None = None
        self._polled_s: float | None = None
        self._fault = ""
        self._thread = threading.Thread(target=self._run, name="kafka-member", daemon=True)

    def start(self) -> None:
        """Begin to poll, and so to join."""
        self._thread.start()

    @property
    def membership(self) -> Membership:
        """Where this member stands now."""
        return Membership(self._partitions, self._polled_s)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def unready_reasons(self) -> list[str]:
        """Return why this member does not take part; none when it does."""
        return unready_reasons(self.membership, self._clock())

    def stop(self) -> None:
        """Let the thread commit, leave the group and end."""
        self._stopping = True

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end; tells whether it came."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def subscribe(self) -> None:
        """Ask to join the group."""
        self._client.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    def poll(self) -> None:
        """Take what has arrived, waiting a little for the first record."""
        first = self._client.poll(_POLL_S)
        self._polled_s = self._clock()
        if first is None:
            return
        messages = [first, *self._client.consume(_BATCH - 1, 0)]
        good = [message for message in messages if not self._is_fault(message)]
        if good:
            self._on_records([record_of(message) for message in good])
            self._store(good)

    def _run(self) -> None:
        try:
            self.subscribe()
            while not self._stopping:
                self.poll()
        except Exception:
            logger.exception("The polling thread has ended")
        finally:
            self._client.close()

    def _is_fault(self, message: Any) -> bool:
        error = message.error()
        if error is None:
            self._fault = ""
            return False
        if error.str() != self._fault:
            self._fault = error.str()
            logger.warning("Reading %s: %s", self._topic, self._fault)
        return True

    def _store(self, messages: list[Any]) -> None:
        following = {message.partition(): message.offset() + 1 for message in messages}
        for partition, offset in following.items():
            try:
                self._client.store_offsets(offsets=[TopicPartition(self._topic, partition, offset)])
            except KafkaException as error:
                # The partition has just gone to another member, which reads these records again.
                logger.info("Offset %d of partition %d is not stored: %s", offset, partition, error)

    def _assigned(self, _client: object, partitions: list[TopicPartition]) -> None:
        self._partitions = tuple(sorted(found.partition for found in partitions))
        logger.info("Assigned partitions of %s: %s", self._topic, self._partitions or "none, standing by")
        self._on_assigned(self._partitions)

    def _revoked(self, _client: object, partitions: list[TopicPartition]) -> None:
        gone = {found.partition for found in partitions}
        self._partitions = tuple(number for number in self._partitions or () if number not in gone)
