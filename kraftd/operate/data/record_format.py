"""Records as text: a template, JSON or hexadecimal, exact in a pipe and escaped for a terminal."""

import base64
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec

from kraftd.errors import ConfigurationError
from kraftd.escapes import escaped, escaped_json
from kraftd.kafka.records.librdkafka import headers_of
from kraftd.kafka.records.reading import Message

DEFAULT = "{value}"
WITH_HEADERS = "{headers}\t{value}"

Part: TypeAlias = Callable[[Message], bytes]
Render: TypeAlias = Callable[[Sequence[Message]], bytes]
"""Returns records as lines."""

_FIELD = re.compile(r"\{([a-z_]*)\}")
_ESCAPES = {r"\t": "\t", r"\n": "\n", r"\\": "\\"}
_ESCAPE = re.compile(r"\\[tn\\]")
_NO_TIMESTAMP = -1
"""What a client may write in the place of a time; librdkafka hands it out as one."""


@dataclass(frozen=True, slots=True)
class Form:
    """How records are printed.

    Attributes:
        as_json: A JSON document a line; the template is then not used.
        as_hex: Keys, values and the values of headers in hexadecimal.
        for_people: What is not printable is escaped, so that a record is one line.
    """

    template: str = DEFAULT
    as_json: bool = False
    as_hex: bool = False
    for_people: bool = False


def renderer(form: Form) -> Render:
    """Return what prints records in a form.

    Raises:
        ConfigurationError: The template has an unknown field.
    """
    if form.as_json:
        return _json_lines(as_hex=form.as_hex)
    shown = _shown(form)
    if form.template == DEFAULT:
        # By far the most usual, and three times as fast as the general way.
        if form.for_people or form.as_hex:
            return lambda messages: b"".join([shown(message.value()) + b"\n" for message in messages])
        return lambda messages: b"".join([(message.value() or b"") + b"\n" for message in messages])
    parts = tuple(_parts(form, shown))
    return lambda messages: b"".join([part(message) for message in messages for part in parts])


def _shown(form: Form) -> Callable[[bytes | None], bytes]:
    if form.as_hex:
        return lambda content: (content or b"").hex(" ").encode()
    if form.for_people:
        return lambda content: visible(content or b"").encode()
    return lambda content: content or b""


def visible(content: bytes) -> str:
    r"""Return bytes as text on one line: what is not UTF-8 as ``\xff``, what is not printable escaped."""
    found = []
    while True:
        try:
            found.append(escaped(content.decode()))
        except UnicodeDecodeError as error:
            found.append(escaped(content[: error.start].decode()))
            found += [f"\\x{byte:02x}" for byte in content[error.start : error.end]]
            content = content[error.end :]
        else:
            return "".join(found)


def _parts(form: Form, shown: Callable[[bytes | None], bytes]) -> Iterable[Part]:
    fields = _fields(shown)
    at = 0
    for match in _FIELD.finditer(form.template):
        yield from _constant(form.template[at : match.start()])
        if match[1] not in fields:
            raise ConfigurationError(
                f"cannot print records as {form.template!r}: there is no field {match[0]}",
                hint=f"The fields are {', '.join(f'{{{name}}}' for name in fields)}.",
            )
        yield fields[match[1]]
        at = match.end()
    yield from _constant(form.template[at:] + "\n")


def _constant(text: str) -> Iterable[Part]:
    if text:
        content = _ESCAPE.sub(lambda match: _ESCAPES[match[0]], text).encode("utf-8", "surrogateescape")
        yield lambda _message: content


def _fields(shown: Callable[[bytes | None], bytes]) -> dict[str, Part]:
    return {
        "topic": lambda message: message.topic().encode(),
        "partition": lambda message: b"%d" % message.partition(),
        "offset": lambda message: b"%d" % message.offset(),
        "timestamp": lambda message: b"%d" % message.timestamp()[1],
        "time": lambda message: (_time(message) or "-").encode(),
        "key": lambda message: shown(message.key()),
        "value": lambda message: shown(message.value()),
        "headers": lambda message: b", ".join(
            shown(name.encode()) + b"=" + shown(_bytes(value)) for name, value in headers_of(message)
        ),
    }


def _json_lines(*, as_hex: bool) -> Render:
    encode = msgspec.json.Encoder().encode

    def render(messages: Sequence[Message]) -> bytes:
        lines = b"\n".join([encode(document(message, as_hex=as_hex)) for message in messages])
        return escaped_json(lines.decode()).encode() + b"\n" if lines else b""

    return render


def document(message: Message, *, as_hex: bool = False) -> dict[str, object]:
    """Return a record for JSON without loss: text as text, other bytes in base64, what is absent as null."""
    return {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp_ms": _timestamp_ms(message),
        "timestamp": _time(message),
        **_encoded("key", message.key(), as_hex=as_hex),
        "headers": [
            {"name": name, **_encoded("value", _bytes(value), as_hex=as_hex)} for name, value in headers_of(message)
        ],
        **_encoded("value", message.value(), as_hex=as_hex),
    }


def _encoded(name: str, content: bytes | None, *, as_hex: bool) -> dict[str, str | None]:
    if content is None:
        return {name: None, f"{name}_encoding": None}
    if as_hex:
        return {name: content.hex(), f"{name}_encoding": "hex"}
    try:
        return {name: content.decode(), f"{name}_encoding": "utf-8"}
    except UnicodeDecodeError:
        return {name: base64.b64encode(content).decode(), f"{name}_encoding": "base64"}


def _bytes(value: bytes | str | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _timestamp_ms(message: Message) -> int | None:
    kind, timestamp_ms = message.timestamp()
    return timestamp_ms if kind and timestamp_ms != _NO_TIMESTAMP else None


def _time(message: Message) -> str | None:
    timestamp_ms = _timestamp_ms(message)
    if timestamp_ms is None:
        return None
    try:
        moment = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records are printed.

    Attributes:
        key: Only those with this key.
        pattern: Only those in whose value it is found.
    """

    key: bytes | None = None
    pattern: re.Pattern[bytes] | None = None

    def chosen(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return the records that pass."""
        if self.key is not None:
            messages = [message for message in messages if message.key() == self.key]
        if (pattern := self.pattern) is not None:
            messages = [message for message in messages if pattern.search(message.value() or b"")]
        return messages
