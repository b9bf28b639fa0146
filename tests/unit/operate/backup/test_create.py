import errno
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kraftd.errors import FileAccessError, RefusedError, UnknownNameError
from kraftd.kafka.model import Gap
from kraftd.operate.backup.archive import records_before, verify
from kraftd.operate.backup.content import content_of, prune, remove_stale
from kraftd.operate.backup.create import CreateOptions, continued_backup, take_snapshot
from kraftd.operate.backup.format import DamagedBackupError
from kraftd.operate.backup.manifest import pieces_of
from kraftd.operate.backup.target import DirectoryTarget, UrlTarget, open_target
from kraftd.operate.context import NullReporter
from tests.unit.operate.backup.archives import TOPIC, FakeKafka, backed_up, commits, records

ROOT = Path(__file__).resolve().parents[4]
LATER = "2026-11-27T16:30:00.000Z"
GAPS = (0, 1, 2, 5, 9, 10, 30)


@pytest.fixture
def kafka():
    headers = {1: (("trace", b"\x00\x01"), ("trace", None))}
    return FakeKafka([records(*range(8), headers=headers), records(*GAPS), records()], groups=(commits(p0=3, p1=9),))


def test_a_backup_holds_every_topic_of_the_user_and_verifies(tmp_path, kafka):
    target, manifest = backed_up(tmp_path, kafka)

    assert [topic.name for topic in manifest.topics] == [TOPIC]
    assert [part.records for part in manifest.topics[0].partitions] == [8, 7, 0]
    assert manifest.groups == (commits(p0=3, p1=9),)
    assert content_of(target).manifests[0].records == 15
    assert verify(target, None, NullReporter()).records == 15


class Bytes(NullReporter):
    """Adds up what is reported."""

    def __init__(self):
        self.total = self.done = 0

    def transfer_begins(self, what, total_bytes):
        self.total += total_bytes

    def advance(self, count_bytes):
        self.done += count_bytes


@pytest.mark.parametrize("markers", [0, 3])
def test_the_progress_of_a_backup_ends_at_all_of_it(tmp_path, kafka, markers):
    kafka.markers = markers
    reporter = Bytes()

    backed_up(tmp_path, kafka, reporter=reporter)

    assert reporter.done == reporter.total > 0


def test_the_script_of_the_documentation_reads_a_backup(tmp_path, kafka):
    text = (ROOT / "docs" / "backup.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    _, manifest = backed_up(tmp_path, kafka)
    directory = tmp_path / "target" / manifest.id

    done = subprocess.run([sys.executable, "-c", script, directory], capture_output=True, text=True, check=True)

    assert len([line for line in script.splitlines() if line]) <= 40
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["offset"] for line in lines if line["partition"] == 0] == list(range(8))
    assert lines[1]["headers"] == [["trace", "0001"], ["trace", None]]
    expected = kafka.partitions[1]
    for line, index in zip([line for line in lines if line["partition"] == 1], range(len(GAPS)), strict=True):
        key, value = expected.keys[index], expected.values[index]
        assert (line["key"], line["value"]) == (key.hex() if key else None, value.hex() if value else None)
        assert line["timestamp_ms"] == expected.timestamps_ms[index]


def test_an_incremental_backup_holds_what_is_new_and_continues_the_one_before(tmp_path, kafka):
    target, full = backed_up(tmp_path, kafka)
    kafka.partitions[0] = records(*range(11))

    _, second = backed_up(tmp_path, kafka, parent=full, created_at=LATER)

    assert (second.parent, second.records) == (full.id, 3)
    chain = content_of(target).manifests
    assert sum(piece.file.records for piece in pieces_of(chain, TOPIC, 0)) == 11
    assert verify(target, second.id, NullReporter()).records == 18


def test_a_broken_chain_is_not_continued_and_a_scheduled_backup_is_full_then(tmp_path, kafka):
    target, full = backed_up(tmp_path, kafka)
    _, second = backed_up(tmp_path, kafka, parent=full, created_at=LATER)
    assert continued_backup(target, "C1", is_scheduled=False).id == second.id

    (tmp_path / "target" / full.id / "manifest.json").write_text("{}")

    with pytest.raises(DamagedBackupError) as raised:
        continued_backup(target, "C1", is_scheduled=False)
    assert "Without --incremental" in raised.value.hint
    assert continued_backup(target, "C1", is_scheduled=True) is None


def test_the_newest_backup_of_the_same_cluster_is_continued(tmp_path, kafka):
    target, full = backed_up(tmp_path, kafka)
    backed_up(tmp_path, FakeKafka(kafka.partitions, cluster_id="C2"), created_at=LATER)

    assert continued_backup(target, "C1", is_scheduled=False) == full
    assert continued_backup(target, "C3", is_scheduled=False) is None


def test_what_could_not_be_read_is_named_by_the_backup_and_by_those_that_continue_it(tmp_path, kafka):
    kafka.gaps = [Gap(TOPIC, 1, 3, 5, "damaged"), Gap(TOPIC, 1, 11, 30, "lost")]
    target, full = backed_up(tmp_path, kafka)
    kafka.gaps = []
    _, second = backed_up(tmp_path, kafka, parent=full, created_at=LATER)

    read = content_of(target).manifests[0]
    assert read.gaps == (
        f"{TOPIC}-1: offsets 3 to 4 could not be read: damaged",
        f"{TOPIC}-1: offsets 11 to 29 could not be read: lost",
    )
    assert [each.gaps for each in verify(target, second.id, NullReporter()).backups] == [read.gaps, ()]


def test_a_topic_that_was_made_again_is_backed_up_from_its_beginning(tmp_path, kafka):
    target, full = backed_up(tmp_path, kafka)

    again = FakeKafka([records(0, 1), records(), records()], topic_id="T2")
    _, second = backed_up(tmp_path, again, parent=full, created_at=LATER)

    assert second.records == 2
    assert [piece.backup for piece in pieces_of(content_of(target).manifests, TOPIC, 0)] == [second.id]


def test_an_interrupted_backup_leaves_nothing_and_a_killed_one_goes_with_the_next(tmp_path, kafka):
    target = DirectoryTarget(tmp_path / "target")
    kafka.fails_after = 1
    with pytest.raises(KeyboardInterrupt):
        backed_up(tmp_path, kafka, target=target)
    assert target.names() == []

    (tmp_path / "target" / "20261126T163000Z.partial").mkdir(parents=True)
    assert content_of(target).manifests == ()
    assert remove_stale(target) == ("20261126T163000Z.partial",)
    assert target.names() == []


def test_two_commands_do_not_change_a_target_at_once(tmp_path):
    target, other = DirectoryTarget(tmp_path / "target"), DirectoryTarget(tmp_path / "target")

    with target.exclusive("backup create"), pytest.raises(RefusedError) as raised, other.exclusive("backup prune"):
        pass

    assert raised.value.code == "locked"


def test_a_topic_that_does_not_exist_is_refused_with_the_nearest_name(kafka):
    with pytest.raises(UnknownNameError) as raised:
        take_snapshot(kafka, CreateOptions(topics=("order",)), None, LATER)

    assert TOPIC in raised.value.hint


def test_offsets_in_a_topic_that_is_left_out_are_left_out_too(kafka):
    kafka.found_groups = (commits(p0=3),)

    assert take_snapshot(kafka, CreateOptions(exclude=(TOPIC,)), None, LATER).groups == ()


def test_offsets_in_a_partition_that_the_topic_lacks_are_left_out(kafka):
    kafka.found_groups = (commits(p0=3, p7=9),)

    assert take_snapshot(kafka, CreateOptions(), None, LATER).groups == (commits(p0=3),)


def test_a_damaged_file_is_named_with_its_frame_and_byte(tmp_path, kafka):
    target, manifest = backed_up(tmp_path, kafka)
    file = manifest.topics[0].partitions[1].files[0]
    path = tmp_path / "target" / manifest.id / file.path
    content = path.read_bytes()
    assert file.frames == 2

    for changed in (content[:-1] + bytes([content[-1] ^ 4]), content[:-5]):
        path.write_bytes(changed)
        error = verify(target, None, NullReporter()).error
        assert isinstance(error, DamagedBackupError)
        assert error.details["path"] == str(path)
        assert error.details["frame"] == 1

    path.write_bytes(content + content[16:])
    assert isinstance(verify(target, None, NullReporter()).error, DamagedBackupError)
    path.unlink()
    assert isinstance(verify(target, None, NullReporter()).error, DamagedBackupError)


def test_an_offset_is_mapped_exactly_over_the_gaps_of_the_log(tmp_path, kafka):
    target, manifest = backed_up(tmp_path, kafka)

    found = records_before(target, pieces_of((manifest,), TOPIC, 1), range(40))

    assert found == {offset: sum(each < offset for each in GAPS) for offset in range(40)}


def test_prune_removes_the_oldest_and_what_is_unfinished(tmp_path, kafka):
    target, full = backed_up(tmp_path, kafka)
    _, second = backed_up(tmp_path, kafka, parent=full, created_at=LATER)
    _, third = backed_up(tmp_path, kafka, created_at="2026-11-28T16:30:00.000Z")

    assert prune(target, 2).removed == ()
    assert [each.id for each in prune(target, 1).removed] == [full.id, second.id]
    assert target.names() == [third.id]


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_a_url_is_a_target_like_a_directory(tmp_path, kafka, scheme):
    target = open_target(f"{scheme}://{tmp_path}/target", None)
    _, full = backed_up(tmp_path, kafka, target=target)
    _, second = backed_up(tmp_path, kafka, parent=full, created_at=LATER, target=target)

    assert [each.id for each in content_of(target).manifests] == [full.id, second.id]
    assert verify(target, second.id, NullReporter()).records == 15
    kafka.fails_after = 1
    with pytest.raises(KeyboardInterrupt):
        backed_up(tmp_path, kafka, created_at="2026-11-29T16:30:00.000Z", target=target)
    assert target.names() == [full.id, second.id]
    assert [each.id for each in prune(target, 1).kept] == [full.id, second.id]


class CountingTarget(DirectoryTarget):
    """A directory that knows the files that were opened to be written."""

    def __init__(self, path):
        super().__init__(path)
        self.written = []
        self.most_open = 0

    def open(self, path, mode):
        file = super().open(path, mode)
        if mode == "wb":
            self.written.append(file)
            self.most_open = max(self.most_open, sum(not each.closed for each in self.written))
        return file


def test_a_backup_of_many_partitions_has_few_files_open_at_any_time(tmp_path):
    target = CountingTarget(tmp_path / "target")

    backed_up(tmp_path, FakeKafka([records(0, 1, 2)] * 40), target=target)

    assert (len(target.written), target.most_open) == (40, 8)
    assert verify(target, None, NullReporter()).records == 120


class FullFile(io.BytesIO):
    """A file on a disk that is full."""

    def write(self, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullTarget(DirectoryTarget):
    """A place on a disk that is full."""

    def open(self, path, mode):
        return FullFile() if mode == "wb" else super().open(path, mode)


def test_a_full_disk_is_told_with_the_whole_path_of_the_file(tmp_path, kafka):
    with pytest.raises(FileAccessError) as raised:
        backed_up(tmp_path, kafka, target=FullTarget(tmp_path / "target"))

    assert raised.value.code == "disk_full"
    assert re.match(rf"{tmp_path}/target/[^/]+\.partial/topics/", raised.value.details["path"])


class LostFile(io.BytesIO):
    """A file of a client that raises errors of its own kind, and no OSError."""

    def write(self, content):
        raise LookupError("the connection was closed")

    def read(self, size=-1):
        raise LookupError("the connection was closed")


class LostTarget(UrlTarget):
    """An object store that is lost once a file is open."""

    def open(self, path, mode):
        super().open(path, mode).close()
        return LostFile()


def test_an_error_of_an_object_stores_own_kind_is_told_with_the_file(tmp_path, kafka):
    url = f"memory://{tmp_path}/target"
    lost = LostTarget(url)
    with pytest.raises(FileAccessError, match=r"cannot use memory:.*/topics/orders/0/.*: the connection was closed"):
        backed_up(tmp_path, kafka, target=lost)
    empty = FakeKafka([records()])
    with pytest.raises(FileAccessError, match=r"cannot write memory:.*/manifest.json: the connection was closed"):
        backed_up(tmp_path, empty, target=lost)
    assert lost.names() == []

    backed_up(tmp_path, kafka, target=UrlTarget(url))
    (unusable,) = content_of(lost).unusable
    assert "the connection was closed" in str(unusable.error)


def test_no_file_of_a_backup_is_written_over(tmp_path):
    target = DirectoryTarget(tmp_path)
    target.open("1.partial/topics/orders/0/000000.records", "wb").close()

    with pytest.raises(FileAccessError) as raised:
        target.open("1.partial/topics/orders/0/000000.records", "wb")

    assert raised.value.code == "backup_file_exists"
