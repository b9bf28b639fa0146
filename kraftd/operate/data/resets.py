"""Where the offsets of a group move: the plan of a reset, and of an import. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from kraftd.kafka.model import TopicPartition


class ResetKind(StrEnum):
    """What a reset goes to."""

    EARLIEST = "earliest"
    LATEST = "latest"
    TIME = "time"
    OFFSET = "offset"
    SHIFT = "shift"


@dataclass(frozen=True, slots=True)
class ResetTo:
    """Where a reset goes.

    Attributes:
        value: For TIME milliseconds since the epoch, for OFFSET an offset, for SHIFT a number of records.
    """

    target: ResetKind
    value: int = 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """A partition as it was when the plan was made.

    Attributes:
        at_time: The first offset at the time that was asked for; None where no record is that new.
    """

    start: int
    end: int
    at_time: int | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """The offset of one partition before and after; a before of None was never committed.

    Attributes:
        note: Why the offset is another one than asked for; empty where it is not.
    """

    topic: str
    partition: int
    before: int | None
    after: int
    note: str = ""

    @property
    def key(self) -> TopicPartition:
        """The key of the partition in mappings of offsets."""
        return self.topic, self.partition

    @property
    def is_needed(self) -> bool:
        """Whether the group has another offset there now."""
        return self.before != self.after


def reset_moves(
    partitions: Mapping[TopicPartition, Bounds], commits: Mapping[TopicPartition, int], to: ResetTo
) -> tuple[Move, ...]:
    """Return where each partition's offset goes; one that was never committed cannot be shifted, and is left out."""
    moves = []
    for key, bounds in sorted(partitions.items()):
        before = commits.get(key)
        if to.target is ResetKind.SHIFT and before is None:
            continue
        moves.append(_move(key, before, _wanted(bounds, before or 0, to), bounds))
    return tuple(moves)


def _wanted(bounds: Bounds, before: int, to: ResetTo) -> int:
    match to.target:
        case ResetKind.EARLIEST:
            return bounds.start
        case ResetKind.LATEST:
            return bounds.end
        case ResetKind.TIME:
            return bounds.end if bounds.at_time is None else bounds.at_time
        case ResetKind.OFFSET:
            return to.value
        case ResetKind.SHIFT:
            return before + to.value


def import_moves(
    offsets: Mapping[TopicPartition, int],
    commits: Mapping[TopicPartition, int],
    partitions: Mapping[TopicPartition, Bounds],
) -> tuple[Move, ...]:
    """Return where imported offsets move a group."""
    return tuple(_move(key, commits.get(key), offset, partitions[key]) for key, offset in sorted(offsets.items()))


def _move(key: TopicPartition, before: int | None, wanted: int, bounds: Bounds) -> Move:
    after = min(max(wanted, bounds.start), bounds.end)
    end = "start" if after > wanted else "end"
    note = f"{wanted} is outside of the log: its {end}" if after != wanted else ""
    return Move(*key, before, after, note)


def reread(moves: Iterable[Move]) -> int:
    """Return how many offsets will be read again."""
    return sum(max(0, move.before - move.after) for move in moves if move.before is not None)


def skipped(moves: Iterable[Move]) -> int:
    """Return how many offsets will not be read."""
    return sum(max(0, move.after - move.before) for move in moves if move.before is not None)
