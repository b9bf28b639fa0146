"""What lies at an offset of a partition's log: a batch, the end, or damage, and where the damage ends. Pure.

No client tells: librdkafka drops some damaged batches without a word and fetches them forever, Java's stays before
them, and a broker that finds no batch at an offset answers nothing for all offsets up to the next entry of its index.
"""

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

DAMAGED = "the bytes of the batch do not match its checksum"
MISPLACED = "the header of the batch says that it lies elsewhere"
UNKNOWN_FORMAT = "the format of the batch is unknown"
NOT_FOUND = "the log is damaged on disk: the broker finds no batch at this offset"
REFUSED = "the log is damaged on disk: the broker answers CORRUPT_MESSAGE for this offset"
STALLED_S = 3.0
"""A position that has not moved for this time, with records after it, is looked at."""

_LONGEST_PAUSE_S = 60.0
_CORRUPT_MESSAGE = 2
_OFFSET_OUT_OF_RANGE = 1
# Base offset, length, leader epoch, magic, checksum, attributes, last offset delta.
_HEADER = struct.Struct(">qiibIhi")
_LENGTH_FROM = 12
_OLD_CHECKED_FROM = 16
_CHECKED_FROM = 21
_MAGIC = 2


@dataclass(frozen=True, slots=True)
class Batch:
    """A record batch in the log, or offsets at which the broker finds none though the log goes on."""

    content: bytes
    """Empty where no batch is found."""
    first: int
    """Its first offset."""
    end: int
    """The first offset after it."""
    fault: str = ""
    """Why it cannot be read; empty if it can."""
    is_end_known: bool = True
    """False where nothing after it can be read either, up to the end of the log."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a broker answers at an offset: a batch, the end of the log, or neither, which is a fault."""

    batch: Batch | None = None
    fault: str = ""


Look = Callable[[int], Place]
"""Returns what is at an offset of a partition; an offset outside of the log has no batch and no fault."""

Checksum = Callable[[memoryview], int]
"""Returns the CRC-32C of bytes, which Python itself does not have."""


def batch_at(look: Look, offset: int) -> Batch | None:
    """Return the batch at an offset; where the broker finds none, all offsets up to the next that it can read.

    A broker looks from the last entry of its index before an offset, of which there is one for every 4 KiB, so that a
    header without a sensible length hides only what follows up to the next entry.
    """
    place = look(offset)
    if not place.fault:
        return place.batch
    end, is_readable = _readable_after(look, offset)
    # A leader that has just been elected may answer nothing for a moment.
    place = look(offset)
    return Batch(b"", offset, end, place.fault, is_end_known=is_readable) if place.fault else place.batch


def damage_from(look: Look, offset: int, most: int) -> Batch | None:
    """Return the first damage at an offset or in so many batches after it; None if there is none."""
    for _ in range(most):
        batch = batch_at(look, offset)
        if batch is None or batch.fault:
            return batch
        offset = batch.end
    return None


def _readable_after(look: Look, offset: int) -> tuple[int, bool]:
    """Return the first offset after a damaged one that can be read, and whether there is one; else the log's end."""
    step, low, high, is_readable = 1, offset, offset, False
    while high - low != 1:
        middle = low + step if high == low else (low + high) // 2
        place = look(middle)
        if place.fault or (place.batch is not None and place.batch.fault):
            low, high, step = middle, max(middle, high), step * 2
        else:
            high, is_readable = middle, place.batch is not None
    return high, is_readable


def place_of(answer: Any, offset: int, checksum: Checksum) -> Place | None:
    """Return what a partition's part of a Fetch says of an offset; None where it refuses for another reason.

    Args:
        answer: With Kafka's field names in snake case.
        offset: The offset from which it was asked to read.
        checksum: CRC-32C.
    """
    match answer.error_code:
        case 0:
            batch = first_batch(bytes(answer.records or b""), offset, answer.high_watermark, checksum)
            return Place(batch, NOT_FOUND if batch is None and offset < answer.high_watermark else "")
        case error if error == _CORRUPT_MESSAGE:
            return Place(fault=REFUSED)
        case error if error == _OFFSET_OUT_OF_RANGE:
            return Place()
        case _:
            return None


def first_batch(records: bytes, offset: int, log_end: int, checksum: Checksum) -> Batch | None:
    """Return the first batch of fetched bytes; None if there is none.

    The end of a damaged batch is what its damaged header says, but after the offset and within the log.

    Args:
        records: What a broker answered.
        offset: The offset from which it was asked to read.
        log_end: The next offset of the partition.
        checksum: CRC-32C.
    """
    if len(records) < _HEADER.size:
        return None
    base, length, old_checksum, magic, stored, _, last_delta = _HEADER.unpack_from(records)
    content = records[: _LENGTH_FROM + max(0, length)]
    last = base + last_delta
    fault = ""
    if magic == _MAGIC:
        fault = DAMAGED if checksum(memoryview(content)[_CHECKED_FROM:]) != stored else ""
    elif 0 <= magic < _MAGIC:
        # The old formats have one offset, which is the last of a compressed message.
        base, last = offset, base
        fault = DAMAGED if zlib.crc32(content[_OLD_CHECKED_FROM:]) != old_checksum & 0xFFFFFFFF else ""
    else:
        fault = UNKNOWN_FORMAT
    if not fault and not offset <= last < log_end:
        fault = MISPLACED
    return Batch(content, min(base, offset) if fault else base, min(max(last, offset) + 1, log_end), fault)


@dataclass(frozen=True, slots=True)
class _Stall:
    position: int
    due_s: float
    pause_s: float


class Stalls:
    """Watches positions, and names each that has not moved for a while, then after pauses that double."""

    def __init__(self) -> None:
        self._stalls: dict[Any, _Stall] = {}

    def noted(self, positions: Mapping[Any, int], now_s: float) -> list[tuple[Any, int]]:
        """Take the positions of all partitions with unread records, and return which of them are to be looked at now.

        Args:
            positions: The next offset to read, by partition.
            now_s: Monotonic time.
        """
        due, stalls = [], {}
        for partition, position in positions.items():
            stall = self._stalls.get(partition)
            if stall is None or stall.position != position:
                stall = _Stall(position, now_s + STALLED_S, STALLED_S)
            elif now_s >= stall.due_s:
                due.append((partition, position))
                pause_s = min(_LONGEST_PAUSE_S, stall.pause_s * 2)
                stall = _Stall(position, now_s + pause_s, pause_s)
            stalls[partition] = stall
        self._stalls = stalls
        return due
