"""Records from given offsets on, without a group, so that nobody's offsets move. Importing this is cheap."""

import gc
import operator
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from kraftd.errors import KraftdError, UnknownNameError
from kraftd.kafka.model import KafkaUnreachableError, TopicPartition
from kraftd.plan.plan import Access

Header: TypeAlias = tuple[str, bytes | str | None]

_MOST_IN_A_BATCH = 10_000
_WAIT_S = 0.2
_UNKNOWN_NAME = "\ufffd"


class Message(Protocol):
    """A record as librdkafka returns it; the methods are confluent_kafka's."""

    def topic(self) -> str: ...  # noqa: D102
    def partition(self) -> int: ...  # noqa: D102
    def offset(self) -> int: ...  # noqa: D102
    def timestamp(self) -> tuple[int, int]: ...  # noqa: D102
    def key(self) -> bytes | None: ...  # noqa: D102
    def value(self) -> bytes | None: ...  # noqa: D102


def record_batches(
    access: Access, starts: Mapping[TopicPartition, int], *, follow: bool, silent_limit_s: float
) -> Iterator[Sequence[Message]]:
    """Yield the committed records of partitions from their offsets on, each partition in order.

    Args:
        access: The way to the cluster.
        starts: The first offset of each partition to read; where it was deleted, the first that is left.
        follow: Whether to go on at the ends. Empty batches are yielded while nothing arrives.
        silent_limit_s: After how long without an answer of Kafka the reading ends, unless it follows.

    Raises:
        KafkaUnreachableError: Kafka fell silent before the ends.
        UnknownNameError: The topic was deleted.
        KraftdError: A batch cannot be decoded.
    """
    from confluent_kafka import Consumer, TopicPartition  # noqa: PLC0415 - 50 ms, not for other commands

    consumer = Consumer(_properties(access))
    try:
        consumer.assign([TopicPartition(topic, index, offset) for (topic, index), offset in starts.items()])
        remaining = set(starts)
        heard_s = time.monotonic()
        while remaining or follow:
            # A wait for one record only: a wait for many would hold back those that have arrived.
            batch: list[Any] = consumer.consume(1, _WAIT_S)
            if batch:
                batch += consumer.consume(_MOST_IN_A_BATCH, 0)
                heard_s = time.monotonic()
            elif not follow and time.monotonic() - heard_s > silent_limit_s:
                raise KafkaUnreachableError(
                    f"cannot read on: Kafka did not answer for {silent_limit_s:g} s",
                    hint="'kraftd status' shows which brokers run.",
                )
            records = [message for message in batch if message.error() is None]
            if len(records) < len(batch):
                remaining -= set(_ended(message for message in batch if message.error() is not None))
            yield records
    finally:
        consumer.close()


def _properties(access: Access) -> dict[str, Any]:
    return {
        "bootstrap.servers": access.bootstrap_servers,
        **dict(access.properties),
        "client.id": "kraftd-tail",
        # The library asks for one; partitions are assigned, so that no group comes to be.
        "group.id": "kraftd-tail",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "allow.auto.create.topics": False,
        # By default the library rests for a second whenever it is ahead of the reader by as many records as it may be.
        "fetch.queue.backoff.ms": 10,
        "log_level": 0,
    }


def _ended(events: Iterable[Any]) -> Iterator[TopicPartition]:
    from confluent_kafka import KafkaError  # noqa: PLC0415 - as above

    for event in events:
        error = event.error()
        match error.code():
            case KafkaError._PARTITION_EOF:  # noqa: SLF001 - a public constant
                yield event.topic(), event.partition()
            case KafkaError.UNKNOWN_TOPIC_OR_PART | KafkaError._UNKNOWN_PARTITION | KafkaError._UNKNOWN_TOPIC:  # noqa: SLF001
                raise UnknownNameError("cannot read on: the topic was deleted", hint="'kraftd topics' shows what is.")
            case KafkaError._BAD_MSG | KafkaError._BAD_COMPRESSION | KafkaError._NOT_IMPLEMENTED:  # noqa: SLF001
                # The library would fetch the same batch for ever.
                place = f"offset {event.offset()} of partition {event.partition()}"
                raise KraftdError(
                    f"cannot decode the batch at {place}: {error.str()}",
                    hint="Read on behind it with --partition and --offset.",
                    code="undecodable_batch",
                )
            case _:
                # A broker that is away comes back, or the reading falls silent.
                pass


def headers_of(message: Any) -> Sequence[Header]:
    """Return the headers of a record, in order; a name that is not UTF-8 is U+FFFD.

    For such a name, confluent_kafka leaves a tuple without its first item, which crashes the interpreter when it is
    read, and a pending exception, which a call through C raises at once and a plain call anywhere later.
    """
    try:
        return operator.methodcaller("headers")(message) or ()
    except (SystemError, UnicodeDecodeError):
        parts = [(header, gc.get_referents(header)) for header in message.headers()]
        return [header if len(items) > 1 else (_UNKNOWN_NAME, items[0]) for header, items in parts]
