"""The wire to the brokers: requests as data, the protocol of their connections, and questions to the leaders."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from kraftd.kafka.model import Failure, Partial, Partition, TopicPartition

Q = TypeVar("Q")
V = TypeVar("V")

NO_LEADER = Failure("NO_LEADER", "the partition has no leader", retriable=True)

Response: TypeAlias = Any
"""A response, with Kafka's field names in snake case, or a Failure."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of Kafka's protocol.

    Attributes:
        api: Kafka's name of the API, such as ListOffsets.
        fields: Kafka's field names in snake case; structures are mappings, arrays are sequences.
        min_version: The lowest version with all of the fields; older brokers yield a Failure.
        max_version: The highest version whose schema the caller supports.
    """

    api: str
    fields: Mapping[str, Any]
    min_version: int = 0
    max_version: int | None = None


class Wire(Protocol):
    """Connections to the brokers of one cluster."""

    @property
    def requests(self) -> Mapping[str, int]:
        """The number of requests sent, by Kafka's name of the API."""

    def request_each(self, requests: Sequence[tuple[int, Request]]) -> list[Response]:
        """Send every request to its broker, all at once, and return the responses in the same order.

        Never raises for a broker: a response that does not arrive within the time limit is a Failure.
        """

    def request_each_timed(self, requests: Sequence[tuple[int, Request]]) -> list[tuple[Response, float]]:
        """Do as request_each, and return each response with its duration in seconds."""

    def request_any(self, request: Request) -> Response:
        """Return the response of one broker, for requests that every broker can answer.

        Raises:
            KafkaUnreachableError: No broker answered within the time limit.
        """

    def add_brokers(self, metadata: Response) -> None:
        """Add the brokers of a Metadata response to the known ones."""

    def failure_of(self, error_code: int, message: str | None = None) -> Failure | None:
        """Return Kafka's error code as a Failure, None for success."""

    def assigned_partitions(self, assignment: bytes) -> tuple[TopicPartition, ...] | None:
        """Return the partitions in a classic member's assignment; None if it is malformed."""

    def record_batch(self, value: bytes, time_ms: int) -> bytes:
        """Return a batch of one record without a key, as brokers store it."""

    def checksum(self, content: memoryview) -> int:
        """Return the CRC-32C of a batch's bytes."""

    def record_values(self, batches: bytes) -> list[bytes | None]:
        """Return the value of each record in fetched batches."""

    def close(self) -> None:
        """Close every connection."""


def by_topic(entries: Iterable[tuple[str, V]]) -> dict[str, list[V]]:
    """Return entries by topic, as requests about partitions have them."""
    found: dict[str, list[V]] = defaultdict(list)
    for topic, entry in entries:
        found[topic].append(entry)
    return dict(found)


def ask_leaders(
    wire: Wire,
    questions: Iterable[tuple[Partition, Q]],
    request_of: Callable[[Sequence[tuple[Partition, Q]]], Request],
    value_of: Callable[[Any], V | None],
) -> Partial[TopicPartition, V]:
    """Return the answers to questions about partitions, in one request to each leader.

    A partition without a leader, or in error, is among the failures; one whose value is None is absent.

    Args:
        wire: Connections to the brokers.
        questions: Each partition at most once.
        request_of: Returns the request for the questions that one broker answers.
        value_of: Returns the value in a partition of a response.
    """
    by_leader: dict[int, list[tuple[Partition, Q]]] = defaultdict(list)
    failures: dict[TopicPartition, Failure] = {}
    for partition, question in questions:
        if partition.leader is None:
            failures[partition.key] = NO_LEADER
        else:
            by_leader[partition.leader].append((partition, question))
    asked = sorted(by_leader.items())
    answers = wire.request_each([(leader, request_of(theirs)) for leader, theirs in asked])
    values: dict[TopicPartition, V] = {}
    for (_, theirs), answer in zip(asked, answers, strict=True):
        # Only some responses have an error of their own.
        failure = answer if isinstance(answer, Failure) else wire.failure_of(getattr(answer, "error_code", 0))
        if failure is not None:
            failures.update(dict.fromkeys((partition.key for partition, _ in theirs), failure))
            continue
        for key, found in _partitions_in(answer):
            failure = wire.failure_of(found.error_code, getattr(found, "error_message", None))
            if failure is not None:
                failures[key] = failure
            elif (value := value_of(found)) is not None:
                values[key] = value
    return Partial(values, failures)


def _partitions_in(answer: Response) -> Iterable[tuple[TopicPartition, Any]]:
    is_fetch = not hasattr(answer, "topics")
    for topic in answer.responses if is_fetch else answer.topics:
        for partition in topic.partitions:
            yield (topic.topic if is_fetch else topic.name, partition.partition_index), partition
