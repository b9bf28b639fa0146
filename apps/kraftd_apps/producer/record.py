"""Records to publish, and their options in the query and the `X-Kafka-` headers of a request. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qsl

from kraftd_apps.common.problems import ProblemError, problem

ANY_PARTITION = -1
NOW = 0
LAST_PARTITION = 2**31 - 1
MAX_KEY_BYTES = 8192
MAX_HEADERS = 64
LAST_TIMESTAMP_MS = 253_402_300_799_999
"""The end of the year 9999, the latest timestamp that many clients can show."""

_KEY_HEADER = b"x-kafka-key"
_HEADER_PREFIX = b"x-kafka-header-"
_PARAMETERS = frozenset({"key", "partition", "timestamp", "ack"})


class Record(NamedTuple):
    """A record to publish."""

    value: bytes | None
    """None is a tombstone: compaction removes the key."""
    key: bytes | None = None
    partition: int = ANY_PARTITION
    timestamp_ms: int = NOW
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """The properties of a record other than its value."""

    key: bytes | None = None
    partition: int = ANY_PARTITION
    timestamp_ms: int = NOW
    headers: tuple[tuple[str, bytes], ...] = ()
    acknowledged: bool = True
    """Whether the client waits for Kafka's acknowledgement."""

    def record(self, value: bytes | None) -> Record:
        """Return the record with this value."""
        return Record(value, self.key, self.partition, self.timestamp_ms, self.headers)


PLAIN = Options()


def options_of(query: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Options:
    """Return the options of a request.

    Raises:
        ProblemError: An option is unknown, repeated or wrong.
    """
    own = [(name, value) for name, value in headers if name.startswith(b"x-kafka-")]
    if not query and not own:
        return PLAIN
    given = _parameters(query)
    return Options(
        key=_key(given, own),
        partition=_number(given, "partition", ANY_PARTITION, lowest=0, highest=LAST_PARTITION),
        timestamp_ms=_number(given, "timestamp", NOW, lowest=1, highest=LAST_TIMESTAMP_MS),
        headers=_headers(own),
        acknowledged=_acknowledged(given),
    )


def flag_of(query: bytes, name: str) -> bool:
    """Return whether a query's only parameter is 1; an absent one is off.

    Raises:
        ProblemError: The query has another parameter or value.
    """
    if not query:
        return False
    if query in {f"{name}=0".encode(), f"{name}=1".encode()}:
        return query.endswith(b"1")
    raise _bad(f"the only parameter is {name}, 0 or 1")


def _parameters(query: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=16)
    except ValueError as error:
        raise _bad(f"the query cannot be read: {error}") from error
    given = dict(pairs)
    for name in given:
        if name not in _PARAMETERS:
            raise _bad(f"{name!r} is not a parameter; known are {', '.join(sorted(_PARAMETERS))}")
    if len(given) != len(pairs):
        raise _bad("a parameter is given twice")
    return given


def _key(given: Mapping[str, str], own: list[tuple[bytes, bytes]]) -> bytes | None:
    keys = [value for name, value in own if name == _KEY_HEADER]
    if "key" in given:
        keys.append(given["key"].encode())
    if len(keys) > 1:
        raise _bad("the key is given twice: use ?key= or X-Kafka-Key")
    if not keys:
        return None
    return checked_key(keys[0])


def checked_key(key: bytes) -> bytes:
    """Return the key, after checking its length and that it is UTF-8.

    Raises:
        ProblemError: The key is too long or not UTF-8.
    """
    if len(key) > MAX_KEY_BYTES:
        raise ProblemError(problem("too_large", f"the key is longer than {MAX_KEY_BYTES} bytes"))
    _check_text(key, "the key")
    return key


def _headers(own: list[tuple[bytes, bytes]]) -> tuple[tuple[str, bytes], ...]:
    found = []
    for name, value in own:
        if name == _KEY_HEADER:
            continue
        if not name.startswith(_HEADER_PREFIX) or name == _HEADER_PREFIX:
            raise _bad(f"{name.decode('latin-1')!r} is neither X-Kafka-Key nor X-Kafka-Header-<Name>")
        _check_text(value, "a record header")
        found.append((name[len(_HEADER_PREFIX) :].decode("latin-1"), value))
    if len(found) > MAX_HEADERS:
        raise _bad(f"more than {MAX_HEADERS} record headers")
    return tuple(found)


def _number(given: Mapping[str, str], name: str, default: int, *, lowest: int, highest: int) -> int:
    raw = given.get(name)
    if raw is None:
        return default
    if raw.isascii() and raw.isdigit() and len(raw) <= len(str(highest)) and lowest <= int(raw) <= highest:
        return int(raw)
    raise _bad(f"{name} must be a whole number from {lowest} to {highest}, not {raw[:40]!r}")


def _acknowledged(given: Mapping[str, str]) -> bool:
    raw = given.get("ack", "all")
    if raw in {"all", "none"}:
        return raw == "all"
    raise _bad(f"ack must be all or none, not {raw[:40]!r}")


def _check_text(value: bytes, what: str) -> None:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad(f"{what} is not UTF-8: {error.reason} at byte {error.start}") from error


def _bad(detail: str) -> ProblemError:
    return ProblemError(problem("bad_parameter", detail))
