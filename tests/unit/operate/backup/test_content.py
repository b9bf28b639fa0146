import errno
import json
import shutil
import time

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from kraftd.errors import FileAccessError, IdentityMismatchError, UnknownNameError
from kraftd.operate.backup.archive import verify
from kraftd.operate.backup.content import (
    chosen_backup,
    content_of,
    existing_content,
    planned_prune,
    prune,
    remove_stale,
)
from kraftd.operate.backup.format import DamagedBackupError
from kraftd.operate.backup.manifest import MANIFEST
from kraftd.operate.backup.target import DirectoryTarget, UrlTarget, is_backup_id
from kraftd.operate.context import NullReporter
from tests.clocks import ManualClock
from tests.unit.operate.backup.archives import FakeKafka, backed_up, records

OLDER, NEWER = "20261120T000000Z", "20261204T000000Z"
NEWEST = "2026-11-28T16:30:00.000Z"


@pytest.fixture
def kafka():
    return FakeKafka([records(*range(8)), records(*range(4))])


def newer_format(directory, healthy):
    document = json.loads((healthy / MANIFEST).read_text()) | {"format_version": 2}
    (directory / MANIFEST).write_text(json.dumps(document))


def foreign(directory, healthy):
    (directory / MANIFEST).write_text('{"name": "webapp", "version": 3}')


def cut(directory, healthy):
    (directory / MANIFEST).write_bytes((healthy / MANIFEST).read_bytes()[:-40])


def copied(directory, healthy):
    shutil.copytree(healthy, directory, dirs_exist_ok=True)


def without_manifest(directory, healthy):
    (directory / "topics").mkdir()


def with_a_directory_for_a_manifest(directory, healthy):
    (directory / MANIFEST).mkdir()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        (OLDER, newer_format, IdentityMismatchError),
        (OLDER, cut, DamagedBackupError),
        (OLDER, copied, IdentityMismatchError),
        (OLDER, without_manifest, FileAccessError),
        (OLDER, with_a_directory_for_a_manifest, FileAccessError),
        ("webapp", foreign, DamagedBackupError),
        ("old", copied, IdentityMismatchError),
    ],
)
def test_what_is_no_usable_backup_is_in_the_way_of_no_other(tmp_path, kafka, name, content, kind):
    target, first = backed_up(tmp_path, kafka)
    _, second = backed_up(tmp_path, kafka, created_at=NEWEST)
    stray = tmp_path / "target" / name
    stray.mkdir()
    content(stray, tmp_path / "target" / first.id)

    found = content_of(target)
    assert [each.id for each in found.manifests] == [first.id, second.id]
    assert [(each.name, type(each.error)) for each in found.unusable] == [(name, kind)]
    assert str(stray) in str(found.unusable[0].error)
    verified = verify(target, None, NullReporter())
    assert [each.id for each in verified.backups] == [first.id, second.id]
    assert isinstance(verified.error, kind)
    assert verified.error.details["backups"] == [first.id, second.id]
    (told,) = verified.error.details["unusable"]
    assert told == found.unusable[0].document
    assert (told["message"], told["hint"]) == (str(verified.error), verified.error.hint)
    assert verify(target, first.id, NullReporter()).error is None
    assert chosen_backup(target, None)[0] == second
    pruned = prune(target, 1)
    assert ([each.id for each in pruned.removed], pruned.unusable) == ([first.id], (name,))
    assert target.names() == sorted([name, second.id])


def test_directories_of_others_are_neither_backups_nor_removed(tmp_path, kafka):
    target, _ = backed_up(tmp_path, kafka)
    for name in ("lost+found", "photos.partial", "webapp"):
        (tmp_path / "target" / name).mkdir()
    (tmp_path / "target" / NEWER).with_suffix(".partial").mkdir()

    assert content_of(target).unusable == ()
    assert verify(target, None, NullReporter()).error is None
    assert remove_stale(target) == (f"{NEWER}.partial",)
    assert {"lost+found", "photos.partial", "webapp"} < set(target.names())


def test_directories_of_others_beside_backups_of_an_object_store_stay(tmp_path, kafka):
    clock = ManualClock(time.time())
    target = UrlTarget(f"memory://{tmp_path}/target", clock)
    _, manifest = backed_up(tmp_path, kafka, target=target)
    for name in ("photos", NEWER):
        with target.open(f"{name}/a.jpg", "wb") as file:
            file.write(b"a")

    assert remove_stale(target) == ()
    clock.advance(25 * 3600)
    assert remove_stale(target) == (f"{NEWER}.partial",)
    assert target.names() == [manifest.id, "photos"]
    assert content_of(target).unusable == ()


def test_what_a_store_without_times_has_is_never_taken_for_abandoned(tmp_path, kafka, monkeypatch):
    # As the one of ossfs, which has numbers; others raise.
    monkeypatch.setattr(MemoryFileSystem, "modified", lambda _files, _path: 1)
    target = UrlTarget(f"memory://{tmp_path}/target")
    with target.open(f"{NEWER}/a.records", "wb") as file:
        file.write(b"a")

    assert remove_stale(target) == ()


class SharedFileError(OSError):
    """As the errors of smbprotocol: Python makes no FileNotFoundError of a class of its own."""


def test_what_is_missing_by_its_error_number_is_missing(tmp_path, monkeypatch):
    def missing(files, path, **kwargs):
        raise SharedFileError(errno.ENOENT, "no such file")

    monkeypatch.setattr(MemoryFileSystem, "info", missing)
    assert UrlTarget(f"memory://{tmp_path}/target").names() == []


@pytest.mark.parametrize("refused", ["target", MANIFEST])
def test_what_cannot_be_asked_for_is_not_taken_for_missing(tmp_path, kafka, monkeypatch, refused):
    def refusing(files, path, **kwargs):
        if path.endswith(refused):
            raise TimeoutError("no answer")
        return info(files, path, **kwargs)

    clock = ManualClock(time.time())
    target, manifest = backed_up(tmp_path, kafka, target=UrlTarget(f"memory://{tmp_path}/target", clock))
    clock.advance(25 * 3600)
    info = MemoryFileSystem.info
    with monkeypatch.context() as patched:
        patched.setattr(MemoryFileSystem, "info", refusing)
        with pytest.raises(FileAccessError, match="no answer"):
            remove_stale(target)

    assert target.names() == [manifest.id]


class MeanwhileTarget(UrlTarget):
    """An object store in which something happens before a backup gets its manifest."""

    def __init__(self, url, meanwhile):
        super().__init__(url)
        self.meanwhile = meanwhile

    def publish(self, manifest):
        self.meanwhile(self, manifest)
        super().publish(manifest)


def cut_file(target, manifest):
    with target.open(f"{manifest.id}/{manifest.all_files[0].path}", "wb") as file:
        file.write(b"cut")


@pytest.mark.parametrize("scheme", ["memory", "file"])
@pytest.mark.parametrize("meanwhile", [lambda target, manifest: target.remove(manifest.id), cut_file])
def test_a_backup_of_which_a_file_was_lost_meanwhile_is_none(tmp_path, kafka, scheme, meanwhile):
    target = MeanwhileTarget(f"{scheme}://{tmp_path}/target", meanwhile)

    with pytest.raises(FileAccessError) as raised:
        backed_up(tmp_path, kafka, target=target)

    assert raised.value.code == "backup_changed"
    assert target.names() == []


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_no_other_command_removes_a_backup_that_is_written_to_an_object_store(tmp_path, kafka, scheme):
    target = MeanwhileTarget(f"{scheme}://{tmp_path}/target", lambda target, manifest: remove_stale(target))

    _, manifest = backed_up(tmp_path, kafka, target=target)

    assert verify(target, None, NullReporter()).backups == (manifest,)


def test_no_older_backup_is_taken_for_a_newest_that_is_damaged(tmp_path, kafka):
    target, manifest = backed_up(tmp_path, kafka)
    (tmp_path / "target" / NEWER).mkdir()
    cut(tmp_path / "target" / NEWER, tmp_path / "target" / manifest.id)

    for chosen in (None, NEWER):
        with pytest.raises(DamagedBackupError, match=NEWER):
            chosen_backup(target, chosen)
    with pytest.raises(UnknownNameError):
        chosen_backup(target, "20270101T000000Z")
    assert chosen_backup(target, manifest.id)[0] == manifest


def test_prune_keeps_what_an_unusable_backup_may_continue(tmp_path, kafka):
    target, full = backed_up(tmp_path, kafka)
    _, continuing = backed_up(tmp_path, kafka, parent=full, created_at="2026-11-27T16:30:00.000Z")
    _, last = backed_up(tmp_path, kafka, created_at=NEWEST)
    place = tmp_path / "target" / continuing.id
    newer_format(place, place)

    pruned = prune(target, 1)

    assert (pruned.removed, pruned.kept) == ((), (full, last))
    assert target.names() == [full.id, continuing.id, last.id]


def test_prune_leaves_a_backup_that_became_old_after_it_was_agreed_to(tmp_path, kafka):
    target, first = backed_up(tmp_path, kafka)
    _, second = backed_up(tmp_path, kafka, created_at="2026-11-27T16:30:00.000Z")
    agreed = [each.id for each in planned_prune(target, 1).removed]
    _, last = backed_up(tmp_path, kafka, created_at=NEWEST)

    pruned = prune(target, 1, agreed)

    assert (pruned.removed, pruned.kept) == ((first,), (second, last))


def test_clusters_that_share_a_target_keep_their_backups_apart(tmp_path, kafka):
    target, first = backed_up(tmp_path, kafka)
    other = FakeKafka(kafka.partitions, cluster_id="C2")
    others = [backed_up(tmp_path, other, created_at=f"2026-11-27T16:3{at}:00.000Z")[1] for at in range(3)]

    assert chosen_backup(target, None, "C1")[0] == first
    assert chosen_backup(target, None, "C3")[0] == others[-1]
    assert planned_prune(target, 1, cluster_id="C1").removed == ()
    planned = planned_prune(target, 1)
    assert (planned.removed, planned.kept, planned.continued) == (tuple(others[:2]), (first, others[2]), 0)


def test_prune_keeps_what_an_unusable_backup_of_either_cluster_may_continue(tmp_path, kafka):
    target, first = backed_up(tmp_path, kafka)
    other = FakeKafka(kafka.partitions, cluster_id="C2")
    _, others = backed_up(tmp_path, other, created_at="2026-11-26T17:30:00.000Z")
    (tmp_path / "target" / NEWER).mkdir()
    cut(tmp_path / "target" / NEWER, tmp_path / "target" / first.id)
    for each in (kafka, other):
        backed_up(tmp_path, each, created_at="2026-12-31T16:30:00.000Z")

    planned = planned_prune(target, 1)

    assert (planned.removed, planned.continued) == ((), 2)
    assert planned.kept[:2] == (first, others)


def test_two_machines_that_choose_a_name_in_an_object_store_at_once_choose_two(tmp_path):
    machines = [UrlTarget(f"memory://{tmp_path}/target") for _ in range(2)]

    names = {machine.new_name("20261126T163000Z") for machine in machines}

    assert len(names) == 2
    assert all(is_backup_id(name) for name in names)


def test_each_backup_is_verified_and_one_that_continues_a_damaged_one_is_unusable(tmp_path, kafka):
    target, full = backed_up(tmp_path, kafka)
    _, continuing = backed_up(tmp_path, kafka, parent=full, created_at="2026-11-27T16:30:00.000Z")
    _, other = backed_up(tmp_path, kafka, created_at=NEWEST)
    (tmp_path / "target" / full.id / full.all_files[0].path).write_bytes(b"")

    verified = verify(target, None, NullReporter())

    assert verified.backups == (other,)
    assert [(each.name, each.error.code) for each in verified.unusable] == [
        (full.id, "archive_damaged"),
        (continuing.id, "chain_broken"),
    ]
    assert [each["name"] for each in verified.error.details["unusable"]] == [full.id, continuing.id]


def test_a_removal_that_is_interrupted_leaves_nothing_that_looks_like_a_backup(tmp_path, kafka):
    target, manifest = backed_up(tmp_path, kafka)
    (tmp_path / "target" / manifest.id).rename(tmp_path / "target" / f"{manifest.id}.partial")

    assert existing_content(target).manifests == ()
    assert remove_stale(DirectoryTarget(tmp_path / "target")) == (f"{manifest.id}.partial",)
