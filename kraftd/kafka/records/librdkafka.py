"""librdkafka, by which records are read and sent: loaded when the first client is made; its settings and oddities."""

import gc
import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

from kraftd.kafka.model import KafkaAccessError, KafkaRejectedError, KafkaUnavailableError
from kraftd.plan.plan import Access

Header: TypeAlias = tuple[str, bytes | str | None]

_UNKNOWN_NAME = "\ufffd"
_PASSING = frozenset({"UNKNOWN_TOPIC_OR_PART", "LEADER_NOT_AVAILABLE", "NOT_LEADER_FOR_PARTITION", "REQUEST_TIMED_OUT"})


def load_library() -> Any:
    """Return confluent-kafka, which takes 50 ms to load, and has types for a part of it."""
    import confluent_kafka  # noqa: PLC0415 - not for every command

    return confluent_kafka


def client_settings(access: Access, client_id: str) -> dict[str, Any]:
    """Return the settings with which a client of librdkafka reaches a cluster."""
    return {
        "bootstrap.servers": access.bootstrap_servers,
        **dict(access.properties),
        "client.id": client_id,
        "allow.auto.create.topics": False,
        "log_level": 0,
    }


def reader_settings(access: Access, client_id: str) -> dict[str, Any]:
    """Return the settings of a client that reads from given offsets to the ends, and commits nothing."""
    return client_settings(access, client_id) | {
        # The library asks for one; partitions are assigned, so that no group comes to be.
        "group.id": client_id,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
    }


def access_error(what: str, error: Any) -> KafkaAccessError:
    """Return librdkafka's error, or an exception that holds one, as ours."""
    cause = error.args[0] if isinstance(error, Exception) and error.args else error
    name = cause.name().lstrip("_") if hasattr(cause, "name") else "FAILED"
    text = cause.str() if hasattr(cause, "str") else str(cause)
    # Negative codes are librdkafka's own: no connection, no leader, no answer.
    is_passing = hasattr(cause, "code") and (cause.code() < 0 or cause.name() in _PASSING)
    kind = KafkaUnavailableError if is_passing else KafkaRejectedError
    return kind(f"{what}: {text}", hint="'kraftd status' shows which brokers run.", details={"error": name})


def headers_of(message: Any) -> Sequence[Header]:
    """Return the headers of a record, in order; a name that is not UTF-8 is U+FFFD.

    For such a name, confluent_kafka leaves a tuple without its first item, which crashes the interpreter when it is
    read, and a pending exception, which a call through C raises at once and a plain call anywhere later.
    """
    try:
        return operator.methodcaller("headers")(message) or ()
    except (SystemError, UnicodeDecodeError):
        parts = [(header, gc.get_referents(header)) for header in message.headers()]
        return [header if len(items) > 1 else (_UNKNOWN_NAME, items[0]) for header, items in parts]
