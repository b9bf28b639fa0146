"""Damage in front of a reader: where a position stays, or librdkafka reports a batch, one Fetch of its own tells.

librdkafka fetches such a batch forever, mostly without a word, and hands out neither its header nor its end.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol

from kraftd.damage import Batch, Look, Stalls, batch_at, damage_from
from kraftd.kafka.admin import KafkaAdmin
from kraftd.kafka.model import Gap, KafkaAccessError, TopicPartition
from kraftd.kafka.records.librdkafka import load_library
from kraftd.plan.plan import Access

_MOST_BATCHES = 100
"""Markers and aborted records are passed without a message, so that the damage may come after the last record's end."""


REPAIR = (
    "If another replica is whole, stop the broker that leads the partition, remove the partition's directory from its "
    "data, and start it again."
)
"""What brings back the records of a damaged log."""


class Looker(Protocol):
    """The part of ``KafkaAdmin`` that looks into a log."""

    def look_into(self, place: TopicPartition) -> Look:
        """Return the function that tells what is at an offset."""


class GapFinder:
    """Finds the damage that a reader stands before; opens a connection for each, because damage is rare."""

    def __init__(
        self,
        access: Access,
        *,
        connect: Callable[[Access], AbstractContextManager[Looker]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._access = access
        self._connect = connect or _connect
        self._clock = clock
        self._stalls = Stalls()

    def at(self, place: TopicPartition, offset: int) -> Gap | None:
        """Return the damage at an offset, or shortly after it; None if there is none, or no broker tells."""
        batch = self._looked(place, partial(damage_from, offset=offset, most=_MOST_BATCHES))
        return _gap(place, batch, offset, batch.fault) if batch is not None and batch.fault else None

    def stalled(self, positions: Mapping[TopicPartition, int]) -> Iterator[Gap]:
        """Yield the damage before which positions have not moved for 3 s, though there are records after it."""
        for place, offset in self._stalls.noted(positions, self._clock()):
            if (gap := self.at(place, offset)) is not None:
                yield gap

    def reported(self, place: TopicPartition, offset: int, text: str) -> Gap | None:
        """Return what librdkafka reports of an offset, with its end; None if no broker tells."""
        batch = self._looked(place, partial(batch_at, offset=offset))
        return None if batch is None else _gap(place, batch, offset, batch.fault or text)

    def _looked(self, place: TopicPartition, find: Callable[[Look], Batch | None]) -> Batch | None:
        try:
            with self._connect(self._access) as kafka:
                return find(kafka.look_into(place))
        except KafkaAccessError:
            # Whoever reads waits for the brokers anyway.
            return None


def _connect(access: Access) -> KafkaAdmin:
    return KafkaAdmin(access, client_id="kraftd-damage")


def is_damage(error: Any) -> bool:
    """Return whether an error of librdkafka is about what lies in a log."""
    codes = load_library().KafkaError
    return error.code() in {codes._BAD_MSG, codes._BAD_COMPRESSION, codes._NOT_IMPLEMENTED, codes.INVALID_MSG}  # noqa: SLF001


def _gap(place: TopicPartition, batch: Batch, offset: int, reason: str) -> Gap:
    return Gap(*place, max(batch.first, offset), batch.end, reason, batch.is_end_known)
