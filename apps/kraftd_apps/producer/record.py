"""A record on its way into Kafka, and what Kafka said about it."""

from collections.abc import Callable
from typing import NamedTuple

from confluent_kafka import KafkaError

ANY_PARTITION = -1
NOW = 0


class Record(NamedTuple):
    """What one request asks to be written."""

    value: bytes | None
    """None is a tombstone: compaction removes the key."""
    key: bytes | None = None
    partition: int = ANY_PARTITION
    timestamp_ms: int = NOW
    headers: tuple[tuple[str, bytes], ...] = ()


class Report(NamedTuple):
    """What became of a record."""

    error: KafkaError | None
    """None when every in-sync replica has it; the other fields then tell where it is."""
    partition: int = -1
    offset: int | None = None
    """None where Kafka has the record and the client does not know its place: librdkafka takes a request whose answer
    was lost for acknowledged as soon as a later one to the same partition is."""
    timestamp_ms: int = -1


Settle = Callable[[Report], None]
