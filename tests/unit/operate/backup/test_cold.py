import errno
import io
import os
from dataclasses import replace

import pytest

from kraftd.errors import ConfigurationError, FileAccessError, NotRunningError, RefusedError
from kraftd.observe.operations import OperationWatch
from kraftd.operate.backup.archive import verify
from kraftd.operate.backup.cold import create_cold, restore_cold
from kraftd.operate.backup.format import DamagedBackupError
from kraftd.operate.backup.target import DirectoryTarget
from kraftd.operate.context import NullReporter
from kraftd.plan.manifest import manifest_of
from tests.plans import layout_at
from tests.unit.operate.fake_cluster import FakeCluster

CLUSTER_ID = "JV5-AfvwFd-VNcmLEXcz6A"


@pytest.fixture
def stopped(tmp_path):
    """A cluster that was formatted, and has a segment."""
    fake = FakeCluster(tmp_path)
    fake.store.write_manifest(manifest_of(fake.plan, CLUSTER_ID))
    segment = fake.plan.layout.data("broker-1") / "orders-0" / "00000000000000000000.log"
    segment.parent.mkdir(parents=True)
    segment.write_bytes(os.urandom(100_000))
    os.utime(segment, (1_600_000_000, 1_600_000_000))
    fake.plan.layout.logs("broker-1").mkdir(parents=True)
    layout = fake.plan.layout
    for path in (layout.overrides, layout.restore_journal, layout.scale_journal, layout.created_topics):
        path.write_text(f'{{"schema_version": 1, "of": "{path.name}"}}')
    return fake


def files_below(directory):
    """Return the content and the times of the files; events are those of one directory, not of the cluster."""
    return {
        str(path.relative_to(directory)): (path.read_bytes(), path.stat().st_mtime)
        for path in directory.rglob("*")
        if path.is_file() and path.name != "lock" and path.parent.name != "events"
    }


def operations(layout, clock):
    return [(each.operation, each.state, each.outcome) for each in OperationWatch(layout, clock).look()]


def test_a_stopped_cluster_is_copied_and_restored_byte_for_byte(stopped, tmp_path):
    target = DirectoryTarget(tmp_path / "target")
    manifest = create_cold(stopped.context, target).manifest

    place = restore_cold(layout_at(tmp_path / "new"), target, manifest, stopped.context.command_context)

    assert (manifest.kind, manifest.cluster_id) == ("cold", CLUSTER_ID)
    assert verify(target, None, NullReporter()).files == 1
    assert files_below(place) == files_below(stopped.plan.layout.state_dir)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_copy_and_its_restore_are_operations_that_others_see(stopped, tmp_path):
    class Looking(NullReporter):
        def advance(self, count_bytes):
            seen.append(operations(stopped.plan.layout, stopped.clock))

    seen, context = [], replace(stopped.context.command_context, reporter=Looking())
    target, new = DirectoryTarget(tmp_path / "target"), layout_at(tmp_path / "new")
    manifest = create_cold(replace(stopped.context, command_context=context), target).manifest
    restore_cold(new, target, manifest, stopped.context.command_context)

    assert ("backup create", "running", None) in seen[0]
    assert ("backup create", "done", "succeeded") in operations(stopped.plan.layout, stopped.clock)
    assert ("backup restore", "done", "succeeded") in operations(new, stopped.clock)


def test_one_restore_writes_into_a_directory_and_begins_anew_after_a_killed_one(stopped, tmp_path):
    class Restoring(NullReporter):
        def advance(self, count_bytes):
            with pytest.raises(RefusedError) as raised:
                restore_cold(new, target, manifest, stopped.context.command_context)
            codes.append(raised.value.code)

    codes = []
    context = replace(stopped.context.command_context, reporter=Restoring())
    target, new = DirectoryTarget(tmp_path / "target"), layout_at(tmp_path / "new")
    manifest = create_cold(stopped.context, target).manifest
    killed = tmp_path / ".new.restore" / "data"
    killed.mkdir(parents=True)
    (killed / "rest").write_text("of a killed one")

    place = restore_cold(new, target, manifest, context)

    assert set(codes) == {"locked"}
    assert files_below(place) == files_below(stopped.plan.layout.state_dir)


def test_a_file_that_cannot_be_read_is_named_and_not_the_target(stopped, tmp_path):
    class Removing(NullReporter):
        def transfer_begins(self, what, size_bytes):
            segment.unlink()

    (segment,) = stopped.plan.layout.data("broker-1").rglob("*.log")
    context = replace(stopped.context.command_context, reporter=Removing())

    with pytest.raises(FileAccessError, match="cannot read") as raised:
        create_cold(replace(stopped.context, command_context=context), DirectoryTarget(tmp_path / "target"))

    assert raised.value.details["path"] == str(segment)


def test_a_cluster_that_runs_is_not_copied(stopped, tmp_path):
    stopped.runs("broker-1")
    target = DirectoryTarget(tmp_path / "target")

    with pytest.raises(RefusedError) as raised:
        create_cold(stopped.context, target)

    assert raised.value.code == "running"
    assert target.names() == []


@pytest.mark.parametrize("place", [".", "data", "backups/new"])
def test_a_target_in_the_state_directory_is_refused(stopped, place):
    target = DirectoryTarget(stopped.plan.layout.state_dir / place)

    with pytest.raises(ConfigurationError) as raised:
        create_cold(stopped.context, target)

    assert raised.value.code == "unusable_target"


def test_what_was_never_formatted_cannot_be_copied(tmp_path):
    with pytest.raises(NotRunningError):
        create_cold(FakeCluster(tmp_path).context, DirectoryTarget(tmp_path / "target"))


def test_a_copy_goes_into_an_empty_directory_only(stopped, tmp_path):
    target = DirectoryTarget(tmp_path / "target")
    manifest = create_cold(stopped.context, target).manifest

    with pytest.raises(RefusedError) as raised:
        restore_cold(stopped.plan.layout, target, manifest, stopped.context.command_context)

    assert raised.value.code == "not_empty"


@pytest.mark.parametrize("place", [0.0, 0.5, 0.999])
def test_a_damaged_copy_is_refused_and_leaves_nothing(stopped, tmp_path, place):
    target = DirectoryTarget(tmp_path / "target")
    manifest = create_cold(stopped.context, target).manifest
    archive = tmp_path / "target" / manifest.id / manifest.files[0].path
    content = bytearray(archive.read_bytes())
    content[int(place * len(content))] ^= 8
    archive.write_bytes(content)

    with pytest.raises(DamagedBackupError):
        restore_cold(layout_at(tmp_path / "new"), target, manifest, stopped.context.command_context)

    assert not (tmp_path / "new").exists()
    assert isinstance(verify(target, None, NullReporter()).error, DamagedBackupError)


class FailingFile(io.BytesIO):
    """A file on a disk that fails."""

    def read(self, size=-1):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


class FailingTarget(DirectoryTarget):
    """A place whose files can be opened, and not read."""

    def open(self, path, mode):
        return FailingFile() if path.endswith(".tar.zst") and mode == "rb" else super().open(path, mode)


def test_a_copy_that_cannot_be_read_is_named_and_not_what_it_is_restored_into(stopped, tmp_path):
    failing = FailingTarget(tmp_path / "target")
    manifest = create_cold(stopped.context, failing).manifest

    with pytest.raises(FileAccessError) as raised:
        restore_cold(layout_at(tmp_path / "new"), failing, manifest, stopped.context.command_context)

    assert raised.value.details["path"] == f"{tmp_path}/target/{manifest.id}/state.tar.zst"
