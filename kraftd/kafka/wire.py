"""The wire to the brokers: requests as data, and the protocol of the connections that send them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from kraftd.kafka.model import Failure, TopicPartition

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

    def record_values(self, batches: bytes) -> list[bytes | None]:
        """Return the value of each record in fetched batches."""

    def close(self) -> None:
        """Close every connection."""
