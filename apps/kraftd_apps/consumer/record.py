"""A record as it was read, unchanged."""

from dataclasses import dataclass
from typing import Any

_BOOKKEEPING_BYTES = 200


@dataclass(frozen=True, slots=True)
class SeenRecord:
    """One record of the topic."""

    partition: int
    offset: int
    timestamp_ms: int | None
    """None where the log holds none."""
    key: bytes | None
    value: bytes | None
    """None is a tombstone."""
    headers: tuple[tuple[str, bytes | None], ...] = ()
    """In their order, repeats included."""

    @property
    def place(self) -> tuple[int, int, int | None]:
        """What tells it from every other record, also after its topic was deleted and made again."""
        return (self.partition, self.offset, self.timestamp_ms)

    @property
    def size_bytes(self) -> int:
        """Key, value and headers together."""
        headers = sum(len(name) + len(value or b"") for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers

    @property
    def memory_bytes(self) -> int:
        """About what it costs to keep."""
        return self.size_bytes + _BOOKKEEPING_BYTES


def record_of(message: Any) -> SeenRecord:
    """Return librdkafka's message as a record."""
    kind, timestamp_ms = message.timestamp()
    return SeenRecord(
        partition=message.partition(),
        offset=message.offset(),
        timestamp_ms=timestamp_ms if kind else None,
        key=message.key(),
        value=message.value(),
        headers=tuple(message.headers() or ()),
    )
