"""`kraftd backup restore`: the records, topics and commits of a backup in a running cluster, each record once.

A restore can be interrupted anywhere: its journal says where each partition began, and the partition's end how many
records it has, so that the next call goes on there.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

from kraftd.errors import RefusedError, UnknownNameError, unknown_name
from kraftd.host.files import read_text, write_atomically
from kraftd.host.lock import acquire_at_once
from kraftd.kafka.model import GroupState, OffsetRange, Records, TopicPartition
from kraftd.kafka.records.reading import RecordReader
from kraftd.kafka.records.sending import RecordWriter
from kraftd.operate.backup.archive import named, read_pieces, records_before
from kraftd.operate.backup.cluster import BackupCluster
from kraftd.operate.backup.content import chosen_backup
from kraftd.operate.backup.create import RecordSource, require_brokers
from kraftd.operate.backup.format import DamagedBackupError
from kraftd.operate.backup.manifest import BackupManifest, ClusterTopic, Piece, chain_of, pieces_of
from kraftd.operate.backup.restoration import (
    WHILE_RESTORING,
    Destination,
    RestorePlan,
    parse_journal,
    plan_restoration,
    restored_commits,
)
from kraftd.operate.backup.target import Target
from kraftd.operate.context import ClusterContext
from kraftd.operate.data.access import opened
from kraftd.operate.data.topic_changes import made_meanwhile

_SETTLED_S = 1.0
"""What a killed call had sent is in the log by then."""
_SETTLED_WITHIN_S = 30.0
_PARALLEL = 8


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """The options of a restore; see ``plan_restoration``.

    Attributes:
        backup: The id of a backup; None for the newest.
    """

    backup: str | None = None
    topics: tuple[str, ...] = ()
    into_existing: bool = False
    with_groups: bool = True


@dataclass(frozen=True, slots=True)
class PlannedRestore:
    """A restore that was not begun, or was interrupted.

    Attributes:
        is_resumed: Whether an earlier call began it.
        records: The number of records of the backup.
    """

    restoration: RestorePlan
    chain: tuple[BackupManifest, ...]
    is_resumed: bool
    records: int

    @property
    def gaps(self) -> tuple[str, ...]:
        """What the backup lacks, because it could not be read when it was made."""
        return tuple(gap for manifest in self.chain for gap in manifest.gaps)


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """A finished restore.

    Attributes:
        written: The records that this call wrote.
        records: The records of the backup.
    """

    restoration: RestorePlan
    is_resumed: bool
    written: int
    records: int
    took_s: float


class RecordSink(Protocol):
    """What records are written to; ``RecordWriter`` describes it."""

    def write(self, partition: TopicPartition, records: Records, size_bytes: int) -> None:
        """Write records after those that the partition has."""

    def flush(self) -> None:
        """Return when every record is acknowledged."""

    def abandon(self) -> None:
        """Drop what is not written yet."""


@dataclass(frozen=True, slots=True)
class RecordDoors:
    """How a restore reaches the records of the cluster: each call makes its own connections."""

    reader: Callable[[], RecordSource]
    writer: Callable[[], RecordSink]


@dataclass(slots=True)
class _Place:
    """A partition to write.

    Attributes:
        pieces: Its files.
        base: The offset that its first record gets.
        records: How many records the backup has of it.
        done: How many of them the cluster has already.
    """

    partition: TopicPartition
    pieces: tuple[Piece, ...]
    base: int
    records: int
    done: int = 0


def plan_restore(cluster: ClusterContext, target: Target, options: RestoreOptions) -> PlannedRestore:
    """Return what a restore would do, or what is left of one that was interrupted; nothing is changed.

    Raises:
        NeedsRunningClusterError: No broker runs.
        UnknownNameError: There is no such backup, or no such topic in it.
        RefusedError: A topic or a group of the cluster is in the way, or another restore is unfinished.
        DamagedBackupError: A manifest is damaged.
    """
    require_brokers(cluster)
    with opened(cluster) as kafka:
        return planned_restore(cluster, BackupCluster(kafka, cluster.clock), target, options)


def planned_restore(
    cluster: ClusterContext, admin: BackupCluster, target: Target, options: RestoreOptions
) -> PlannedRestore:
    """Return what plan_restore returns, over connections that are open already.

    Raises:
        KraftdError: As plan_restore.
    """
    manifest, known = chosen_backup(target, options.backup, admin.cluster_id())
    begun = _journal(cluster)
    if begun is not None:
        _refuse_another(begun, target, options, admin.cluster_id())
        manifest = known.get(begun.backup, manifest)
        if manifest.checksum != begun.checksum:
            raise UnknownNameError(
                f"cannot go on with the restore of {begun.backup}: it is not in {target.name} any more",
                hint="Bring it back, or add --abandon to forget that restore.",
            )
        begun = begun if options.with_groups else replace(begun, groups=())
    chain = chain_of(manifest, known)
    brokers = len(cluster.plan.brokers)
    restoration = begun or _new_restoration(admin, brokers, manifest, target, options)
    _refuse_unsettable(admin.existing_groups(group.group for group in restoration.groups))
    records = sum(place.records for place in _places(restoration, chain))
    return PlannedRestore(restoration, chain, begun is not None, records)


def _refuse_unsettable(groups: Collection[GroupState]) -> None:
    if share := [group.name for group in groups if group.is_share]:
        raise RefusedError(
            f"cannot restore the offsets of the groups {', '.join(share)}: here they are share groups, "
            "which commit no offsets",
            hint="Delete them with 'kraftd groups delete', or add --no-groups.",
            code="share_group",
        )
    if active := [group.name for group in groups if group.members]:
        raise RefusedError(
            f"cannot restore the offsets of the groups {', '.join(active)}: they have members now",
            hint="Stop their consumers ('kraftd stop consumer' stops kraftd's own), or add --no-groups.",
            code="groups_active",
        )


def _new_restoration(
    admin: BackupCluster, brokers: int, manifest: BackupManifest, target: Target, options: RestoreOptions
) -> RestorePlan:
    archived = [topic.name for topic in manifest.topics]
    for name in options.topics:
        if name not in archived:
            raise unknown_name(
                f"cannot restore the topic {name}: it is not in the backup {manifest.id}", name, archived
            )
    return plan_restoration(
        manifest,
        target.name,
        _destination(admin, brokers, archived),
        topics=options.topics,
        into_existing=options.into_existing,
        with_groups=options.with_groups,
    )


def _journal(cluster: ClusterContext) -> RestorePlan | None:
    text = read_text(cluster.layout.restore_journal)
    return parse_journal(text, cluster.layout.restore_journal) if text is not None else None


def _refuse_another(begun: RestorePlan, target: Target, options: RestoreOptions, cluster_id: str) -> None:
    if begun.cluster_id != cluster_id:
        raise RefusedError(
            f"cannot go on with the restore of {begun.backup}: it was begun in another cluster ({begun.cluster_id})",
            hint="Add --abandon to forget it.",
            code="restore_unfinished",
        )
    is_of_others = options.topics and {*options.topics} != {topic.name for topic in begun.topics}
    if begun.target != target.name or options.backup not in (None, begun.backup) or is_of_others:
        raise RefusedError(
            f"cannot begin a restore: that of {begun.backup} from {begun.target} is not finished",
            hint=f"'kraftd backup restore {begun.target}' finishes it; --abandon forgets it.",
            code="restore_unfinished",
        )


def _destination(admin: BackupCluster, brokers: int, archived: Collection[str]) -> Destination:
    topics = {name: topic for name, topic in admin.topics().items() if name in archived}
    places = [(topic.name, index) for topic in topics.values() for index in range(topic.partitions)]
    ranges = admin.ranges(places, committed=False)
    return Destination(admin.cluster_id(), brokers, admin.brokers(), topics, ranges)


def abandon(cluster: ClusterContext) -> RestorePlan | None:
    """Forget an interrupted restore; its topics stay as they are. Returns it, None where there is none.

    Raises:
        RefusedError: It is not interrupted, but runs.
    """
    what = f"forget the restore into {cluster.plan.cluster}"
    with acquire_at_once(cluster.layout.restore_lock, command="backup restore", what=what):
        begun = _journal(cluster)
        cluster.layout.restore_journal.unlink(missing_ok=True)
    return begun


def replanned(
    cluster: ClusterContext, admin: BackupCluster, target: Target, shown: PlannedRestore, options: RestoreOptions
) -> PlannedRestore:
    """Return a plan as it is now, where it comes to what was shown: partitions may have other ends by then.

    Between a plan and the lock under which it is carried out, another restore may have run.

    Raises:
        RefusedError: It comes to something else.
        KraftdError: As plan_restore.
    """
    backup = shown.restoration.backup
    now = planned_restore(cluster, admin, target, replace(options, backup=backup))
    if (now.is_resumed, now.restoration.without_bases()) != (shown.is_resumed, shown.restoration.without_bases()):
        raise RefusedError(
            f"cannot restore {backup}: what there is to do has changed since it was shown",
            hint="Run the command again: it shows what there is to do now.",
            code="plan_changed",
        )
    return now


def restore(cluster: ClusterContext, target: Target, shown: PlannedRestore, options: RestoreOptions) -> RestoreResult:
    """Do what was planned with these options, and shown; an interrupted call is finished by the next one.

    Raises:
        RefusedError: Another restore runs or ran, or something else writes to a topic that is being restored.
        DamagedBackupError: A file of the backup is damaged.
        KafkaAccessError: A broker does not answer, or refuses a record.
    """
    began_s = cluster.clock.monotonic_s()
    what = f"{shown.restoration.backup} from {target.name}"
    access = cluster.plan.access
    doors = RecordDoors(lambda: RecordReader(access), lambda: RecordWriter(access))
    lock, into = cluster.layout.restore_lock, f"restore into {cluster.plan.cluster}"
    with (
        acquire_at_once(lock, command="backup restore", what=into),
        cluster.operating("backup restore", what) as tracked,
        opened(cluster) as kafka,
    ):
        admin = BackupCluster(kafka, cluster.clock)
        planned = replanned(cluster, admin, target, shown, options)
        written = run_restore(tracked, admin, target, planned, doors)
    cluster.record("backup_restored", f"backup {what}", records=planned.records)
    took_s = cluster.clock.monotonic_s() - began_s
    return RestoreResult(planned.restoration, planned.is_resumed, written, planned.records, took_s)


def run_restore(
    cluster: ClusterContext, admin: BackupCluster, target: Target, planned: PlannedRestore, doors: RecordDoors
) -> int:
    """Do what is planned, with a journal of it until it is done; returns how many records were written.

    Raises:
        KraftdError: As restore.
    """
    if not planned.is_resumed:
        there = admin.topics()
        made = [each.name for each in planned.restoration.topics if each.is_created and each.name in there]
        # Before the journal: the next call would take them for its own.
        if made:
            raise made_meanwhile("restore into", made)
        write_atomically(cluster.layout.restore_journal, planned.restoration.to_json())
    written = _Restore(cluster, admin, target, planned, doors).run()
    cluster.layout.restore_journal.unlink(missing_ok=True)
    return written


class _Restore:
    """One call of a restore."""

    def __init__(
        self, cluster: ClusterContext, admin: BackupCluster, target: Target, planned: PlannedRestore, doors: RecordDoors
    ) -> None:
        self._cluster = cluster
        self._doors = doors
        self._target = target
        self._planned = planned
        self._restoration = planned.restoration
        self._admin = admin
        self._places = _places(planned.restoration, planned.chain)

    def run(self) -> int:
        """Return how many records were written."""
        self._create_topics()
        if self._planned.is_resumed:
            self._cluster.reporter.step(f"Going on with the restore of {self._restoration.backup}")
            self._find_progress()
        written = self._write()
        self._check_ends()
        self._set_configs()
        self._commit()
        return written

    def _create_topics(self) -> None:
        there = self._admin.topics()
        self._admin.create_topics(
            ClusterTopic(
                topic.name, "", len(topic.bases), topic.replication_factor, {**topic.config, **WHILE_RESTORING}
            )
            for topic in self._restoration.topics
            if topic.is_created and topic.name not in there
        )

    def _ranges(self) -> dict[TopicPartition, OffsetRange]:
        return self._admin.ranges([place.partition for place in self._places], committed=False)

    def _find_progress(self) -> None:
        """Set how many records each partition has, and see that these are the backup's."""
        ranges = self._settled_ranges()
        for place in self._places:
            place.done = ranges[place.partition].end - place.base
            if not 0 <= place.done <= place.records:
                raise _foreign(place)
        # Kafka may have deleted the last record since, by the retention of its topic.
        kept = [each for each in self._places if each.done and ranges[each.partition].begin < each.base + each.done]
        with closing(self._doors.reader()) as reader:
            found = dict(
                reader.read(
                    {each.partition: OffsetRange(each.base + each.done - 1, each.base + each.done) for each in kept}
                )
            )
        for place in kept:
            if not self._is_tail(place, found.get(place.partition)):
                raise _foreign(place)

    def _settled_ranges(self) -> dict[TopicPartition, OffsetRange]:
        """Return the ranges once their ends stay; what goes on and on is not moved by what a killed call had sent."""
        deadline_s = self._cluster.clock.monotonic_s() + _SETTLED_WITHIN_S
        ranges = self._ranges()
        while True:
            self._cluster.clock.sleep(_SETTLED_S)
            before, ranges = ranges, self._ranges()
            moved = [place for place in self._places if before[place.partition].end != ranges[place.partition].end]
            if not moved:
                return ranges
            is_late = self._cluster.clock.monotonic_s() > deadline_s
            for place in moved:
                if is_late or ranges[place.partition].end - place.base > place.records:
                    raise _foreign(place)

    def _is_tail(self, place: _Place, found: Records | None) -> bool:
        """Return whether the last record of a partition is the one that the backup has there."""
        for _, _, records in self._batches(place, place.done - 1):
            return found is not None and (found.keys[0], found.values[0]) == (records.keys[0], records.values[0])
        return False

    def _write(self) -> int:
        left = [place for place in self._places if place.done < place.records]
        writer = self._doors.writer()
        self._cluster.reporter.transfer_begins(
            "Restoring", sum(each.file.size_bytes for place in left for each in place.pieces)
        )
        waiting = iter(left)
        active = deque((place, self._batches(place, place.done)) for place in islice(waiting, _PARALLEL))
        written = 0
        try:
            while active:
                place, batches = active.popleft()
                batch = next(batches, None)
                if batch is not None:
                    passed_bytes, raw_bytes, records = batch
                    writer.write(place.partition, records, raw_bytes)
                    self._cluster.reporter.advance(passed_bytes)
                    written += len(records)
                    active.append((place, batches))
                elif (following := next(waiting, None)) is not None:
                    active.append((following, self._batches(following, following.done)))
            writer.flush()
        except BaseException:
            writer.abandon()
            raise
        finally:
            self._cluster.reporter.download_ends()
        return written

    def _batches(self, place: _Place, skipped: int) -> Iterator[tuple[int, int, Records]]:
        """Yield the records of a partition in batches, without the first ``skipped``.

        Each batch comes with the bytes of files that were read for it, which add up to the sizes of the files whatever
        is skipped, and with the bytes of its frame, decompressed.
        """
        passed = passed_bytes = 0
        for piece, frame in read_pieces(self._target, place.pieces):
            passed_bytes += frame.end - (frame.position if frame.number else 0)
            begin, passed = max(0, skipped - passed), passed + frame.header.records
            if begin >= frame.header.records:
                continue
            try:
                records = frame.records()
            except DamagedBackupError as error:
                raise named(error, f"{self._target.name}/{piece.backup}/{piece.file.path}") from error
            yield passed_bytes, frame.header.raw_bytes, records.part(begin, len(records)) if begin else records
            passed_bytes = 0

    def _check_ends(self) -> None:
        ranges = self._ranges()
        for place in self._places:
            if ranges[place.partition].end != place.base + place.records:
                raise _foreign(place)

    def _set_configs(self) -> None:
        for topic in self._restoration.topics:
            if topic.is_created:
                self._admin.set_config(topic.name, topic.config, WHILE_RESTORING)

    def _commit(self) -> None:
        commits = [each for group in self._restoration.groups for each in group.commits]
        ids = {topic.name: topic.topic_id for topic in self._admin.topics().values()}
        passed: dict[TopicPartition, Mapping[int, int]] = {}
        for place in self._places:
            asked = [each.offset for each in commits if (each.topic, each.partition) == place.partition]
            passed[place.partition] = records_before(self._target, place.pieces, asked)
        for group in self._restoration.groups:
            restored = restored_commits(group, self._restoration, passed, ids)
            if restored.commits:
                self._admin.commit(restored)


def _places(restoration: RestorePlan, chain: Sequence[BackupManifest]) -> tuple[_Place, ...]:
    found = []
    for topic in restoration.topics:
        for partition, base in enumerate(topic.bases):
            pieces = pieces_of(chain, topic.name, partition)
            found.append(_Place((topic.name, partition), pieces, base, sum(each.file.records for each in pieces)))
    return tuple(found)


def _foreign(place: _Place) -> RefusedError:
    topic, partition = place.partition
    return RefusedError(
        f"cannot go on with the restore: {topic}-{partition} holds other records than those of the backup",
        hint="Something else writes to it. Stop that, delete the topic, and forget this restore with --abandon.",
        code="foreign_records",
    )
