"""What a restore does, in which order, and what it refuses, with a cluster and records that the tests make up."""

import re
from dataclasses import dataclass, field

import pytest

from kraftd.errors import RefusedError, UnknownNameError
from kraftd.host.lock import acquire_at_once
from kraftd.kafka.model import CREATE_TIME, SHARE, GroupState, Member, OffsetRange, Records
from kraftd.operate.backup.manifest import ClusterTopic
from kraftd.operate.backup.restoration import WHILE_RESTORING
from kraftd.operate.backup.restore import (
    RecordDoors,
    RestoreOptions,
    abandon,
    planned_restore,
    replanned,
    run_restore,
)
from tests.unit.operate.backup.archives import TOPIC, FakeKafka, backed_up, commits, records
from tests.unit.operate.fake_cluster import FakeCluster

GAPS = (0, 1, 2, 5, 9, 10, 30)
WITH_A_MEMBER = {"readers": GroupState("readers", "Stable", "consumer", "classic", 1, (Member("m", "c", "/h", ()),))}


@dataclass
class Destination:
    """The cluster to restore into: its topics, and the keys and values of each partition.

    Attributes:
        did: What was asked of it, in order.
        breaks_after: How many more records it takes before the command is interrupted.
        others_write: What another client writes once the restore has written all.
        begins: The first offsets that retention has left.
        others_write_to: The partition to which another client writes a record each time that somebody looks.
    """

    cluster: str = "C2"
    logs: dict = field(default_factory=dict)
    configs: dict = field(default_factory=dict)
    committed: dict = field(default_factory=dict)
    groups: dict = field(default_factory=dict)
    did: list = field(default_factory=list)
    breaks_after: int | None = None
    others_write: dict = field(default_factory=dict)
    others_write_to: tuple | None = None
    begins: dict = field(default_factory=dict)
    gaps: tuple = ()

    def cluster_id(self):
        return self.cluster

    def brokers(self):
        return 2

    def topics(self):
        partitions = {name: [index for topic, index in self.logs if topic == name] for name, _ in self.logs}
        return {
            name: ClusterTopic(name, "T9", len(found), 2, self.configs.get(name, {}))
            for name, found in partitions.items()
        }

    def ranges(self, places, *, committed=True):
        assert not committed
        if self.others_write_to is not None:
            self.logs[self.others_write_to].append((b"x", b"y"))
        return {place: OffsetRange(self.begins.get(place, 0), len(self.logs[place])) for place in places}

    def existing_groups(self, names):
        return tuple(self.groups[name] for name in names if name in self.groups)

    def create_topics(self, topics):
        for topic in topics:
            self.did.append("create")
            self.configs[topic.name] = topic.config
            self.logs |= {(topic.name, index): [] for index in range(topic.partitions)}

    def set_config(self, topic, config, before):
        self.did.append("set config")
        self.configs[topic] = config
        assert set(before) == set(WHILE_RESTORING)

    def commit(self, group):
        self.did.append("commit")
        self.committed[group.group] = {each.partition: each.offset for each in group.commits}

    def write(self, partition, found, size_bytes):
        for row in zip(found.keys, found.values, strict=True):
            if self.breaks_after == 0:
                raise KeyboardInterrupt
            self.breaks_after = None if self.breaks_after is None else self.breaks_after - 1
            self.logs[partition].append(row)
        self.did.append("write")

    def flush(self):
        self.did.append("flush")
        for partition, rows in self.others_write.items():
            self.logs[partition] += rows

    def abandon(self):
        self.did.append("abandon")

    def read(self, ranges):
        for place, offsets in ranges.items():
            if offsets.begin < self.begins.get(place, 0):
                continue
            rows = self.logs[place][offsets.begin : offsets.end]
            keys, values = [key for key, _ in rows], [value for _, value in rows]
            yield (
                place,
                Records(
                    tuple(range(offsets.begin, offsets.end)),
                    [0] * len(rows),
                    [CREATE_TIME] * len(rows),
                    keys,
                    values,
                    {},
                ),
            )

    def close(self):
        self.did.append("close")


@dataclass
class Case:
    """A backup, the cluster to restore it into, and the restore."""

    tmp_path: object
    source: FakeKafka
    there: Destination

    def __post_init__(self):
        self.target, self.manifest = backed_up(self.tmp_path, self.source)
        self.context = FakeCluster(self.tmp_path).context
        self.context.layout.state_dir.mkdir(parents=True, exist_ok=True)

    def plan(self, **options):
        return planned_restore(self.context, self.there, self.target, RestoreOptions(**options))

    def run(self, **options):
        return self.run_planned(self.plan(**options))

    def run_planned(self, planned):
        doors = RecordDoors(lambda: self.there, lambda: self.there)
        return run_restore(self.context, self.there, self.target, planned, doors)

    def replan(self, shown, **options):
        return replanned(self.context, self.there, self.target, shown, RestoreOptions(**options))

    def interrupt(self, after):
        self.there.breaks_after = after
        with pytest.raises(KeyboardInterrupt):
            self.run()
        self.there.breaks_after = None
        assert self.there.did[-1] == "abandon"
        assert self.context.layout.restore_journal.exists()
        self.there.did.clear()

    def rows(self):
        return {
            (TOPIC, index): list(zip(each.keys, each.values, strict=True))
            for index, each in enumerate(self.source.partitions)
        }


@pytest.fixture
def case(tmp_path):
    source = FakeKafka([records(*range(8)), records(*GAPS), records()], groups=(commits(p0=3, p1=9),))
    return Case(tmp_path, source, Destination())


def test_records_come_between_the_topic_and_its_settings_and_offsets_come_last(case):
    assert case.run() == 15

    steps = [step for at, step in enumerate(case.there.did) if step != case.there.did[at - 1]]
    assert steps == ["create", "write", "flush", "set config", "commit"]
    assert case.there.logs == case.rows()
    assert case.there.configs[TOPIC] == {"retention.ms": "1000"}
    # Offset 9 was the fifth record of a log with gaps.
    assert case.there.committed == {"readers": {0: 3, 1: GAPS.index(9)}}
    assert not case.context.layout.restore_journal.exists()


@pytest.mark.parametrize("partitions", [7, 8, 9, 10, 25])
def test_each_of_many_partitions_is_restored(tmp_path, partitions):
    source = FakeKafka([records(*range(index + 1)) for index in range(partitions)])
    case = Case(tmp_path, source, Destination())

    assert case.run() == partitions * (partitions + 1) // 2
    assert case.there.logs == case.rows()


@pytest.mark.parametrize("after", [0, 1, 4, 7, 11, 14])
def test_a_restore_that_was_interrupted_writes_what_is_missing_and_nothing_twice(case, after):
    case.interrupt(after)
    assert case.plan().is_resumed

    assert case.run() == 15 - after

    assert case.there.logs == case.rows()
    assert "create" not in case.there.did
    assert case.there.committed == {"readers": {0: 3, 1: GAPS.index(9)}}


def test_a_restore_that_is_interrupted_again_and_again_ends_with_each_record_once(case):
    case.interrupt(2)
    case.interrupt(3)
    case.interrupt(5)

    assert case.run() == 5
    assert case.there.logs == case.rows()


def test_an_interrupted_restore_waits_until_what_it_had_sent_is_in_the_log(case):
    case.interrupt(4)
    case.run()

    assert case.context.clock.slept_s == [1.0]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda log: log.append((b"x", b"y")), id="another record after them"),
        pytest.param(lambda log: log.__setitem__(-1, (b"x", b"y")), id="another record in place of the last"),
        pytest.param(lambda log: log.extend([(b"x", b"y")] * 20), id="more records than the backup has"),
    ],
)
def test_a_restore_does_not_go_on_where_somebody_else_wrote(case, change):
    case.interrupt(4)
    change(next(log for log in case.there.logs.values() if log))

    with pytest.raises(RefusedError) as raised:
        case.run()

    assert raised.value.code == "foreign_records"
    assert case.there.committed == {}
    assert case.context.layout.restore_journal.exists()


def test_a_restore_goes_on_where_retention_has_removed_what_it_had_written(case):
    case.interrupt(4)
    written = next(place for place, log in case.there.logs.items() if log)
    case.there.begins = {written: len(case.there.logs[written])}

    assert case.run() == 15 - 4
    assert case.there.logs == case.rows()


@pytest.mark.parametrize(("count", "longest_s"), [(8, 8), (100, 31)])
def test_a_restore_does_not_wait_for_an_end_that_others_move_on_and_on(tmp_path, count, longest_s):
    case = Case(tmp_path, FakeKafka([records(*range(count))]), Destination())
    case.interrupt(4)
    case.there.others_write_to = (TOPIC, 0)

    with pytest.raises(RefusedError) as raised:
        case.run()

    assert raised.value.code == "foreign_records"
    assert sum(case.context.clock.slept_s) <= longest_s


def test_a_record_of_somebody_else_meanwhile_is_no_success(case):
    case.there.others_write = {(TOPIC, 2): [(b"x", b"y")]}

    with pytest.raises(RefusedError) as raised:
        case.run()

    assert raised.value.code == "foreign_records"
    assert {"set config", "commit"}.isdisjoint(case.there.did)


def test_a_topic_that_something_else_made_since_the_plan_is_not_written_into(case):
    planned = case.plan()
    case.there.logs[TOPIC, 0] = [(b"x", b"y")]

    with pytest.raises(RefusedError) as raised:
        case.run_planned(planned)

    assert (raised.value.code, case.there.did) == ("topic_exists", [])
    assert not case.context.layout.restore_journal.exists()


def test_records_go_after_those_of_an_existing_topic_and_offsets_with_them(case):
    case.there.logs = {(TOPIC, index): [(b"old", b"old")] * index for index in range(3)}

    with pytest.raises(RefusedError):
        case.plan()
    assert case.run(into_existing=True) == 15

    assert case.there.logs[TOPIC, 1] == [(b"old", b"old"), *case.rows()[TOPIC, 1]]
    assert case.there.committed == {"readers": {0: 3, 1: 1 + GAPS.index(9)}}
    assert {"create", "set config"}.isdisjoint(case.there.did)


def test_a_group_with_members_is_refused_before_anything_is_done(case):
    case.there.groups = WITH_A_MEMBER

    with pytest.raises(RefusedError) as raised:
        case.run()

    assert (raised.value.code, case.there.did) == ("groups_active", [])
    assert case.run(with_groups=False) == 15
    assert case.there.committed == {}


def test_a_share_group_of_the_name_is_refused_before_anything_is_done(case):
    case.there.groups = {"readers": GroupState("readers", "Empty", "share", SHARE, 1, ())}

    with pytest.raises(RefusedError) as raised:
        case.run()

    assert (raised.value.code, case.there.did) == ("share_group", [])
    assert case.run(with_groups=False) == 15


def test_a_group_that_committed_in_no_partition_of_the_backup_gets_no_offsets(case):
    journal = case.context.layout.restore_journal
    case.interrupt(4)
    journal.write_text(re.sub(r'("partition": )[01]', r"\g<1>7", journal.read_text()))

    assert case.run() == 15 - 4
    assert "commit" not in case.there.did


def test_a_restore_goes_on_without_the_offsets_of_groups_that_have_members(case):
    case.interrupt(4)
    case.there.groups = WITH_A_MEMBER

    with pytest.raises(RefusedError) as raised:
        case.run()

    assert "--no-groups" in raised.value.hint
    assert case.run(with_groups=False) == 15 - 4
    assert case.there.committed == {}


def test_a_restore_goes_on_with_the_topics_with_which_it_began(tmp_path):
    case = Case(tmp_path, FakeKafka([records(*range(8))]), Destination())
    case.interrupt(4)
    journal = case.context.layout.restore_journal
    journal.write_text(journal.read_text().replace(f'"name": "{TOPIC}"', '"name": "others"'))

    with pytest.raises(RefusedError) as raised:
        case.plan(topics=(TOPIC,))

    assert raised.value.code == "restore_unfinished"
    assert case.plan(topics=("others",)).is_resumed


def test_an_unfinished_restore_refuses_another_one_until_it_is_abandoned(case):
    case.interrupt(4)
    _, second = backed_up(case.tmp_path, case.source, created_at="2026-11-27T16:30:00.000Z", target=case.target)

    with pytest.raises(RefusedError) as raised:
        case.plan(backup=second.id)
    assert raised.value.code == "restore_unfinished"
    assert case.plan().restoration.backup == case.manifest.id
    case.there.cluster = "C3"
    with pytest.raises(RefusedError):
        case.plan()

    assert abandon(case.context).backup == case.manifest.id
    assert abandon(case.context) is None


@pytest.mark.parametrize("after", [None, 4])
def test_what_another_restore_did_while_a_plan_was_shown_is_not_done_again(case, after):
    if after is not None:
        case.interrupt(after)
    shown = case.plan()
    case.run()

    with pytest.raises(RefusedError) as raised:
        case.replan(shown)
    assert raised.value.code == "topic_not_empty"
    with pytest.raises(RefusedError) as raised:
        case.replan(shown, into_existing=True)
    assert raised.value.code == "plan_changed"
    assert case.there.logs == case.rows()


def test_a_plan_that_another_restore_began_while_it_was_shown_is_refused(case):
    shown = case.plan()
    case.interrupt(4)

    with pytest.raises(RefusedError) as raised:
        case.replan(shown)

    assert raised.value.code == "plan_changed"


def test_records_go_after_those_that_others_wrote_while_the_plan_was_shown(case):
    case.there.logs = {(TOPIC, index): [] for index in range(3)}
    shown = case.plan(into_existing=True)
    case.there.logs[TOPIC, 1].append((b"x", b"y"))
    backed_up(case.tmp_path, case.source, created_at="2026-11-27T16:30:00.000Z", target=case.target)

    planned = case.replan(shown, into_existing=True)

    assert planned.restoration.backup == case.manifest.id
    assert [topic.bases for topic in planned.restoration.topics] == [(0, 1, 0)]


def test_a_restore_that_runs_is_not_abandoned(case):
    case.interrupt(4)

    lock = case.context.layout.restore_lock
    with acquire_at_once(lock, command="backup restore", what="restore"), pytest.raises(RefusedError):
        abandon(case.context)

    assert abandon(case.context).backup == case.manifest.id


def test_a_restore_whose_backup_is_gone_does_not_go_on_with_another(case):
    case.interrupt(4)
    backed_up(case.tmp_path, case.source, created_at="2026-11-27T16:30:00.000Z", target=case.target)
    case.target.remove(case.manifest.id)

    with pytest.raises(UnknownNameError) as raised:
        case.plan()

    assert "--abandon" in raised.value.hint


def test_a_topic_that_is_not_in_the_backup_is_refused_with_the_nearest_one(case):
    with pytest.raises(UnknownNameError) as raised:
        case.plan(topics=("order",))

    assert TOPIC in raised.value.hint
