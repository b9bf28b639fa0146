"""`kraftd send`: records from lines, and how many of them Kafka acknowledged."""

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from kraftd.errors import ConfigurationError, KraftdError
from kraftd.escapes import is_utf_8, named
from kraftd.kafka.records.sending import NewRecord, Place, RecordSender
from kraftd.operate.data.access import KafkaData
from kraftd.operate.data.topics import changeable_topics
from kraftd.units import plural


@dataclass(frozen=True, slots=True)
class Sent:
    """What ``kraftd send`` did.

    Attributes:
        places: Where the first of the acknowledged records are.
    """

    topic: str
    acknowledged: int
    places: tuple[Place, ...]


class _Header(msgspec.Struct):
    name: str
    value: str | None = None
    value_encoding: str | None = "utf-8"


class _Line(msgspec.Struct):
    """The fields of a line of ``kraftd tail --json`` that make a record; the others are ignored."""

    value: str | None
    value_encoding: str | None = "utf-8"
    key: str | None = None
    key_encoding: str | None = "utf-8"
    headers: tuple[_Header, ...] = ()


class _Error(msgspec.Struct):
    message: str


class _Failed(msgspec.Struct):
    """The document of an error."""

    ok: Literal[False]
    error: _Error


def check_target(kafka: KafkaData, name: str, partition: int | None) -> str:
    """Return the name of a topic that may be sent to.

    Raises:
        UnknownNameError: There is no such topic.
        RefusedError: It is Kafka's or kraftd's own.
        ConfigurationError: It has no such partition.
    """
    (topic,) = changeable_topics(kafka.metadata(), [name], "send to")
    if partition is not None and partition >= len(topic.partitions):
        raise ConfigurationError(
            f"cannot send to partition {partition} of the topic {named(topic.name)}: it has no such partition",
            hint=f"It has 0 to {len(topic.partitions) - 1}.",
        )
    return topic.name


def records_of_lines(lines: Iterable[bytes], pattern: NewRecord) -> Iterator[NewRecord]:
    """Yield a record for each line, with the key, headers and partition of a pattern."""
    for line in lines:
        value = line.removesuffix(b"\n")
        yield NewRecord(value, pattern.key, pattern.headers, pattern.partition)


def records_of_json(lines: Iterable[bytes], pattern: NewRecord) -> Iterator[NewRecord]:
    """Yield the record of each line as ``kraftd tail --json`` prints it; what a pattern has takes precedence.

    Raises:
        ConfigurationError: A line holds no record; those before it are yielded.
    """
    decode = msgspec.json.Decoder(_Line).decode
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = decode(line)
            headers = [(_name(each.name), _content(each.value, each.value_encoding)) for each in found.headers]
            key = pattern.key if pattern.key is not None else _content(found.key, found.key_encoding)
            value = _content(found.value, found.value_encoding)
        except (msgspec.DecodeError, binascii.Error, ValueError, RecursionError) as error:
            raise ConfigurationError(
                f"cannot read a record from line {number}: {_told_failure(line) or error}",
                hint="Give a JSON object a line, as 'kraftd tail --json' prints it.",
                code="malformed_record",
            ) from error
        yield NewRecord(value, key, (*headers, *pattern.headers), pattern.partition)


def _told_failure(line: bytes) -> str:
    """Return what a line says that is the end of a ``kraftd tail --json`` that failed; empty for any other."""
    try:
        found = msgspec.json.decode(line, type=_Failed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return f"there 'kraftd tail' failed: {found.error.message}"


def _name(text: str) -> str:
    if "\0" in text:
        # librdkafka would write the name up to it.
        raise ValueError("the name of a header has a NUL")
    return text


def _content(text: str | None, encoding: str | None) -> bytes | None:
    if text is None:
        return None
    match encoding:
        case "base64":
            return base64.b64decode(text, validate=True)
        case "hex":
            return bytes.fromhex(text)
        case "utf-8" | None:
            return text.encode()
        case _:
            raise ValueError(f"the encoding {encoding} is not known")


def send(sender: RecordSender, topic: str, records: Iterable[NewRecord]) -> Sent:
    """Send records and wait for Kafka's answer to each.

    Raises:
        KraftdError: Some were not acknowledged; the text and the details tell how many were.
        ConfigurationError: A record could not be read; those before it were sent.
    """
    try:
        for record in records:
            sender.send(record)
    except KraftdError as error:
        sender.flush()
        failed = sum(sender.failures.values())
        lost = f", {failed:,} {_are(failed)} not" if failed else ""
        before = f"{plural(sender.acknowledged, 'record')} before it {_are(sender.acknowledged)} acknowledged"
        error.args = (f"{error}; {before}{lost}",)
        error.details |= {"acknowledged": sender.acknowledged, "failed": failed}
        raise
    sender.flush()
    if sender.failures:
        failed = sum(sender.failures.values())
        reasons = "; ".join(f"{reason} ({count:,})" for reason, count in sender.failures.items())
        counts = f"{failed:,} of {failed + sender.acknowledged:,} records"
        others = "The others are acknowledged. " if sender.acknowledged else ""
        raise KraftdError(
            f"cannot send {counts} to the topic {named(topic)}: {reasons}",
            hint=f"{others}'kraftd status' shows which brokers run, 'kraftd topics describe' what the topic takes.",
            code="not_acknowledged",
            details={"acknowledged": sender.acknowledged, "failed": failed, "reasons": sender.failures},
        )
    return Sent(topic, sender.acknowledged, tuple(sender.places))


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def parse_headers(texts: Sequence[str]) -> tuple[tuple[str, bytes | None], ...]:
    """Return headers of ``name=value``.

    Raises:
        ConfigurationError: One has no equals sign, or no name that is UTF-8.
    """
    found = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ConfigurationError(f"cannot use --header {text}: it has no value", hint="Give NAME=VALUE.")
        if not is_utf_8(name):
            # confluent_kafka ends the interpreter over such a name.
            raise ConfigurationError(
                f"cannot use --header {text}: its name is not UTF-8", hint="Only a header's value may be any bytes."
            )
        found.append((name, value.encode("utf-8", "surrogateescape")))
    return tuple(found)
