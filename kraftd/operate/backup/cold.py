"""`kraftd backup create --cold`: an exact copy of a stopped cluster's data, and its restore into an empty directory."""

import fcntl
import hashlib
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import zstandard

import kraftd
from kraftd.errors import LOCKED, NotRunningError, RefusedError
from kraftd.health.programs.operations import ENDED, OperationOutcome, Progress, ended
from kraftd.host.events import EventLog
from kraftd.host.files import make_private_directory, os_errors_named, remove
from kraftd.host.processes import known_process
from kraftd.operate.backup.content import new_backup, published, remove_stale
from kraftd.operate.backup.create import CreateResult
from kraftd.operate.backup.format import DamagedBackupError
from kraftd.operate.backup.manifest import COLD, BackupFile, BackupManifest
from kraftd.operate.backup.target import PARTIAL, Target, refuse_inside, target_errors
from kraftd.operate.context import ClusterContext, CommandContext, Reporter
from kraftd.operate.ownership import refuse_data_in_use
from kraftd.plan.layout import Layout
from kraftd.units import timestamp

_ARCHIVE = "state.tar.zst"
_LOCK_TIMEOUT_S = 10.0
_BLOCK_BYTES = 1024 * 1024
_RECORDS = (
    "desired.json",
    "manifest.json",
    "overrides.json",
    "ownership.json",
    "plan.json",
    "restore.json",
    "scale.json",
    "topics.json",
)
"""The records of the cluster, what commands have begun in it included: a move or a restore is finished, or undone,
where the copy is. Others belong to one run or to this machine, and a start renders the other files."""


def create_cold(cluster: ClusterContext, target: Target) -> CreateResult:
    """Copy the data of a stopped cluster.

    Raises:
        ConfigurationError: The target is in the cluster's own state directory.
        RefusedError: A program of the cluster runs, or another command works on the target.
        NotRunningError: Nothing was formatted there.
        FileAccessError: A file cannot be read, or the target takes no more.
    """
    refuse_inside(target, cluster.layout.state_dir)
    began_s = cluster.clock.monotonic_s()
    formatted = cluster.store.manifest()
    if formatted is None:
        raise NotRunningError(
            f"cannot back up the cluster {cluster.plan.cluster}: nothing is formatted in {cluster.layout.state_dir}",
            hint="'kraftd list' shows the clusters of this machine.",
            code="never_started",
        )
    with cluster.lock("backup create", timeout_s=_LOCK_TIMEOUT_S), target.exclusive("backup create"):
        if running := sorted(cluster.find_processes().processes):
            raise RefusedError(
                f"cannot copy a cluster that runs: {', '.join(running)}",
                hint="Run 'kraftd stop' first; without --cold, a running cluster is backed up.",
                code="running",
            )
        refuse_data_in_use(cluster, cluster.plan.names, "copy")
        with cluster.operating("backup create", f"an exact copy to {target.name}") as tracked:
            removed = remove_stale(target)
            manifest = _write_copy(tracked, target, formatted.cluster_id)
    cluster.record("backup_created", f"backup {manifest.id} in {target.name}, an exact copy")
    return CreateResult(manifest, target.name, removed, cluster.clock.monotonic_s() - began_s)


def _write_copy(cluster: ClusterContext, target: Target, cluster_id: str) -> BackupManifest:
    created_at = timestamp(cluster.clock.now_s())
    with new_backup(target, created_at) as chosen:
        file = _write_archive(cluster.layout, target, chosen + PARTIAL, cluster.reporter)
        return published(
            target,
            BackupManifest(
                id=chosen,
                kind=COLD,
                created_at=created_at,
                finished_at=timestamp(cluster.clock.now_s()),
                kraftd_version=kraftd.__version__,
                kafka_version=cluster.plan.kafka_version,
                cluster=cluster.plan.cluster,
                cluster_id=cluster_id,
                files=(file,),
            ),
        )


def restore_cold(layout: Layout, target: Target, manifest: BackupManifest, command_context: CommandContext) -> Path:
    """Put a copied cluster into an empty state directory, as a whole or not at all; returns the directory.

    No cluster exists until it is done, so that nothing shows the operation meanwhile; the new one records its end.

    Raises:
        RefusedError: The directory is not empty, or another restore into it is under way.
        DamagedBackupError: The copy is damaged.
        FileAccessError: The operating system refuses.
    """
    place = layout.state_dir
    clock, own = command_context.clock, known_process(os.getpid())
    what = f"{manifest.id} from {target.name}, an exact copy"
    progress = Progress("backup restore", what, own.pid, own.incarnation, clock.now_s())
    make_private_directory(place.parent)
    with _unfinished(place) as partial:
        refuse_used(place)
        (file,) = manifest.files
        with os_errors_named("write", partial):
            with _reading(target, manifest, file) as (archive, read_bytes):
                _extract(archive, partial, command_context.reporter, file, read_bytes)
            text, facts = ended(progress, OperationOutcome.SUCCEEDED)
            EventLog(partial / layout.events.name, "commands", clock).record(ENDED, text, **facts)
            os.sync()
            partial.replace(place)
    return place


def refuse_used(place: Path) -> None:
    """Refuse to restore into a directory that holds something.

    Raises:
        RefusedError: Always where it does.
        FileAccessError: It is not a directory, or cannot be read.
    """
    with os_errors_named("read", place):
        is_used = place.exists() and any(place.iterdir())
    if is_used:
        raise RefusedError(
            f"cannot restore a cold backup into {place}: it is not empty",
            hint="Choose another directory with --state-dir, or remove this cluster with 'kraftd destroy'.",
            code="not_empty",
        )


@contextmanager
def _unfinished(place: Path) -> Iterator[Path]:
    """Yield an empty directory beside a place, which no other restore uses, and which is gone afterwards.

    The lock is held on the directory itself: a lock file would stay beside the restored cluster.
    """
    partial = place.with_name(f".{place.name}.restore")
    with os_errors_named("make the directory", partial):
        partial.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not _locks(descriptor, partial):
            raise RefusedError(
                f"cannot restore into {place}: another restore does so now",
                hint="Wait for that command, or end it.",
                code=LOCKED,
            )
        try:
            with os_errors_named("delete", partial):
                # What a killed restore left.
                for path in partial.iterdir():
                    remove(path)
            yield partial
        finally:
            # Gone already where it was renamed.
            shutil.rmtree(partial, ignore_errors=True)
    finally:
        os.close(descriptor)


def _locks(descriptor: int, partial: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The last holder may have renamed it.
        return os.path.samestat(os.fstat(descriptor), partial.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


class _Digesting:
    """A file of a target that counts and digests what is written to it or read from it; its errors name it."""

    def __init__(self, file: BinaryIO, target: Target, path: str) -> None:
        self._file = file
        self._target = target
        self._path = path
        self.digest = hashlib.sha256()
        self.size_bytes = 0

    def write(self, content: bytes) -> int:
        self._count(content)
        with target_errors(self._target, self._path):
            return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()

    def read(self, size: int = -1) -> bytes:
        with target_errors(self._target, self._path):
            content = self._file.read(size)
        self._count(content)
        return content

    def _count(self, content: bytes) -> None:
        self.digest.update(content)
        self.size_bytes += len(content)


def _write_archive(layout: Layout, target: Target, directory: str, reporter: Reporter) -> BackupFile:
    files = list(_files(layout.state_dir))
    reporter.transfer_begins("Copying", sum(path.stat().st_size for path in files))
    path = f"{directory}/{_ARCHIVE}"
    with target_errors(target, path), target.open(path, "wb") as file:
        counted = _Digesting(file, target, path)
        compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)
        with (
            compressor.stream_writer(cast("BinaryIO", counted), closefd=False) as stream,
            tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT, dereference=True) as archive,
        ):
            for each in files:
                with os_errors_named("read", each):
                    archive.add(each, each.relative_to(layout.state_dir).as_posix())
                reporter.advance(each.stat().st_size)
    reporter.download_ends()
    return BackupFile(_ARCHIVE, counted.size_bytes, counted.digest.hexdigest())


def _files(state_dir: Path) -> Iterator[Path]:
    """Yield the files of the data, then the records."""
    # A data directory may be a link to another disk.
    for directory, _, names in os.walk(state_dir / "data", followlinks=True):
        yield from (Path(directory) / name for name in sorted(names))
    yield from (state_dir / name for name in _RECORDS if (state_dir / name).is_file())


@contextmanager
def _reading(
    target: Target, manifest: BackupManifest, file: BackupFile
) -> Iterator[tuple[tarfile.TarFile, Callable[[], int]]]:
    """Yield the archive, and what tells how many bytes of its file were read."""
    path = f"{manifest.id}/{file.path}"
    where = f"{target.name}/{path}"
    with target.open(path, "rb") as opened:
        counted = _Digesting(opened, target, path)
        try:
            with (
                zstandard.ZstdDecompressor().stream_reader(cast("BinaryIO", counted), closefd=False) as stream,
                tarfile.open(fileobj=stream, mode="r|") as archive,
            ):
                yield archive, lambda: counted.size_bytes
        except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
            raise DamagedBackupError(
                f"cannot read {where} at byte {counted.size_bytes}: {error}",
                details={"path": where, "byte": counted.size_bytes},
            ) from error
        while counted.read(_BLOCK_BYTES):
            pass
        if counted.digest.hexdigest() != file.sha256:
            raise DamagedBackupError(f"cannot use {where}: its SHA-256 is wrong", details={"path": where})


def _extract(
    archive: tarfile.TarFile, place: Path, reporter: Reporter, file: BackupFile, read_bytes: Callable[[], int]
) -> None:
    reporter.transfer_begins("Restoring", file.size_bytes)
    shown_bytes = 0
    for member in archive:
        name = PurePosixPath(member.name)
        if not member.isreg() or name.is_absolute() or ".." in name.parts:
            raise DamagedBackupError(f"cannot restore {member.name!r}: it is not a file of a state directory")
        path = place / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        source = archive.extractfile(member)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, member.mode & 0o700)
        with os.fdopen(descriptor, "wb") as written:
            if source is not None:
                shutil.copyfileobj(source, written, _BLOCK_BYTES)
        os.utime(path, (member.mtime, member.mtime))
        reporter.advance(read_bytes() - shown_bytes)
        shown_bytes = read_bytes()
    reporter.advance(file.size_bytes - shown_bytes)
    reporter.download_ends()
