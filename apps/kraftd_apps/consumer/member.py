"""The member of the group: a thread that polls, puts records into the ring, and only then stores their offsets."""

import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from kraftd.damage import Batch, Stalls
from kraftd_apps.consumer.group_protocol import ConsumerClient, ProtocolDetectingConsumer
from kraftd_apps.consumer.log import ReadBatch, batch_or_none
from kraftd_apps.consumer.record import SeenRecord, is_end, is_refused, is_undecodable, record_of, undecodable

SILENT_S = 10.0
"""A member that has not polled for this time is stuck."""
_POLL_S = 0.1
_BATCH = 500
_COMMITTED_TIMEOUT_S = 2.0
_READ_BATCH_TIMEOUT_S = 2.0
_IDENTITY_INTERVAL_S = 5.0
_IDENTITY_TIMEOUT_S = 2.0
_FIRST_COMMITS = 3
"""The number of explicit commits of a partition after its topic was recreated; one that succeeds is enough."""
_MARK = "kraftd:"
_MARKED = re.compile(rf"{_MARK}([A-Za-z0-9_-]{{22}})")
"""A topic's id in the metadata of a commit."""

_AS_KAFKA_WRITES_IT = str.maketrans("+/", "-_")

logger = logging.getLogger(__name__)


class Identity(Protocol):
    """The topic's id, which changes when the topic is recreated."""

    seen: str | None
    """The topic's id as last seen; None before the first answer."""

    def ask(self) -> str | None:
        """Request the topic's id, within a few seconds; None if there is no topic or no answer."""


class TopicIdentity:
    """Requests the topic's id every few seconds on its own thread, and at each call of `ask`."""

    def __init__(self, connect: Callable[[], AdminClient], topic: str) -> None:
        self._connect = connect
        self._topic = topic
        self._client: AdminClient | None = None
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self.seen: str | None = None

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="kafka-topic-id", daemon=True).start()

    def stop(self) -> None:
        """Make the thread end; a request in progress runs into its timeout."""
        self._stopped.set()

    def ask(self) -> str | None:
        """Request the topic's id, within two seconds; None if there is no topic or no answer."""
        with self._lock:
            self._client = self._client or self._connect()
            try:
                asked = self._client.describe_topics(
                    TopicCollection([self._topic]), request_timeout=_IDENTITY_TIMEOUT_S
                )
                # librdkafka writes ids in another base64 than Kafka's own tools, backups and the marks of commits.
                self.seen = str(asked[self._topic].result().topic_id).translate(_AS_KAFKA_WRITES_IT)
            except KafkaException as error:
                logger.debug("No id of %s: %s", self._topic, error)
                return None
            return self.seen

    def _run(self) -> None:
        while not self._stopped.wait(_IDENTITY_INTERVAL_S):
            self.ask()


def marked_topic_id(metadata: str | None) -> str | None:
    """Return the topic's id in the metadata of a commit; None if another client made the commit."""
    found = _MARKED.fullmatch(metadata or "")
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Membership:
    """The partitions of a member, and the time of its last poll."""

    partitions: tuple[int, ...] | None = None
    """The assigned partitions, sorted; empty for a standby member; None before it has joined, and once it has lost the
    group."""
    polled_s: float | None = None
    """Monotonic time of its last poll."""


def unready_reasons(membership: Membership, now_s: float) -> list[str]:
    """Return why a member does not take part in the group; empty if it does, also as a standby."""
    reasons = []
    if membership.partitions is None:
        reasons.append("not a member of the group")
    if membership.polled_s is None or now_s - membership.polled_s > SILENT_S:
        reasons.append("the polling thread is silent")
    return reasons


class MembershipEndedError(Exception):
    """librdkafka has given up the membership for good: it does not join again, as after being fenced."""


class Member:
    """Polls on a thread of its own until `stop`.

    Each committed offset carries the id of its topic. An offset of a deleted topic, committed late by another member,
    would hide the first records of the new topic with that name, so such an offset is ignored.

    At the end of a partition, the position is committed too: it is after the markers and aborted records of
    transactions, which no member ever receives. A batch that librdkafka cannot decode, and would fetch forever, is
    skipped, whether librdkafka reports it or only stays in front of it. So are offsets at which the broker finds none,
    as soon as a later one can be read.
    """

    def __init__(
        self,
        client: ConsumerClient,
        topic: str,
        *,
        identity: Identity,
        incremental: bool,
        on_records: Callable[[list[SeenRecord]], None],
        on_assigned: Callable[[tuple[int, ...], str | None], None],
        read_batch: ReadBatch,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._topic = topic
        self._identity = identity
        self._incremental = incremental
        self._topic_id: str | None = None
        self._first_commits: Counter[int] | None = None
        self._on_records = on_records
        self._on_assigned = on_assigned
        self._read_batch = read_batch
        self._clock = clock
        self._stalls = Stalls()
        self._stalled: list[tuple[int, int]] = []
        self._refused: dict[int, int] = {}
        self._held_back: dict[int, str] = {}
        self._stopping = False
        self._rejoins = False
        self._partitions: tuple[int, ...] | None = None
        self._has_joined = False
        self._polled_s: float | None = None
        self._has_lost_broker = False
        self._fault = ""
        self._thread = threading.Thread(target=self._run, name="kafka-member", daemon=True)

    def start(self) -> None:
        """Start the thread, which joins the group."""
        self._thread.start()

    @property
    def membership(self) -> Membership:
        """The current partitions of this member, and the time of its last poll."""
        return Membership(self._partitions, self._polled_s)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def unready_reasons(self) -> list[str]:
        """Return why this member does not take part in the group; empty if it does."""
        reasons = unready_reasons(self.membership, self._clock())
        if self._incremental and not self._has_joined:
            # Older brokers refuse such a member without an error.
            reasons.append("KAFKA_GROUP_PROTOCOL=consumer needs brokers from 4.0")
        return [*reasons, *dict(self._held_back).values()]

    def stop(self) -> None:
        """Make the thread commit, leave the group and end."""
        self._stopping = True

    def join(self, timeout_s: float) -> bool:
        """Wait for this member to leave the group, and return whether it did."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def has_lost_broker(self) -> bool:
        """Whether a broker is disconnected, as far as known: within 2 s, and not while this member leaves."""
        return self._has_lost_broker

    def note_error(self, error: KafkaError) -> None:
        """Take an error that librdkafka reports, once for each connection that it loses; on the member's thread."""
        if error.code() == KafkaError._TRANSPORT:  # noqa: SLF001 - a public constant
            self._has_lost_broker = True

    def note_brokers(self, *, are_up: bool) -> None:
        """Take whether every broker is connected; on the member's thread, every few seconds."""
        self._has_lost_broker = not are_up

    @property
    def unreported_id(self) -> str | None:
        """The id of a member of the consumer protocol whose partitions are not known; None for any other member.

        librdkafka reports no assignment that is empty from the beginning, or again after the group was lost.
        """
        return (self._client.memberid() or None) if self._partitions is None and self._follows_new_protocol else None

    @property
    def _follows_new_protocol(self) -> bool:
        is_detected = isinstance(self._client, ProtocolDetectingConsumer) and self._client.uses_consumer_protocol
        return self._incremental or is_detected

    def note_standby(self) -> None:
        """Take that the group has this member, and no partition for it; on the member's thread."""
        self._assigned(self._client, [])

    def subscribe(self) -> None:
        """Subscribe to the topic, which joins the group at the next poll."""
        self._client.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    def rejoin(self) -> None:
        """Leave the group and join it anew, at the next poll."""
        self._rejoins = True

    def note_unread(self, positions: Mapping[int, int]) -> None:
        """Take the positions of partitions with unread records; on the member's thread, every few seconds."""
        self._stalled = self._stalls.noted({**positions, **self._refused}, self._clock())

    def poll(self) -> None:
        """Take the records that have arrived, waiting briefly for the first."""
        if self._identity.seen not in {None, self._topic_id}:
            self._restart_from_beginning()
        if self._stalled:
            self._pass_damaged()
        if self._rejoins:
            self._join_anew()
        first = self._client.poll(_POLL_S)
        self._polled_s = self._clock()
        if self._partitions is None:
            # Any request wakes librdkafka's main thread, which may sleep for 3 s between metadata and joining.
            self._client.assignment()
        if first is not None:
            self._take([first, *self._client.consume(_BATCH - 1, 0)])

    def _join_anew(self) -> None:
        logger.info("A partition of %s has no member: joining the group anew", self._topic)
        self._rejoins = False
        self._client.unsubscribe()
        self.subscribe()

    def _run(self) -> None:
        self.subscribe()
        while not self._stopping:
            self.poll()
        self._client.close()

    def _take(self, messages: list[Any]) -> None:
        """Hand on the records of a poll, then store the positions after them.

        Raises:
            MembershipEndedError: librdkafka does not join again; a new client does.
        """
        records: list[SeenRecord] = []
        following: dict[int, int] = {}
        skipped: dict[int, int] = {}
        for message in messages:
            error, partition = message.error(), message.partition()
            if error is not None and error.code() == KafkaError._FATAL:  # noqa: SLF001 - a public constant
                raise MembershipEndedError(f"cannot go on as a member of the group: {error.str()}")
            if error is None or is_end(error):
                self._note_moved(partition)
            if error is None:
                records.append(record_of(message))
                following[partition] = message.offset() + 1
                self._fault = ""
            elif is_end(error):
                following[partition] = message.offset()
            elif is_refused(error):
                self._refused[partition] = message.offset()
            elif is_undecodable(error) and message.offset() >= skipped.get(partition, 0):
                batch = batch_or_none(self._read_batch, partition, message.offset(), _READ_BATCH_TIMEOUT_S)
                if batch is not None:
                    records.append(undecodable(partition, message.offset(), error.str()))
                    skipped[partition] = batch.end
            self._note_fault(error)
        self._hand_on(records, following, skipped)

    def _pass_damaged(self) -> None:
        """Skip the damaged batches before which librdkafka stays without an error."""
        records, skipped = [], {}
        stalled, self._stalled = self._stalled, []
        for partition, offset in stalled:
            batch = batch_or_none(self._read_batch, partition, offset, _READ_BATCH_TIMEOUT_S)
            if batch is None or not batch.fault:
                logger.info("Partition %d stays at %d, though there are records after it", partition, offset)
            elif not batch.is_end_known:
                logger.warning("Reading %s: %s", self._topic, _held_back(partition, batch))
                self._held_back[partition] = _held_back(partition, batch)
            else:
                logger.warning("Reading %s: partition %d at %d: %s", self._topic, partition, offset, batch.fault)
                records.append(undecodable(partition, offset, batch.fault))
                skipped[partition] = batch.end
                self._note_moved(partition)
        self._hand_on(records, {}, skipped)

    def _hand_on(self, records: list[SeenRecord], following: dict[int, int], skipped: Mapping[int, int]) -> None:
        """Hand on records, then pass what was skipped and store the positions."""
        if records:
            self._on_records(records)
        for partition, end in skipped.items():
            if end > following.get(partition, 0):
                following[partition] = end
                self._seek(partition, end)
        for partition, offset in following.items():
            self._store(partition, offset)

    def _note_moved(self, partition: int) -> None:
        self._refused.pop(partition, None)
        self._held_back.pop(partition, None)

    def _note_fault(self, error: Any) -> None:
        if error is not None and not is_end(error) and error.str() != self._fault:
            self._fault = error.str()
            logger.warning("Reading %s: %s", self._topic, self._fault)

    def _store(self, partition: int, offset: int) -> None:
        try:
            mark = f"{_MARK}{self._topic_id}" if self._topic_id else ""
            stored = TopicPartition(self._topic, partition, offset, metadata=mark)
            self._client.store_offsets(offsets=[stored])
            self._commit_first(stored)
        except KafkaException as error:
            # The partition was just reassigned to another member, which reads these records again.
            logger.info("Offset %d of partition %d is not stored: %s", offset, partition, error)

    def _commit_first(self, stored: TopicPartition) -> None:
        """Commit explicitly at first: librdkafka does not commit offsets below those of the longer, deleted log."""
        made = self._first_commits
        if made is not None and made[stored.partition] < _FIRST_COMMITS:
            self._client.commit(offsets=[stored], asynchronous=True)
            made[stored.partition] += 1

    def _note_topic_id(self, topic_id: str | None) -> None:
        if topic_id is not None and self._topic_id not in {None, topic_id}:
            self._first_commits = Counter()
        self._topic_id = topic_id or self._topic_id

    def _assigned(self, _client: object, partitions: list[TopicPartition]) -> None:
        if partitions:
            self._ignore_stale_commits(partitions)
        own = {*(self._partitions or ()), *(found.partition for found in partitions)}
        self._partitions = tuple(sorted(own))
        self._has_joined = True
        # That of a member of the consumer protocol is of no use to others, see MembershipFile and Standby.
        member_id = None if self._follows_new_protocol else self._client.memberid()
        logger.info("Assigned partitions of %s: %s", self._topic, self._partitions or "none, standing by")
        self._on_assigned(self._partitions, member_id)

    def _ignore_stale_commits(self, partitions: list[TopicPartition]) -> None:
        """Start at the beginning of the log if the committed offset belongs to a deleted topic of this name."""
        topic_id = self._identity.ask()
        self._note_topic_id(topic_id)
        if topic_id is None:
            return
        try:
            committed = self._client.committed(partitions, timeout=_COMMITTED_TIMEOUT_S)
        except KafkaException as error:
            logger.info("The committed offsets are not known: %s", error)
            return
        own = {None, self._topic_id}
        stale = {found.partition for found in committed if marked_topic_id(found.metadata) not in own}
        if not stale:
            return
        logger.info("%s was recreated: reading partitions %s from their beginning", self._topic, sorted(stale))
        for found in partitions:
            if found.partition in stale:
                found.offset = OFFSET_BEGINNING
        take = self._client.incremental_assign if self._incremental else self._client.assign
        take(partitions)

    def _restart_from_beginning(self) -> None:
        """Read the new topic from its beginning; records that were already polled are read once more."""
        known = self._topic_id
        self._note_topic_id(self._identity.seen)
        if known is None:
            return
        logger.info("%s was recreated: reading it from its beginning", self._topic)
        for number in self._partitions or ():
            self._seek(number, OFFSET_BEGINNING)

    def _seek(self, partition: int, offset: int) -> None:
        try:
            self._client.seek(TopicPartition(self._topic, partition, offset))
        except KafkaException as error:
            logger.info("Partition %d is not read yet: %s", partition, error)

    def _revoked(self, _client: object, partitions: list[TopicPartition]) -> None:
        gone = {found.partition for found in partitions}
        for partition in gone:
            self._note_moved(partition)
        self._partitions = tuple(number for number in self._partitions or () if number not in gone)

    def _lost(self, client: object, partitions: list[TopicPartition]) -> None:
        """Take that the group goes on without this member, which is no standby then, until it has joined again."""
        logger.warning("Lost the partitions of %s: %s", self._topic, self._partitions)
        self._revoked(client, partitions)
        self._partitions = None


def _held_back(partition: int, batch: Batch) -> str:
    """Return the sentence about a partition that cannot be read any further."""
    return (
        f"partition {partition} cannot be read from offset {batch.first} on: {batch.fault}, "
        f"nor at any other up to the end of the log at {batch.end}"
    )
