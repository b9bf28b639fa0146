"""`kraftd backup create`: the records, topics and commits of a running cluster, while it is in use."""

import contextlib
import hashlib
import re
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Protocol

import kraftd
from kraftd.errors import NeedsRunningClusterError, unknown_name
from kraftd.kafka.model import Gap, OffsetRange, Records, TopicPartition
from kraftd.kafka.records.gaps import REPAIR
from kraftd.kafka.records.reading import RecordReader, UnreadableRecordsError
from kraftd.operate.backup.cluster import BackupCluster
from kraftd.operate.backup.content import content_of, new_backup, published, remove_stale
from kraftd.operate.backup.format import FILE_MAGIC, DamagedBackupError, encoded_frame
from kraftd.operate.backup.manifest import (
    LOGICAL,
    BackupFile,
    BackupGap,
    BackupManifest,
    BackupPartition,
    BackupTopic,
    ClusterTopic,
    GroupCommits,
    chain_of,
    continued_from,
)
from kraftd.operate.backup.target import PARTIAL, Target, refuse_inside, target_errors
from kraftd.operate.context import ClusterContext, Reporter
from kraftd.operate.data.access import opened
from kraftd.units import plural, timestamp

_FILE_BYTES = 256 * 1024 * 1024
"""A record file ends after the frame that reaches this size."""
_MOST_OPEN_FILES = 8
"""More than the partitions that are read at the same time; each takes a descriptor, or a buffer of an object store."""
_COMPRESSORS = 2
_FRAMES_AT_ONCE = 4
_INTERNAL = re.compile(r"__.*")
"""Topics of Kafka (offsets, transactions) and of kraftd (the canary): each cluster has its own."""


class RecordSource(Protocol):
    """What records come from; ``RecordReader`` describes it."""

    @property
    def gaps(self) -> Sequence[Gap]:
        """What could not be read so far."""

    def read(self, ranges: Mapping[TopicPartition, OffsetRange]) -> Iterator[tuple[TopicPartition, Records]]:
        """Yield the records of each range in batches."""

    def close(self) -> None:
        """End the connections."""


@dataclass(frozen=True, slots=True)
class CreateOptions:
    """The options of a backup.

    Attributes:
        topics: Only these; all but the internal ones where none is named.
        exclude: Not these.
        is_incremental: Whether to continue the newest backup of this cluster in the target.
        is_scheduled: Whether the daemon makes it on schedule, with nobody there to ask.
        skips_damaged: Whether what is damaged in the cluster is left out, and named, where a backup fails otherwise.
    """

    topics: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    is_incremental: bool = False
    is_scheduled: bool = False
    skips_damaged: bool = False


@dataclass(frozen=True, slots=True)
class CreateResult:
    """A finished backup.

    Attributes:
        removed: What interrupted calls had left.
        left_out: The share groups of the cluster, which have no offsets that a backup could hold.
    """

    manifest: BackupManifest
    target: str
    removed: tuple[str, ...]
    took_s: float
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PartitionPlan:
    """A partition to read.

    Attributes:
        continues: Whether what is before it is in the backup that is continued.
    """

    topic: str
    partition: int
    offsets: OffsetRange
    continues: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the cluster has at one moment, and what of it is to be read.

    Attributes:
        share_groups: The groups that have no offsets which a backup could hold.
    """

    topics: tuple[ClusterTopic, ...]
    partitions: tuple[PartitionPlan, ...]
    groups: tuple[GroupCommits, ...]
    share_groups: tuple[str, ...]
    parent: BackupManifest | None
    cluster_id: str
    created_at: str


def require_brokers(cluster: ClusterContext) -> None:
    """Refuse to work without brokers.

    Raises:
        NeedsRunningClusterError: No broker runs.
    """
    processes = cluster.find_processes().processes
    if not any(broker.name in processes for broker in cluster.plan.brokers):
        raise NeedsRunningClusterError(
            f"cannot reach the brokers of {cluster.plan.cluster}: none of them runs",
            hint="'kraftd start' starts them. A stopped cluster is copied by 'kraftd backup create --cold' alone.",
        )


def create(cluster: ClusterContext, target: Target, options: CreateOptions) -> CreateResult:
    """Back up what the cluster has now, up to the last stable offsets of this moment.

    An interrupted backup leaves nothing that looks like one; what a killed one left is removed by the next.

    Raises:
        ConfigurationError: The target is in the cluster's own state directory.
        NeedsRunningClusterError: No broker runs.
        UnknownNameError: A named topic does not exist.
        RefusedError: Another command works on the target.
        KafkaAccessError: A broker does not answer, or a record cannot be read.
        UnreadableRecordsError: A partition's log is damaged.
        FileAccessError: The target takes no more.
    """
    refuse_inside(target, cluster.layout.state_dir)
    require_brokers(cluster)
    began_s = cluster.clock.monotonic_s()
    name = "scheduled backup" if options.is_scheduled else "backup create"
    with target.exclusive("backup create"), cluster.operating(name, f"to {target.name}") as tracked:
        removed = remove_stale(target)
        with opened(cluster) as kafka:
            admin = BackupCluster(kafka, cluster.clock)
            parent = None
            if options.is_incremental:
                parent = continued_backup(target, admin.cluster_id(), is_scheduled=options.is_scheduled)
            snapshot = take_snapshot(admin, options, parent, timestamp(cluster.clock.now_s()))
        reader = RecordReader(cluster.plan.access, may_pass_damage=options.skips_damaged)
        try:
            manifest = write_backup(snapshot, tracked, reader, target)
        except UnreadableRecordsError as error:
            error.hint = f"{REPAIR} --skip-damaged leaves out what is damaged, and names it in the backup."
            raise
        finally:
            reader.close()
    lacking = f", which lacks {plural(len(manifest.gaps), 'damaged part')}" if manifest.gaps else ""
    cluster.record("backup_created", f"backup {manifest.id} in {target.name}{lacking}", records=manifest.records)
    return CreateResult(
        manifest, target.name, removed, cluster.clock.monotonic_s() - began_s, left_out=snapshot.share_groups
    )


def continued_backup(target: Target, cluster_id: str, *, is_scheduled: bool) -> BackupManifest | None:
    """Return the newest backup of a cluster's records, for an incremental one; None where there is none.

    Where its chain is broken, None as well for a scheduled backup: that is a full one then, as nobody is there to ask.

    Raises:
        DamagedBackupError: Its chain is broken.
    """
    manifests = [each for each in content_of(target).manifests if (each.kind, each.cluster_id) == (LOGICAL, cluster_id)]
    if not manifests:
        return None
    try:
        chain_of(manifests[-1], {each.id: each for each in manifests})
    except DamagedBackupError as error:
        if is_scheduled:
            return None
        error.hint = "Without --incremental, 'kraftd backup create' makes a full backup, which continues no other."
        raise
    return manifests[-1]


def take_snapshot(
    admin: BackupCluster, options: CreateOptions, parent: BackupManifest | None, created_at: str
) -> Snapshot:
    """Return what is to be backed up: commits first, so that they are not after the ends of the partitions.

    Raises:
        UnknownNameError: A named topic does not exist.
        KafkaAccessError: A broker does not answer.
    """
    groups = admin.groups()
    found = admin.topics()
    for name in (*options.topics, *options.exclude):
        if name not in found:
            raise unknown_name(f"cannot back up the topic {name}: it does not exist", name, list(found))
    asked = options.topics or [name for name in found if not _INTERNAL.fullmatch(name)]
    topics = tuple(found[name] for name in sorted({*asked} - {*options.exclude}))
    ranges = admin.ranges([(topic.name, index) for topic in topics for index in range(topic.partitions)])
    partitions = []
    for topic in topics:
        for index in range(topic.partitions):
            offsets = ranges[topic.name, index]
            known = continued_from(parent, topic.name, topic.topic_id, index, offsets.end)
            if known is not None:
                offsets = OffsetRange(max(known, offsets.begin), offsets.end)
            partitions.append(PartitionPlan(topic.name, index, offsets, known is not None))
    kept = tuple(
        replace(group, commits=tuple(each for each in group.commits if (each.topic, each.partition) in ranges))
        for group in groups.committed
    )
    committed = tuple(group for group in kept if group.commits)
    return Snapshot(topics, tuple(partitions), committed, groups.share, parent, admin.cluster_id(), created_at)


def write_backup(snapshot: Snapshot, cluster: ClusterContext, source: RecordSource, target: Target) -> BackupManifest:
    """Write a backup, its manifest last; where that fails, nothing of it is left.

    Raises:
        KafkaAccessError: A record cannot be read.
        FileAccessError: The target takes no more.
    """
    with new_backup(target, snapshot.created_at) as chosen:
        files = _write_records(snapshot, source, target, chosen + PARTIAL, cluster.reporter)
        return published(
            target,
            BackupManifest(
                id=chosen,
                kind=LOGICAL,
                created_at=snapshot.created_at,
                finished_at=timestamp(cluster.clock.now_s()),
                kraftd_version=kraftd.__version__,
                kafka_version=cluster.plan.kafka_version,
                cluster=cluster.plan.cluster,
                cluster_id=snapshot.cluster_id,
                parent=snapshot.parent.id if snapshot.parent else None,
                parent_checksum=snapshot.parent.checksum if snapshot.parent else None,
                topics=_archived_topics(snapshot, files, source.gaps),
                groups=snapshot.groups,
            ),
        )


def _archived_topics(
    snapshot: Snapshot, files: Mapping[TopicPartition, Sequence[BackupFile]], gaps: Sequence[Gap]
) -> tuple[BackupTopic, ...]:
    gaps_of: dict[TopicPartition, list[BackupGap]] = defaultdict(list)
    for gap in gaps:
        gaps_of[gap.topic, gap.partition].append(BackupGap(gap.begin, gap.end, gap.reason))
    partitions_of: dict[str, list[BackupPartition]] = defaultdict(list)
    for part in snapshot.partitions:
        place = (part.topic, part.partition)
        found = tuple(files.get(place, ())), tuple(gaps_of.get(place, ()))
        partitions_of[part.topic].append(
            BackupPartition(part.partition, part.offsets.begin, part.offsets.end, part.continues, *found)
        )
    return tuple(
        BackupTopic(
            topic.name, topic.topic_id, topic.replication_factor, topic.config, tuple(partitions_of[topic.name])
        )
        for topic in snapshot.topics
    )


def _write_records(
    snapshot: Snapshot, source: RecordSource, target: Target, directory: str, reporter: Reporter
) -> dict[TopicPartition, list[BackupFile]]:
    ranges = {(part.topic, part.partition): part.offsets for part in snapshot.partitions}
    files = _RecordFiles(target, directory)
    progress = _Progress(ranges, reporter)
    waiting: deque[tuple[TopicPartition, Records, Future[bytes]]] = deque()

    def write_oldest() -> None:
        place, records, future = waiting.popleft()
        files.write(place, future.result(), len(records))
        progress.advance(place, records)

    try:
        with ThreadPoolExecutor(_COMPRESSORS, thread_name_prefix="compress") as pool:
            for place, records in source.read(ranges):
                waiting.append((place, records, pool.submit(encoded_frame, records)))
                while len(waiting) > _FRAMES_AT_ONCE or (waiting and waiting[0][2].done()):
                    write_oldest()
            while waiting:
                write_oldest()
        progress.complete()
    finally:
        files.close()
        progress.end()
    return files.closed


@dataclass(slots=True)
class _OpenFile:
    path: str
    file: BinaryIO
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    size_bytes: int = 0
    frames: int = 0
    records: int = 0

    def write(self, content: bytes) -> None:
        self.file.write(content)
        self.digest.update(content)
        self.size_bytes += len(content)


class _RecordFiles:
    """The files of the partitions; those that were written last are open."""

    def __init__(self, target: Target, directory: str) -> None:
        self._target = target
        self._directory = directory
        self._open: dict[TopicPartition, _OpenFile] = {}
        self.closed: dict[TopicPartition, list[BackupFile]] = {}

    def write(self, place: TopicPartition, frame: bytes, records: int) -> None:
        # At the end of the dictionary are those that were written last.
        file = self._open[place] = self._open.pop(place) if place in self._open else self._begin(place)
        with self._errors_named(file.path):
            file.write(frame)
        file.frames += 1
        file.records += records
        if file.size_bytes >= _FILE_BYTES:
            self._end(place)

    def close(self) -> None:
        for place in list(self._open):
            self._end(place)

    def _begin(self, place: TopicPartition) -> _OpenFile:
        if len(self._open) >= _MOST_OPEN_FILES:
            self._end(next(iter(self._open)))
        number = len(self.closed.setdefault(place, []))
        path = f"topics/{place[0]}/{place[1]}/{number:06d}.records"
        file = _OpenFile(path, self._target.open(f"{self._directory}/{path}", "wb"))
        with self._errors_named(path):
            file.write(FILE_MAGIC)
        return file

    def _errors_named(self, path: str) -> contextlib.AbstractContextManager[None]:
        return target_errors(self._target, f"{self._directory}/{path}")

    def _end(self, place: TopicPartition) -> None:
        file = self._open.pop(place)
        with self._errors_named(file.path):
            file.file.close()
        done = BackupFile(file.path, file.size_bytes, file.digest.hexdigest(), file.frames, file.records)
        self.closed[place].append(done)


class _Progress:
    """Progress in bytes of records, whose total is estimated from those that were read."""

    def __init__(self, ranges: Mapping[TopicPartition, OffsetRange], reporter: Reporter) -> None:
        self._at = {place: offsets.begin for place, offsets in ranges.items()}
        self._offsets = sum(offsets.end - offsets.begin for offsets in ranges.values())
        self._reporter = reporter
        self._bytes_per_offset = 0.0
        self._passed = 0
        self._done_bytes = 0

    def advance(self, place: TopicPartition, records: Records) -> None:
        reached = records.offsets[-1] + 1
        if not self._bytes_per_offset:
            self._bytes_per_offset = max(1.0, records.size_bytes / len(records))
            self._reporter.transfer_begins("Backing up", round(self._bytes_per_offset * self._offsets))
        self._pass(reached - self._at[place])
        self._at[place] = reached

    def complete(self) -> None:
        """Count what no record has, as the markers of transactions at the end of a partition."""
        if self._bytes_per_offset:
            self._pass(self._offsets - self._passed)

    def end(self) -> None:
        if self._bytes_per_offset:
            self._reporter.download_ends()

    def _pass(self, offsets: int) -> None:
        self._passed += offsets
        done_bytes = round(self._bytes_per_offset * self._passed)
        self._reporter.advance(done_bytes - self._done_bytes)
        self._done_bytes = done_bytes
