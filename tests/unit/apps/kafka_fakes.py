"""Kafka clients that remember, and answer as they are told."""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicPartition

from kraftd.damage import Batch

TOPIC_ID = "now-topicid-4567890123"
EARLIER_TOPIC_ID = "old-topicid-4567890123"


class FakeError:
    """As much of a KafkaError as the apps look at; the real one cannot be made fatal from Python 2.16 on."""

    def __init__(self, name: str, *, fatal: bool = False) -> None:
        self._name, self._fatal = name, fatal

    def name(self) -> str:
        return self._name

    def str(self) -> str:
        return f"told to fail with {self._name}"

    def fatal(self) -> bool:
        return self._fatal

    def code(self) -> int:
        return int(getattr(KafkaError, self._name))


def failure(name: str) -> KafkaException:
    return KafkaException(KafkaError(getattr(KafkaError, name)))


@dataclass
class FakeMessage:
    partition_: int | None = 0
    offset_: int | None = 0
    value_: bytes | None = b"{}"
    key_: bytes | None = None
    headers_: list[tuple[str, bytes]] | Exception | None = None
    timestamp_: tuple[int, int] = (1, 1_700_000_000_000)
    error_: Any = None

    def partition(self):
        return self.partition_

    def offset(self):
        return self.offset_

    def value(self):
        return self.value_

    def key(self):
        return self.key_

    def headers(self):
        if isinstance(self.headers_, Exception):
            raise self.headers_
        return self.headers_

    def timestamp(self):
        return self.timestamp_

    def error(self):
        return self.error_


class FakeProducer:
    """Acknowledges every record at its next offset, unless told otherwise."""

    def __init__(self) -> None:
        self.produced: list[dict[str, Any]] = []
        self.error: Any = None
        self.refusal: Exception | None = None
        self.held = False
        self.offsets_are_known = True
        self.metadata: Any = topic_metadata(leaders=[1, 2])
        self.purged = False
        self._pending: list[dict[str, Any]] = []
        self._changed = threading.Condition()

    def produce(self, topic, value, key, partition, callback, _none, timestamp, headers=()) -> None:
        if self.refusal:
            raise self.refusal
        record = {"value": value, "key": key, "partition": partition, "on_delivery": callback, "headers": headers}
        with self._changed:
            self.produced.append({"topic": topic, "timestamp": timestamp, **record})
            self._pending.append(record)
            self._changed.notify()

    def poll(self, timeout: float) -> int:
        with self._changed:
            if self.held or not self._pending:
                self._changed.wait(timeout)
            if self.held:
                return 0
            reported, self._pending = self._pending, []
        for record in reported:
            offset = len(self.produced) - 1 if self.offsets_are_known else None
            asked = record["partition"] if record["partition"] >= 0 else None
            partition = asked if self.error else asked or 0
            record["on_delivery"](self.error, FakeMessage(partition, offset))
        return len(reported)

    def purge(self) -> None:
        self.purged = True
        self.error = FakeError("_PURGE_QUEUE")
        self.release()

    def release(self) -> None:
        with self._changed:
            self.held = False
            self._changed.notify()

    def list_topics(self, topic: str, timeout: float) -> Any:
        if isinstance(self.metadata, Exception):
            raise self.metadata
        return self.metadata

    def __len__(self) -> int:
        return len(self._pending)


def topic_metadata(leaders: list[int], topic: str = "test-topic") -> Any:
    partitions = {number: SimpleNamespace(leader=leader) for number, leader in enumerate(leaders)}
    return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions=partitions)})


@dataclass
class FakeIdentity:
    """Knows the topic's id."""

    answer: str | None = TOPIC_ID
    seen: str | None = None

    def ask(self):
        self.seen = self.answer or self.seen
        return self.answer


def settled(answer: Any) -> "Future[Any]":
    """Return a future that has this answer, or fails with it."""
    future: Future[Any] = Future()
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
    return future


class FakeAdmin:
    """Describes any topic."""

    def __init__(self, *answers: str | KafkaException) -> None:
        self._answers = list(answers)

    def describe_topics(self, topics, request_timeout):
        answer = self._answers.pop(0) if self._answers else "now"
        known = answer if isinstance(answer, Exception) else SimpleNamespace(topic_id=answer)
        return {"test-topic": settled(known)}


@dataclass
class FakeMemberClient:
    """Joins at its first poll, or a later one, then hands out what it was given, one list per poll."""

    batches: list[list[FakeMessage]] = field(default_factory=list)
    assigned: list[Any] = field(default_factory=list)
    stored: list[tuple[int, int]] = field(default_factory=list)
    store_error: Exception | None = None
    committed_: dict[int, tuple[int, str]] | Exception = field(default_factory=dict)
    """Offset and metadata by partition."""
    joins_at_poll: int = 1
    woken: int = 0
    committed_by_hand: list[tuple[int, int]] = field(default_factory=list)
    taken: list[tuple[str, dict[int, int]]] = field(default_factory=list)
    """What was assigned, and how: offsets by partition."""
    sought: list[tuple[int, int]] = field(default_factory=list)
    stored_metadata: set[str | None] = field(default_factory=set)
    closed: bool = False
    member_id: str | None = "member-of-this-process"
    callbacks: dict[str, Any] = field(default_factory=dict)
    _rest: list[FakeMessage] = field(default_factory=list)

    def subscribe(self, topics, on_assign, on_revoke, on_lost):
        self.callbacks = {"assign": on_assign, "revoke": on_revoke, "lost": on_lost}

    def unsubscribe(self):
        self.callbacks = {}

    def memberid(self):
        return self.member_id

    def poll(self, timeout):
        self.joins_at_poll -= 1
        if self.joins_at_poll == 0:
            self.callbacks["assign"](self, self.assigned)
        if not self.batches:
            return None
        first, *self._rest = self.batches.pop(0)
        return first

    def consume(self, num_messages, timeout):
        rest, self._rest = self._rest, []
        return rest

    def store_offsets(self, *, offsets):
        if self.store_error:
            raise self.store_error
        self.stored += [(offset.partition, offset.offset) for offset in offsets]
        self.stored_metadata |= {offset.metadata for offset in offsets}

    def commit(self, *, offsets, asynchronous):
        assert asynchronous, "the member must not wait"
        self.committed_by_hand += [(offset.partition, offset.offset) for offset in offsets]

    def committed(self, partitions, timeout):
        if isinstance(self.committed_, Exception):
            raise self.committed_
        found = [(asked, *self.committed_.get(asked.partition, (OFFSET_INVALID, ""))) for asked in partitions]
        return [TopicPartition(asked.topic, asked.partition, offset, metadata) for asked, offset, metadata in found]

    def assignment(self):
        self.woken += 1
        return []

    def assign(self, partitions):
        self.taken.append(("all", {found.partition: found.offset for found in partitions}))

    def incremental_assign(self, partitions):
        self.taken.append(("more", {found.partition: found.offset for found in partitions}))

    def seek(self, partition):
        self.sought.append((partition.partition, partition.offset))

    def close(self):
        self.closed = True


@dataclass
class FakeReader:
    """A log of some partitions: reads what is assigned to its end."""

    log: dict[int, list[int]]
    """The readable offsets of each partition."""
    log_ends: dict[int, int] = field(default_factory=dict)
    """Where markers or aborted records are the last."""
    undecodable: dict[int, tuple[int, int]] = field(default_factory=dict)
    """A batch by partition: its first offset, and the one after its last."""
    reports_undecodable: bool = True
    """Whether such a batch is an error, or nothing arrives any more."""
    silent: frozenset[int] = frozenset()
    """The partitions of which nothing arrives."""
    has_watermarks: bool = True
    assigned: dict[int, int] = field(default_factory=dict)
    consumed: int = 0
    closed: bool = False

    def get_watermark_offsets(self, partition, timeout):
        if not self.has_watermarks:
            return None
        offsets = self.log[partition.partition]
        end = self.log_ends.get(partition.partition, offsets[-1] + 1 if offsets else 0)
        return (offsets[0], end) if offsets else (0, end)

    def offsets_for_times(self, partitions, timeout):
        asked = partitions[0]
        later = [offset for offset in self.log[asked.partition] if 1000 + offset >= asked.offset]
        return [TopicPartition("t", asked.partition, later[0] if later else -1)]

    def assign(self, partitions):
        self.assigned = {found.partition: found.offset for found in partitions if found.partition not in self.silent}

    def consume(self, num_messages, timeout):
        self.consumed += 1
        messages = []
        for number, start in list(self.assigned.items()):
            first, end = self.undecodable.get(number, (0, 0))
            is_stuck = start < end
            readable = [offset for offset in self.log[number] if offset >= start and not (is_stuck and offset >= first)]
            messages += [FakeMessage(number, offset) for offset in readable]
            if is_stuck:
                if self.reports_undecodable:
                    messages.append(FakeMessage(number, first, error_=FakeError("_BAD_COMPRESSION")))
                self.assigned[number] = max(start, first)
            else:
                messages.append(FakeMessage(number, error_=FakeError("_PARTITION_EOF")))
                del self.assigned[number]
        return messages

    def read_batch(self, partition, offset, timeout_s):
        """Return a batch of one record, or the one that cannot be decoded."""
        if partition in self.silent:
            raise failure("_TIMED_OUT")
        first, end = self.undecodable.get(partition, (0, 0))
        if first <= offset < end:
            return Batch(b"damaged", first, end, "damaged")
        later = [found for found in self.log[partition] if found >= offset]
        return Batch(b"good", later[0], later[0] + 1) if later else None

    def close(self):
        self.closed = True
