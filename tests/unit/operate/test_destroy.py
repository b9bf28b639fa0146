import socket

import pytest

from kraftd.errors import NotRunningError
from kraftd.host.files import remove
from kraftd.operate.destroy import planned_removal, remove_contents
from kraftd.operate.ownership import claim, contents_of, ownership_of
from kraftd.operate.start.formatting import format_nodes
from kraftd.operate.start.preflight import make_directories
from kraftd.operate.store import Store
from tests.plans import layout_at, plan_of


@pytest.fixture
def plan(tmp_path):
    """A cluster of this kraftd."""
    plan = plan_of(state_dir=tmp_path / "s")
    claim(plan.layout, plan.names)
    make_directories(plan)
    format_nodes(plan, plan.nodes, None)
    Store(plan.layout).write_plan(plan)
    return plan


def destroyed(layout):
    contents = contents_of(layout, ownership_of(layout))
    remove_contents(layout, contents)
    return contents


def test_a_directory_without_a_cluster_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").write_text("theirs")

    with pytest.raises(NotRunningError) as caught:
        planned_removal(layout_at(tmp_path), "local")

    assert (caught.value.exit_code, caught.value.code) == (3, "never_started")


def test_nothing_is_left_of_a_cluster(plan):
    destroyed(plan.layout)

    assert list(plan.layout.state_dir.iterdir()) == []


def test_a_directory_that_goes_as_a_whole_is_listed_as_one(plan):
    layout = plan.layout
    (layout.state_dir / "logs" / "notes.txt").write_text("theirs")

    removal = planned_removal(layout, "local")

    places = [path for path, _ in removal.entries]
    assert layout.state_dir / "data" in places
    assert layout.state_dir / "logs" not in places
    assert layout.logs("broker-1") in places
    assert removal.kept == (layout.state_dir / "logs" / "notes.txt",)
    sizes = dict(removal.entries)
    assert sizes[layout.manifest] == layout.manifest.stat().st_size


def test_other_files_are_kept(plan):
    theirs = [plan.layout.state_dir / name for name in ("README.md", "data/notes.txt", "config/broker-9")]
    for path in theirs:
        path.write_text("theirs")

    destroyed(plan.layout)

    left = sorted(path for path in plan.layout.state_dir.rglob("*") if path.is_file())
    assert left == sorted(theirs)
    assert not (plan.layout.state_dir / "logs").exists()


def test_nothing_behind_a_link_is_removed(plan, tmp_path):
    layout = plan.layout
    disk, other = tmp_path / "disk", tmp_path / "other"
    (layout.state_dir / "data").rename(disk)
    (layout.state_dir / "data").symlink_to(disk)
    layout.logs("broker-1").rename(other)
    layout.logs("broker-1").symlink_to(other)
    (other / "server.log").write_text("kept")

    destroyed(layout)

    assert (disk / "broker-1" / "meta.properties").exists()
    assert (other / "server.log").read_text() == "kept"
    assert (layout.state_dir / "data").is_symlink()


def test_a_record_that_is_a_link_goes_and_its_target_stays(plan, tmp_path):
    plan.layout.plan.rename(tmp_path / "plan.json")
    plan.layout.plan.symlink_to(tmp_path / "plan.json")

    destroyed(plan.layout)

    assert not plan.layout.plan.is_symlink()
    assert (tmp_path / "plan.json").exists()


def test_a_directory_that_is_itself_a_link_stays_and_is_emptied(plan, tmp_path):
    (tmp_path / "link").symlink_to(plan.layout.state_dir)

    destroyed(layout_at(tmp_path / "link"))

    assert (tmp_path / "link").is_symlink()
    assert list(plan.layout.state_dir.iterdir()) == []


def test_a_removal_that_was_interrupted_anywhere_can_be_repeated(plan, tmp_path):
    layout = plan.layout
    (layout.state_dir / "data" / "notes.txt").write_text("theirs")
    contents = contents_of(layout, ownership_of(layout))

    for path in (*contents.own, *contents.records):
        assert planned_removal(layout, "local").kept == contents.others
        remove(path)

    assert ownership_of(layout) is None


def test_the_socket_of_a_killed_supervisord_goes_too(plan):
    plan.layout.socket.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(plan.layout.socket))

    destroyed(plan.layout)

    assert not plan.layout.socket.parent.exists()
