"""Backups without a cluster: records that a test makes up, written by the code that writes real ones."""

from dataclasses import replace

from kraftd.kafka.model import CREATE_TIME, OffsetRange, Records
from kraftd.operate.backup.cluster import ClusterGroups
from kraftd.operate.backup.create import CreateOptions, take_snapshot, write_backup
from kraftd.operate.backup.manifest import ClusterTopic, Commit, GroupCommits
from kraftd.operate.backup.target import DirectoryTarget
from tests.unit.operate.fake_cluster import FakeCluster

TOPIC = "orders"


def records(*offsets, headers=None):
    """Return records with these offsets, each with a key, a value and a time of its own."""
    return Records(
        offsets,
        [1_700_000_000_000 + offset for offset in offsets],
        [CREATE_TIME] * len(offsets),
        [b"k%d" % offset if offset % 3 else None for offset in offsets],
        [b"value %d \x00\xff" % offset if offset % 5 else None for offset in offsets],
        headers or {},
    )


class FakeKafka:
    """A cluster's topics and records, by partition; also where records come from."""

    def __init__(self, partitions, *, topic_id="T1", groups=(), cluster_id="C1"):
        self.partitions = partitions
        self.id = cluster_id
        self.topic_id = topic_id
        self.found_groups = groups
        self.fails_after = None
        self.markers = 0
        self.gaps = []

    def cluster_id(self):
        return self.id

    def topics(self):
        topic = ClusterTopic(TOPIC, self.topic_id, len(self.partitions), 2, {"retention.ms": "1000"})
        return {TOPIC: topic, "__consumer_offsets": replace(topic, name="__consumer_offsets")}

    def ranges(self, places, *, committed=True):
        ends = {index: each.offsets[-1] + 1 + self.markers if each else 0 for index, each in enumerate(self.partitions)}
        return {(topic, index): OffsetRange(0, ends[index]) for topic, index in places}

    def groups(self):
        return ClusterGroups(self.found_groups, share=())

    def read(self, ranges):
        for count, (place, offsets) in enumerate(ranges.items()):
            if self.fails_after == count:
                raise KeyboardInterrupt
            found = self.partitions[place[1]]
            kept = [at for at, offset in enumerate(found.offsets) if offsets.begin <= offset < offsets.end]
            half = len(kept) // 2
            for part in (kept[:half], kept[half:]):
                if part:
                    yield place, found.part(part[0], part[-1] + 1)

    def close(self):
        pass


def commits(**offsets):
    """Return a group's commits by partition, as p0=3."""
    return GroupCommits("readers", tuple(Commit(TOPIC, int(name[1:]), at) for name, at in offsets.items()))


def backed_up(tmp_path, kafka, *, parent=None, created_at="2026-11-26T16:30:00.000Z", target=None, reporter=None):
    """Write a backup, and return the target and the manifest."""
    place = target or DirectoryTarget(tmp_path / "target")
    snapshot = take_snapshot(kafka, CreateOptions(), parent, created_at)
    cluster = FakeCluster(tmp_path).context
    if reporter is not None:
        cluster = replace(cluster, command_context=replace(cluster.command_context, reporter=reporter))
    return place, write_backup(snapshot, cluster, kafka, place)
