"""The manifest of a backup: what it holds, which backup it continues, and the chains that follow from that. Pure."""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from kraftd.errors import ConfigurationError, IdentityMismatchError
from kraftd.operate.backup.format import DamagedBackupError

MANIFEST = "manifest.json"
FORMAT = "kraftd-backup"
FORMAT_VERSION = 1
LOGICAL = "logical"
COLD = "cold"

_PATH = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


@dataclass(frozen=True, slots=True)
class BackupFile:
    """A file of a backup.

    Attributes:
        path: Below the directory of the backup.
        size_bytes: Its size.
        sha256: Of its content, in hexadecimal.
        frames: The number of frames; 0 for a file that has none.
        records: The number of records in them.
    """

    path: str
    size_bytes: int
    sha256: str
    frames: int = 0
    records: int = 0


@dataclass(frozen=True, slots=True)
class BackupGap:
    """Offsets that could not be read, because the log was damaged there.

    Attributes:
        end: The offset after the last one.
    """

    begin: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True)
class BackupPartition:
    """A partition in a backup.

    Attributes:
        begin: The first offset that was to be read.
        end: The offset after the last one.
        continues: Whether what is before it is in the backup that this one continues.
        files: In the order of their offsets.
        gaps: What is missing of it.
    """

    partition: int
    begin: int
    end: int
    continues: bool
    files: tuple[BackupFile, ...] = ()
    gaps: tuple[BackupGap, ...] = ()

    @property
    def records(self) -> int:
        """The number of records."""
        return sum(file.records for file in self.files)


@dataclass(frozen=True, slots=True)
class BackupTopic:
    """A topic in a backup.

    Attributes:
        topic_id: Kafka's id of the topic, which tells it from an earlier one of the same name.
        config: The settings that were made for this topic.
    """

    name: str
    topic_id: str
    replication_factor: int
    config: dict[str, str]
    partitions: tuple[BackupPartition, ...]


@dataclass(frozen=True, slots=True)
class ClusterTopic:
    """A topic as it is in a cluster.

    Attributes:
        topic_id: Another one after the topic was deleted and recreated.
        config: The settings that were made for this topic; none of the defaults.
    """

    name: str
    topic_id: str
    partitions: int
    replication_factor: int
    config: dict[str, str]


@dataclass(frozen=True, slots=True)
class Commit:
    """A group's committed offset in one partition."""

    topic: str
    partition: int
    offset: int
    metadata: str = ""


@dataclass(frozen=True, slots=True)
class GroupCommits:
    """A group's committed offsets."""

    group: str
    commits: tuple[Commit, ...]


@dataclass(frozen=True, slots=True)
class BackupManifest:
    """What a backup holds.

    Attributes:
        kind: LOGICAL or COLD.
        parent: The id of the backup that it continues; None for a full one.
        parent_checksum: The checksum of that one's manifest.
        created_at: When its offsets were taken, RFC 3339 in UTC.
        files: The files that belong to no topic.
        checksum: The SHA-256 of the document as compact JSON with sorted keys and an empty checksum.
    """

    id: str
    kind: str
    created_at: str
    finished_at: str
    kraftd_version: str
    kafka_version: str
    cluster: str
    cluster_id: str
    parent: str | None = None
    parent_checksum: str | None = None
    topics: tuple[BackupTopic, ...] = ()
    groups: tuple[GroupCommits, ...] = ()
    files: tuple[BackupFile, ...] = ()
    format: str = FORMAT
    format_version: int = FORMAT_VERSION
    checksum: str = ""

    @property
    def all_files(self) -> tuple[BackupFile, ...]:
        """Every file but the manifest itself."""
        of_topics = [file for topic in self.topics for part in topic.partitions for file in part.files]
        return (*self.files, *of_topics)

    @property
    def records(self) -> int:
        """The number of records."""
        return sum(part.records for topic in self.topics for part in topic.partitions)

    @property
    def gaps(self) -> tuple[str, ...]:
        """What is missing, a sentence for each gap."""
        return tuple(
            f"{topic.name}-{part.partition}: offsets {gap.begin} to {gap.end - 1} could not be read: {gap.reason}"
            for topic in self.topics
            for part in topic.partitions
            for gap in part.gaps
        )

    @property
    def size_bytes(self) -> int:
        """The bytes of its files."""
        return sum(file.size_bytes for file in self.all_files)


def sealed(manifest: BackupManifest) -> BackupManifest:
    """Return a manifest with its checksum."""
    document = msgspec.json.decode(msgspec.json.encode(manifest))
    return replace(manifest, checksum=_checksum(document))


def manifest_bytes(manifest: BackupManifest) -> bytes:
    """Return the content of ``manifest.json`` for a sealed manifest."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def parse_manifest(content: bytes, where: str) -> BackupManifest:
    """Return the manifest that a content holds.

    Args:
        content: The bytes of ``manifest.json``.
        where: The file, for messages.

    Raises:
        IdentityMismatchError: A newer kraftd wrote it, or something else.
        DamagedBackupError: It is damaged.
    """
    try:
        document = msgspec.json.decode(content)
        form, version = document["format"], int(document["format_version"])
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError, RecursionError) as error:
        why = f"without {error}" if isinstance(error, KeyError) else error
        raise DamagedBackupError(f"cannot read {where}: it is not the manifest of a backup ({why})") from error
    if form != FORMAT or version > FORMAT_VERSION:
        raise IdentityMismatchError(
            f"cannot read {where}: it has format {form!r}, version {version}; "
            f"this kraftd knows {FORMAT!r}, version {FORMAT_VERSION}",
            hint="Use the kraftd that made this backup, or a newer one; or choose another backup with --id.",
            code="archive_too_new",
        )
    try:
        manifest = msgspec.json.decode(content, type=BackupManifest)
    except msgspec.MsgspecError as error:
        raise DamagedBackupError(f"cannot read {where}: it is damaged ({error})") from error
    if _checksum(document) != manifest.checksum:
        raise DamagedBackupError(f"cannot read {where}: its checksum is wrong")
    if odd := [
        file.path for file in manifest.all_files if not _PATH.fullmatch(file.path) or ".." in file.path.split("/")
    ]:
        raise DamagedBackupError(f"cannot read {where}: it names a file outside of the backup: {odd[0]!r}")
    return manifest


def _checksum(document: dict[str, Any]) -> str:
    """Return the checksum over what the file says, so that keys that this kraftd does not know count too."""
    return hashlib.sha256(msgspec.json.encode(document | {"checksum": ""}, order="sorted")).hexdigest()


def chain_of(manifest: BackupManifest, known: Mapping[str, BackupManifest]) -> tuple[BackupManifest, ...]:
    """Return the backups that a restore of one needs, the full one first.

    Raises:
        DamagedBackupError: One of them is missing, or is not the one that was continued.
    """
    chain = [manifest]
    while (parent := chain[-1].parent) is not None:
        before = known.get(parent)
        if before is None or before in chain:
            raise DamagedBackupError(
                f"cannot use the backup {manifest.id}: {chain[-1].id} continues {parent}, which is missing or unusable",
                hint="Choose another backup with --id; 'kraftd backup list' shows them.",
                code="chain_broken",
            )
        if before.checksum != chain[-1].parent_checksum:
            raise DamagedBackupError(
                f"cannot use the backup {manifest.id}: {parent} is not the backup that {chain[-1].id} continues",
                code="chain_broken",
            )
        chain.append(before)
    return tuple(reversed(chain))


@dataclass(frozen=True, slots=True)
class Piece:
    """A file of a partition, with the backup that it is in."""

    backup: str
    file: BackupFile


def pieces_of(chain: Sequence[BackupManifest], topic: str, partition: int) -> tuple[Piece, ...]:
    """Return the files of a partition over a chain, in the order of their offsets.

    What a backup before the last one holds of it counts only where the next one continues it: a topic that was made
    again, or a log that was cut, starts over.
    """
    found: list[Piece] = []
    for manifest in reversed(chain):
        part = _partition_in(manifest, topic, partition)
        if part is None:
            break
        found[:0] = [Piece(manifest.id, file) for file in part.files]
        if not part.continues:
            break
    return tuple(found)


def _partition_in(manifest: BackupManifest, topic: str, partition: int) -> BackupPartition | None:
    parts = (part for each in manifest.topics if each.name == topic for part in each.partitions)
    return next((part for part in parts if part.partition == partition), None)


def continued_from(parent: BackupManifest | None, topic: str, topic_id: str, partition: int, end: int) -> int | None:
    """Return the offset from which a partition continues a backup; None where it must be read from its beginning.

    Args:
        parent: The backup to continue.
        topic: The topic's name.
        topic_id: The topic's id now.
        partition: The partition.
        end: The offset after the last record now.
    """
    if parent is None or not any(each.name == topic and each.topic_id == topic_id for each in parent.topics):
        return None
    part = _partition_in(parent, topic, partition)
    # A log that is shorter than it was lost records: what follows may have other content at known offsets.
    return part.end if part is not None and part.end <= end else None


def newest_of_each(manifests: Iterable[BackupManifest], number: int = 1) -> tuple[BackupManifest, ...]:
    """Return the newest backups of each cluster, at most ``number``, of manifests that come oldest first."""
    of_clusters: dict[str, list[BackupManifest]] = {}
    for manifest in manifests:
        of_clusters.setdefault(manifest.cluster_id, []).append(manifest)
    return tuple(manifest for own in of_clusters.values() for manifest in own[-number:])


def removable(
    manifests: Sequence[BackupManifest], keep: int, continued: Collection[str] = frozenset()
) -> tuple[BackupManifest, ...]:
    """Return the backups that are neither among the newest of their cluster nor continued by one that stays.

    Args:
        manifests: Oldest first.
        keep: How many of the newest of each cluster to keep, at least 1.
        continued: The ids of others to keep, with what they continue.

    Raises:
        ConfigurationError: ``keep`` is less than 1.
    """
    if keep < 1:
        raise ConfigurationError("cannot keep fewer than 1 backup", hint="Give --keep 1 or more.")
    known = {manifest.id: manifest for manifest in manifests}
    needed: set[str] = set()
    for manifest in (*newest_of_each(manifests, keep), *(each for each in manifests if each.id in continued)):
        at: BackupManifest | None = manifest
        while at is not None and at.id not in needed:
            needed.add(at.id)
            at = known.get(at.parent) if at.parent else None
    return tuple(manifest for manifest in manifests if manifest.id not in needed)
