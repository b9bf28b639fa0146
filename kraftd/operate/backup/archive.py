"""The records of a backup as they are read again: frames of a partition over a chain, and the places of its offsets."""

import bisect
from collections.abc import Iterable, Iterator, Sequence

from kraftd.errors import FileAccessError
from kraftd.operate.backup.format import DamagedArchiveError, Frame, frames
from kraftd.operate.backup.manifest import Piece
from kraftd.operate.backup.target import Target, target_errors


def read_piece(target: Target, piece: Piece) -> Iterator[Frame]:
    """Yield the frames of a file.

    Raises:
        DamagedArchiveError: It is missing, cut or damaged; the text names the file and the place.
        FileAccessError: It cannot be read.
    """
    path = f"{piece.backup}/{piece.file.path}"
    where = f"{target.name}/{path}"
    found = records = 0
    try:
        with target.open(path, "rb") as file, target_errors(target, path):
            for frame in frames(file.read):
                found, records = found + 1, records + frame.header.records
                yield frame
    except DamagedArchiveError as error:
        raise named(error, where) from error
    except FileAccessError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise DamagedArchiveError(f"cannot read {where}: it is missing", details={"path": where}) from error
        raise
    if (found, records) != (piece.file.frames, piece.file.records):
        raise DamagedArchiveError(
            f"cannot read {where}: it has {found} frames with {records} records, "
            f"and the manifest says {piece.file.frames} with {piece.file.records}",
            details={"path": where, "frame": found},
        )


def named(error: DamagedArchiveError, where: str) -> DamagedArchiveError:
    """Return the error about a frame with its file."""
    return DamagedArchiveError(
        f"cannot read {where}: {error}",
        hint="'kraftd backup verify' checks a whole target; an undamaged copy, or another backup (--id), is needed.",
        details={"path": where, **error.details},
    )


def read_pieces(target: Target, pieces: Iterable[Piece]) -> Iterator[tuple[Piece, Frame]]:
    """Yield the frames of a partition.

    Raises:
        DamagedArchiveError: As read_piece.
        FileAccessError: As read_piece.
    """
    for piece in pieces:
        for frame in read_piece(target, piece):
            yield piece, frame


def records_before(target: Target, pieces: Sequence[Piece], offsets: Iterable[int]) -> dict[int, int]:
    """Return how many archived records of a partition are before each of some offsets.

    Exact where the log had gaps, of compaction, transactions or retention: only frames with gaps are decompressed.

    Raises:
        DamagedArchiveError: As read_piece.
        FileAccessError: As read_piece.
    """
    asked = sorted(set(offsets))
    found: dict[int, int] = {}
    passed = 0
    for _, frame in read_pieces(target, pieces) if asked else ():
        header = frame.header
        while asked and asked[0] <= header.last_offset:
            offset = asked.pop(0)
            if offset <= header.first_offset:
                found[offset] = passed
            elif header.last_offset - header.first_offset + 1 == header.records:
                found[offset] = passed + offset - header.first_offset
            else:
                found[offset] = passed + bisect.bisect_left(frame.records().offsets, offset)
        passed += header.records
    return found | dict.fromkeys(asked, passed)
