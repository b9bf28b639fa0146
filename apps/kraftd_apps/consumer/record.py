"""Records as read, and their forms for JSON and the page, faithful for arbitrary bytes. Pure."""

import base64
import gc
import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import KafkaError

PREVIEW_BYTES = 16 * 1024
"""Longer values are truncated on the page; the raw download has the whole value."""
_HEX_PREVIEW_BYTES = 512
_NOTE_BYTES = 200
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""Control characters, and what cannot be seen or turns the direction of a row."""
_BOOKKEEPING_BYTES = 200
_HEADER_BOOKKEEPING_BYTES = 150
_SHOWN_HEADERS = 50
_NO_TIMESTAMP = -1
"""What a client may write in the place of a time; librdkafka hands it out as one."""
_UNKNOWN_NAME = "\ufffd"
_UNDECODABLE = {KafkaError._BAD_MSG, KafkaError._BAD_COMPRESSION, KafkaError._NOT_IMPLEMENTED}  # noqa: SLF001 - public

Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class SeenRecord:
    """One record of the topic."""

    partition: int
    offset: int
    timestamp_ms: int | None
    """None if the log has none."""
    key: bytes | None
    value: bytes | None
    """None is a tombstone."""
    headers: Headers = ()
    """In their order, with repeated names; what is not UTF-8 in a name is U+FFFD."""
    fault: str = ""
    """Why the record, or the batch from its offset on, cannot be decoded; empty if it can."""

    @property
    def place(self) -> tuple[int, int, int | None]:
        """The identity of this record, unique also after its topic was recreated."""
        return (self.partition, self.offset, self.timestamp_ms)

    @property
    def size_bytes(self) -> int:
        """Key, value and headers together."""
        headers = sum(len(name) + len(value or b"") for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers

    @property
    def memory_bytes(self) -> int:
        """The approximate memory that the record takes."""
        return self.size_bytes + _BOOKKEEPING_BYTES + _HEADER_BOOKKEEPING_BYTES * len(self.headers)


def record_of(message: Any) -> SeenRecord:
    """Return librdkafka's message as a record, with a `fault` if it cannot be decoded; raises nothing."""
    try:
        return _decoded(message)
    except Exception as error:  # noqa: BLE001 - whatever a record holds, it must not end the reading of the others
        return undecodable(message.partition(), message.offset(), f"{type(error).__name__}: {error}")


def is_end(error: Any) -> bool:
    """Return whether librdkafka's error only says that the end of a partition is reached."""
    return bool(error.code() == KafkaError._PARTITION_EOF)  # noqa: SLF001 - a public constant


def is_undecodable(error: Any) -> bool:
    """Return whether librdkafka's error is about a batch that it cannot decode, and fetches again forever."""
    return error.code() in _UNDECODABLE


def is_refused(error: Any) -> bool:
    """Return whether the broker refuses to read at an offset, because its log is damaged there."""
    return bool(error.code() == KafkaError.INVALID_MSG)


def undecodable(partition: int, offset: int, fault: str) -> SeenRecord:
    """Return a record without content in the place of one that cannot be decoded."""
    return SeenRecord(partition, offset, None, None, None, fault=fault)


def _decoded(message: Any) -> SeenRecord:
    kind, timestamp_ms = message.timestamp()
    return SeenRecord(
        partition=message.partition(),
        offset=message.offset(),
        timestamp_ms=timestamp_ms if kind and timestamp_ms != _NO_TIMESTAMP else None,
        key=message.key(),
        value=message.value(),
        headers=tuple(_headers_of(message)),
    )


def _headers_of(message: Any) -> Iterator[tuple[str, bytes | None]]:
    """Yield the headers, also where a name is not UTF-8.

    For such a name, confluent_kafka leaves a tuple without its first item, which crashes the interpreter when it is
    read, and an exception that is pending: a plain call of the method may raise it anywhere later, a call through C
    raises it at once. The list is kept by the message, and the exception has the bytes of the first such name.
    """
    try:
        yield from operator.methodcaller("headers")(message) or ()
    except (SystemError, UnicodeDecodeError) as error:
        names = _undecoded_names(error)
        for header in message.headers():
            parts = gc.get_referents(header)
            yield header if len(parts) > 1 else (next(names, _UNKNOWN_NAME), parts[0])


def _undecoded_names(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        if isinstance(error, UnicodeDecodeError):
            yield error.object.decode("utf-8", errors="replace")
        error = error.__cause__


@dataclass(frozen=True, slots=True)
class Shown:
    """The form of bytes for people."""

    kind: str
    """`text`, `binary` (then the text is hexadecimal), `empty`, `null` for none at all, or `fault` (why it cannot be
    decoded)."""
    text: str
    cut: bool = False
    """Whether the text is truncated."""


def shown(content: bytes | None, limit_bytes: int = PREVIEW_BYTES) -> Shown:
    """Return bytes as text if they are readable UTF-8, else in hexadecimal."""
    if content is None:
        return Shown("null", "")
    if not content:
        return Shown("empty", "")
    if not _is_readable(content):
        head = content[: min(limit_bytes, _HEX_PREVIEW_BYTES)]
        return Shown("binary", head.hex(" "), cut=len(head) < len(content))
    if len(content) <= limit_bytes:
        return Shown("text", content.decode("utf-8"))
    return Shown("text", content[:limit_bytes].decode("utf-8", errors="ignore"), cut=True)


def _visible(text: str) -> str:
    """Return a text in which what cannot be seen is shown as Python writes it in a string."""
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def _is_readable(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not _CONTROL.search(content)


def iso_time(timestamp_ms: int | None) -> str | None:
    """Return a Kafka timestamp in RFC 3339, UTC; None if it is absent or out of range."""
    if timestamp_ms is None:
        return None
    try:
        moment = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def document(record: SeenRecord) -> dict[str, Any]:
    """Return a record for JSON without loss: text as text, other bytes in base64, an absent value as null."""
    return {
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "timestamp": iso_time(record.timestamp_ms),
        "size_bytes": record.size_bytes,
        **_encoded("key", record.key),
        "headers": [{"name": name, **_encoded("value", value)} for name, value in record.headers],
        **_encoded("value", record.value),
        "fault": record.fault or None,
    }


def _encoded(name: str, content: bytes | None) -> dict[str, str | None]:
    if content is None:
        return {name: None, f"{name}_encoding": None}
    try:
        return {name: content.decode("utf-8"), f"{name}_encoding": "utf-8"}
    except UnicodeDecodeError:
        return {name: base64.b64encode(content).decode("ascii"), f"{name}_encoding": "base64"}


@dataclass(frozen=True, slots=True)
class Row:
    """The form of a record on the page."""

    partition: int
    offset: int
    time: str | None
    size_bytes: int
    key: Shown
    headers: tuple[tuple[str, Shown], ...]
    value: Shown


def row_of(record: SeenRecord) -> Row:
    """Return the form of a record on the page."""
    return Row(
        partition=record.partition,
        offset=record.offset,
        time=iso_time(record.timestamp_ms),
        size_bytes=record.size_bytes,
        key=shown(record.key, _NOTE_BYTES),
        headers=_shown_headers(record.headers),
        value=Shown("fault", _visible(record.fault)) if record.fault else shown(record.value),
    )


def _shown_headers(headers: Headers) -> tuple[tuple[str, Shown], ...]:
    """Return the first headers, with names and values that are truncated: a record may have 100 000."""
    found = [(_visible(name), shown(value, _NOTE_BYTES)) for name, value in headers[:_SHOWN_HEADERS]]
    if len(headers) > _SHOWN_HEADERS:
        found.append(("…", Shown("text", f"{len(headers) - _SHOWN_HEADERS} more")))
    return tuple((name if len(name) <= _NOTE_BYTES else name[:_NOTE_BYTES] + "…", value) for name, value in found)
