"""Reading of backups: the frames of a partition over a chain, the places of its offsets, `kraftd backup verify`.

A verification reads everything, checks every checksum, count and chain, and restores nothing.
"""

import bisect
import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

from kraftd.errors import FileAccessError, KraftdError
from kraftd.operate.backup.content import Unusable, chosen_backup, existing_content
from kraftd.operate.backup.format import DamagedBackupError, Frame, frames
from kraftd.operate.backup.manifest import BackupFile, BackupManifest, BackupPartition, Piece, chain_of
from kraftd.operate.backup.target import Target, target_errors
from kraftd.operate.context import Reporter


def read_piece(target: Target, piece: Piece) -> Iterator[Frame]:
    """Yield the frames of a file.

    Raises:
        DamagedBackupError: It is missing, cut or damaged; the text names the file and the place.
        FileAccessError: It cannot be read.
    """
    path = f"{piece.backup}/{piece.file.path}"
    where = f"{target.name}/{path}"
    found = records = 0
    with _opened(target, path) as file:
        try:
            for frame in frames(file.read):
                found, records = found + 1, records + frame.header.records
                yield frame
        except DamagedBackupError as error:
            raise named(error, where) from error
    if (found, records) != (piece.file.frames, piece.file.records):
        raise DamagedBackupError(
            f"cannot read {where}: it has {found} frames with {records} records, "
            f"and the manifest says {piece.file.frames} with {piece.file.records}",
            details={"path": where, "frame": found},
        )


@contextmanager
def _opened(target: Target, path: str) -> Iterator[BinaryIO]:
    """Open a file that the manifest names.

    Raises:
        DamagedBackupError: It is missing.
        FileAccessError: It cannot be read.
    """
    try:
        with target.open(path, "rb") as file, target_errors(target, path):
            yield file
    except FileAccessError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            where = f"{target.name}/{path}"
            raise DamagedBackupError(f"cannot read {where}: it is missing", details={"path": where}) from error
        raise


def named(error: DamagedBackupError, where: str) -> DamagedBackupError:
    """Return the error about a frame with its file."""
    return DamagedBackupError(f"cannot read {where}: {error}", details={"path": where, **error.details})


def read_pieces(target: Target, pieces: Iterable[Piece]) -> Iterator[tuple[Piece, Frame]]:
    """Yield the frames of a partition.

    Raises:
        DamagedBackupError: As read_piece.
        FileAccessError: As read_piece.
    """
    for piece in pieces:
        for frame in read_piece(target, piece):
            yield piece, frame


def records_before(target: Target, pieces: Sequence[Piece], offsets: Iterable[int]) -> dict[int, int]:
    """Return how many archived records of a partition are before each of some offsets.

    Exact where the log had gaps, of compaction, transactions or retention: only frames with gaps are decompressed.

    Raises:
        DamagedBackupError: As read_piece.
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


_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Verified:
    """What was verified.

    Attributes:
        backups: Those that read as they were written; the counts are of these.
        unusable: The others, each with what is wrong.
    """

    target: str
    backups: tuple[BackupManifest, ...]
    unusable: tuple[Unusable, ...]

    @property
    def files(self) -> int:
        """The number of files."""
        return sum(len(each.all_files) for each in self.backups)

    @property
    def records(self) -> int:
        """The number of records."""
        return sum(each.records for each in self.backups)

    @property
    def size_bytes(self) -> int:
        """The bytes of the files."""
        return sum(each.size_bytes for each in self.backups)

    @property
    def error(self) -> KraftdError | None:
        """What a command fails with: the one error, or one that lists them all; None where there is none."""
        if not self.unusable:
            return None
        facts = {
            "backups": [each.id for each in self.backups],
            "unusable": [each.document for each in self.unusable],
        }
        if len(self.unusable) == 1:
            error = self.unusable[0].error
            error.details |= facts
            return error
        lines = "".join(f"\n  {each.name}: {each.error}" for each in self.unusable)
        of_all = f"{len(self.unusable)} of {len(self.unusable) + len(self.backups)}"
        return DamagedBackupError(
            f"cannot use {of_all} backups in {self.target}:{lines}",
            hint="An undamaged copy of each is needed, or another backup (--id).",
            details=facts,
        )


def verify(target: Target, chosen: str | None, reporter: Reporter) -> Verified:
    """Verify one backup with those that it continues, else all; after a damaged one the others are verified too.

    Raises:
        UnknownNameError: There is no such backup, or none at all.
        KraftdError: The chosen one has no usable manifest, or its chain is broken.
    """
    if chosen is None:
        content = existing_content(target)
        known, backups, unusable = content.known, content.manifests, list(content.unusable)
    else:
        manifest, known = chosen_backup(target, chosen)
        backups, unusable = chain_of(manifest, known), []
    reporter.transfer_begins("Verifying", sum(each.size_bytes for each in backups))
    sound: list[BackupManifest] = []
    for backup in backups:
        try:
            _verify_backup(target, backup, reporter)
            _verify_chain(backup, known, {each.name for each in unusable})
            sound.append(backup)
        except (DamagedBackupError, FileAccessError) as error:
            unusable.append(Unusable(backup.id, error))
    reporter.download_ends()
    return Verified(target.name, tuple(sound), tuple(unusable))


def _verify_chain(backup: BackupManifest, known: Mapping[str, BackupManifest], unusable: Container[str]) -> None:
    if damaged := [each.id for each in chain_of(backup, known) if each.id in unusable]:
        raise DamagedBackupError(
            f"cannot use the backup {backup.id}: it continues {damaged[-1]}, which is damaged", code="chain_broken"
        )


def _verify_backup(target: Target, backup: BackupManifest, reporter: Reporter) -> None:
    for file in backup.files:
        _verify_content(target, backup.id, file)
        reporter.advance(file.size_bytes)
    for topic in backup.topics:
        for part in topic.partitions:
            _verify_partition(target, backup.id, part, reporter)


def _verify_partition(target: Target, backup: str, part: BackupPartition, reporter: Reporter) -> None:
    after = part.begin
    for file in part.files:
        where = f"{target.name}/{backup}/{file.path}"
        for frame in read_piece(target, Piece(backup, file)):
            try:
                offsets = frame.records().offsets
            except DamagedBackupError as error:
                raise named(error, where) from error
            if offsets[0] < after or offsets[-1] >= part.end or not _rises(offsets):
                raise DamagedBackupError(
                    f"cannot use {where}: the offsets of frame {frame.number} (byte {frame.position}) do not rise",
                    details={"path": where, "frame": frame.number, "byte": frame.position},
                )
            after = offsets[-1] + 1
        _verify_content(target, backup, file)
        reporter.advance(file.size_bytes)


def _rises(offsets: Sequence[int]) -> bool:
    return all(one < other for one, other in pairwise(offsets))


def _verify_content(target: Target, backup: str, file: BackupFile) -> None:
    path = f"{backup}/{file.path}"
    where = f"{target.name}/{path}"
    digest, size_bytes = hashlib.sha256(), 0
    with _opened(target, path) as opened:
        while block := opened.read(_BLOCK_BYTES):
            digest.update(block)
            size_bytes += len(block)
    if size_bytes != file.size_bytes:
        raise DamagedBackupError(
            f"cannot use {where}: it has {size_bytes} bytes, and the manifest says {file.size_bytes}",
            details={"path": where, "byte": min(size_bytes, file.size_bytes)},
        )
    if digest.hexdigest() != file.sha256:
        raise DamagedBackupError(f"cannot use {where}: its SHA-256 is wrong", details={"path": where})
