"""Records to one topic, each acknowledged by every in-sync replica. Importing this is cheap."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from kraftd.plan.plan import Access

_FULL_WAIT_S = 0.1
_ANY = -1


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record to send; partition None leaves the choice to the key, else to the client."""

    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where an acknowledged record is; the offset is None where the answer with it was lost."""

    partition: int
    offset: int | None


class RecordSender:
    """Sends records to a topic, as a context manager, and counts what became of them.

    Attributes:
        acknowledged: The number of records that every in-sync replica has.
        places: Where the first of these are, up to a bound.
        failures: By reason, the number of records that were not acknowledged.
    """

    def __init__(self, access: Access, topic: str, *, timeout_s: float, most_places: int = 1000) -> None:
        self.acknowledged = 0
        self.places: list[Place] = []
        self.failures: dict[str, int] = {}
        self._access = access
        self._topic = topic
        self._timeout_s = timeout_s
        self._most_places = most_places
        self._producer: Any = None

    def __enter__(self) -> Self:
        from confluent_kafka import Producer  # noqa: PLC0415 - 50 ms, not for other commands

        self._producer = Producer(
            {
                "bootstrap.servers": self._access.bootstrap_servers,
                **dict(self._access.properties),
                "client.id": "kraftd-send",
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.timeout.ms": max(1, round(self._timeout_s * 1000)),
                "allow.auto.create.topics": False,
                "log_level": 0,
            }
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._producer = None

    def send(self, record: NewRecord) -> None:
        """Take a record over; waits while too many are on their way."""
        from confluent_kafka import KafkaException  # noqa: PLC0415 - as above

        while True:
            try:
                self._producer.produce(
                    self._topic,
                    value=record.value,
                    key=record.key,
                    headers=list(record.headers) or None,
                    partition=_ANY if record.partition is None else record.partition,
                    on_delivery=self._settled,
                )
            except BufferError:
                self._producer.poll(_FULL_WAIT_S)
            except KafkaException as failed:
                self._failed(failed.args[0])
                return
            else:
                self._producer.poll(0)
                return

    def flush(self) -> None:
        """Wait until every record is acknowledged or has failed."""
        while self._producer.flush(_FULL_WAIT_S):
            pass

    def _settled(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failed(error)
            return
        self.acknowledged += 1
        if len(self.places) < self._most_places:
            offset = message.offset()
            self.places.append(Place(message.partition(), offset if offset is not None and offset >= 0 else None))

    def _failed(self, error: Any) -> None:
        reason = error.str()
        self.failures[reason] = self.failures.get(reason, 0) + 1
