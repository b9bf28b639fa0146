"""Which records a query asks for. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kraftd_apps.consumer.record import SeenRecord


@dataclass(frozen=True, slots=True)
class Selection:
    """What a record must be like; what is None does not matter."""

    partition: int | None = None
    after: tuple[int, int] | None = None
    """A partition, and the offset in it that was seen last: only later records of it."""
    since_ms: int | None = None
    text: str | None = None
    """A part of the key, the value or a header, whatever its case."""
    key: bytes | None = None
    header: tuple[str, bytes] | None = None

    def admits(self, record: SeenRecord) -> bool:
        """Return whether a record is asked for."""
        return (
            self.partition in {None, record.partition}
            and (self.after is None or self._is_later(record, *self.after))
            and (self.since_ms is None or (record.timestamp_ms or 0) >= self.since_ms)
            and (self.key is None or record.key == self.key)
            and (self.header is None or self.header in record.headers)
            and (self.text is None or self.text.casefold() in searchable(record))
        )

    @staticmethod
    def _is_later(record: SeenRecord, partition: int, offset: int) -> bool:
        return record.partition == partition and record.offset > offset


def selected(records: Iterable[SeenRecord], selection: Selection, limit: int) -> list[SeenRecord]:
    """Return the first so many records that a query asks for."""
    found = []
    for record in records:
        if selection.admits(record):
            found.append(record)
            if len(found) == limit:
                break
    return found


def searchable(record: SeenRecord) -> str:
    """Return everything in a record that is text, in one case."""
    return "\n".join(part.decode("utf-8", errors="replace") for part in _parts(record)).casefold()


def _parts(record: SeenRecord) -> Iterator[bytes]:
    yield record.key or b""
    yield record.value or b""
    for name, value in record.headers:
        yield name.encode()
        yield value or b""
