"""Parameters of `GET /api/messages`, and the selection of records. Imported with FastAPI only."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kraftd_apps.consumer.log import Start
from kraftd_apps.consumer.record import SeenRecord

MOST_RECORDS = 1000
LAST_OFFSET = 2**63 - 1
LAST_PARTITION = 2**31 - 1
_LAST_TIMESTAMP_MS = 253_402_300_799_999

Partition = Annotated[int, Field(ge=0, le=LAST_PARTITION)]
Offset = Annotated[int, Field(ge=0, le=LAST_OFFSET)]
Time = Annotated[int, Field(ge=0, le=_LAST_TIMESTAMP_MS)]


@dataclass(frozen=True, slots=True)
class Selection:
    """Conditions on a record; None is not a condition."""

    partition: int | None = None
    after: tuple[int, int] | None = None
    """A partition and the last offset seen in it, to select later records of that partition only."""
    since_ms: int | None = None
    text: str | None = None
    """A part of the key, the value or a header, case-insensitive."""
    key: bytes | None = None
    header: tuple[str, bytes] | None = None

    def admits(self, record: SeenRecord) -> bool:
        """Return whether a record meets all conditions."""
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


class MessagesQuery(BaseModel):
    """The query parameters."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=MOST_RECORDS, description="The maximum number of records.")] = 10
    partition: Annotated[Partition | None, Field(description="Only this partition.")] = None
    offset: Annotated[Offset | None, Field(description="Read the log of `partition` from this offset on.")] = None
    timestamp: Annotated[Time | None, Field(description="The same, from this time on (ms since 1970).")] = None
    after: Annotated[
        str | None,
        Field(pattern=r"^\d{1,10}:\d{1,18}$", description="`partition:offset`: only later ones of that partition."),
    ] = None
    since: Annotated[Time | None, Field(description="Only records from this time on (ms since 1970).")] = None
    q: Annotated[
        str | None, Field(max_length=1000, description="Only records with this text in key, value or a header.")
    ] = None
    key: Annotated[str | None, Field(max_length=10_000, description="Only records with exactly this key.")] = None
    header: Annotated[
        str | None,
        Field(
            max_length=10_000, pattern=r"^[^:]+:", description="`name:value`: only records with exactly this header."
        ),
    ] = None
    format: Annotated[
        Literal["json", "ndjson"], Field(description="One document, or a line per record as a download.")
    ] = "json"

    @model_validator(mode="after")
    def _one_way_to_read(self) -> Self:
        if self.offset is not None and self.timestamp is not None:
            raise ValueError("offset and timestamp exclude each other")
        if (self.offset is not None or self.timestamp is not None) and self.partition is None:
            raise ValueError("offset and timestamp need a partition")
        return self

    @property
    def start(self) -> Start | None:
        """The start position in the log; None for the records in memory."""
        if self.partition is None or (self.offset is None and self.timestamp is None):
            return None
        return Start(self.partition, self.offset or 0, self.timestamp)

    @property
    def selection(self) -> Selection:
        """The conditions on the records."""
        place = self.after.partition(":") if self.after else None
        name, _, value = (self.header or "").partition(":")
        return Selection(
            partition=self.partition,
            after=(int(place[0]), int(place[2])) if place else None,
            since_ms=self.since,
            text=self.q,
            key=None if self.key is None else self.key.encode(),
            header=(name, value.encode()) if self.header else None,
        )


def selected(records: Iterable[SeenRecord], selection: Selection, limit: int) -> list[SeenRecord]:
    """Return the first `limit` records that meet the conditions."""
    found = []
    for record in records:
        if selection.admits(record):
            found.append(record)
            if len(found) == limit:
                break
    return found


def searchable(record: SeenRecord) -> str:
    """Return all text of a record, case-folded."""
    return "\n".join(part.decode("utf-8", errors="replace") for part in _parts(record)).casefold()


def _parts(record: SeenRecord) -> Iterator[bytes]:
    yield record.key or b""
    yield record.value or b""
    for name, value in record.headers:
        yield name.encode()
        yield value or b""
