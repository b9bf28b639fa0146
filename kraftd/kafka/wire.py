"""How the collectors talk to brokers: requests as data, and the door they go through."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from kraftd.kafka.model import Failure, TopicPartition

Answer: TypeAlias = Any
"""A response, with Kafka's field names in snake case, or a Failure."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of Kafka's protocol.

    Attributes:
        api: Kafka's name, as ListOffsets.
        fields: Kafka's field names in snake case; structures are mappings, arrays are sequences.
        min_version: Lowest version that carries the meaning; older brokers answer with a Failure.
        max_version: Highest version whose shape the collector knows.
    """

    api: str
    fields: Mapping[str, Any]
    min_version: int = 0
    max_version: int | None = None


class Wire(Protocol):
    """Connections to the brokers of one cluster."""

    @property
    def requests(self) -> Mapping[str, int]:
        """Return how many requests were sent, by Kafka's name of the API."""

    def ask(self, requests: Sequence[tuple[int, Request]]) -> list[Answer]:
        """Send every request to its broker, all at once, and return the answers in the same order.

        Never raises for a broker: what did not come within the time limit is a Failure.
        """

    def ask_timed(self, requests: Sequence[tuple[int, Request]]) -> list[tuple[Answer, float]]:
        """Do as ask, and say with each answer after how many seconds it was there."""

    def request_any(self, request: Request) -> Answer:
        """Return the response of one broker, whichever answers first.

        Raises:
            KafkaUnreachableError: None answered within the time limit.
        """

    def add_brokers(self, metadata: Answer) -> None:
        """Add the brokers that a Metadata response names to those that can be asked."""

    def failure_of(self, error_code: int, message: str | None = None) -> Failure | None:
        """Return Kafka's error code as a Failure, None for success."""

    def assigned_partitions(self, assignment: bytes) -> tuple[TopicPartition, ...] | None:
        """Return what a classic member's assignment says, None where it cannot be read."""

    def record_batch(self, value: bytes, time_ms: int) -> bytes:
        """Return a batch of one record without a key, as brokers store it."""

    def record_values(self, batches: bytes) -> list[bytes | None]:
        """Return the value of each record in what a broker sent."""

    def close(self) -> None:
        """Close every connection."""
