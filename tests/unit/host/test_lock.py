import json
import os
import stat
from pathlib import Path

import pytest

from kraftd.errors import FileAccessError, RefusedError, TimedOutError
from kraftd.host.lock import acquire, acquire_at_once, holder_now, try_acquire
from tests.clocks import ManualClock


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "lock"


def take(path, *, timeout_s=1.0, on_wait=None, clock=None):
    # flock holds between open files, so that one process can contend with itself.
    return acquire(path, command="start", clock=clock or ManualClock(), timeout_s=timeout_s, on_wait=on_wait)


def test_the_file_says_who_holds_the_lock_and_is_private(path):
    with take(path):
        assert json.loads(path.read_text()) == {"pid": os.getpid(), "command": "start"}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_holder_is_told_who_holds_it_and_gives_up_in_time(path):
    told = []
    clock = ManualClock()

    with (
        take(path),
        pytest.raises(TimedOutError, match=r"within 2 s: 'kraftd start' \(pid \d+\) holds it") as caught,
        take(path, timeout_s=2.0, on_wait=told.append, clock=clock),
    ):
        pass

    assert caught.value.code == "locked"
    assert told == [f"'kraftd start' (pid {os.getpid()})"]
    assert sum(clock.slept_s) == pytest.approx(2.0, abs=0.1)


def test_the_lock_is_free_again_afterwards_even_after_an_error(path):
    path.parent.mkdir()
    (path.parent / "other").touch()
    with pytest.raises(KeyError), take(path):
        raise KeyError

    with take(path, timeout_s=0.0):
        pass


def test_a_holder_that_left_no_name_is_another_command(path):
    with take(path):
        path.write_text("{")

        with pytest.raises(TimedOutError, match="another kraftd command holds it"), take(path, timeout_s=0.0):
            pass


def test_what_is_refused_leaves_no_trace(path):
    with pytest.raises(KeyError), take(path):
        raise KeyError

    assert not path.parent.exists()


def test_the_file_stays_where_something_came_beside_it(path):
    with take(path):
        (path.parent / "manifest.json").touch()

    assert path.exists()


def test_a_lock_file_that_was_there_before_stays(path):
    path.parent.mkdir()
    path.touch()

    with take(path):
        pass

    assert path.exists()


def test_a_lock_that_is_asked_for_without_waiting_says_whether_it_is_held(path):
    with try_acquire(path, command="heal") as first, try_acquire(path, command="heal") as second:
        assert (first, second) == (True, False)

    with try_acquire(path, command="heal") as third:
        assert third


def test_a_lock_that_is_held_refuses_who_does_not_wait_and_names_the_holder(path):
    def hold():
        return acquire_at_once(path, command="restore", what="restore into local")

    with hold(), pytest.raises(RefusedError) as refused, hold():
        pass
    with hold():
        pass

    assert str(refused.value) == f"cannot restore into local: 'kraftd restore' (pid {os.getpid()}) does so now"
    assert refused.value.code == "locked"


def test_a_lock_that_nothing_came_of_leaves_no_file_beside_others(path):
    path.parent.mkdir()
    (path.parent / "theirs").touch()
    with take(path):
        pass

    assert [entry.name for entry in path.parent.iterdir()] == ["theirs"]


def test_a_lock_is_never_a_link_to_another_file(path, tmp_path):
    path.parent.mkdir()
    (tmp_path / "theirs").write_text("theirs")
    path.symlink_to(tmp_path / "theirs")

    with pytest.raises(FileAccessError), take(path):
        pass

    assert (tmp_path / "theirs").read_text() == "theirs"


@pytest.mark.parametrize("below", ["lock", "cluster/lock", "a/b/lock"])
def test_a_link_to_a_disk_that_is_not_mounted_is_named_at_once(tmp_path, below):
    link = tmp_path / "link"
    link.symlink_to("/mnt/not-mounted")
    clock = ManualClock()

    with (
        pytest.raises(FileAccessError, match=f"{link} is a symbolic link to /mnt/not-mounted"),
        take(link / below, timeout_s=180.0, clock=clock),
    ):
        pass

    assert clock.slept_s == []


def test_a_place_where_nothing_can_be_made_is_no_lock_that_another_holds():
    clock = ManualClock()

    with (
        pytest.raises(FileAccessError, match="cannot make the directory /proc/kraftd"),
        take(Path("/proc/kraftd/lock"), timeout_s=180.0, clock=clock),
    ):
        pass

    assert clock.slept_s == []


def test_links_that_lead_to_each_other_are_no_lock_that_another_holds(tmp_path):
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")

    with pytest.raises(FileAccessError), take(tmp_path / "one" / "lock", timeout_s=0.0):
        pass


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="proc_locks(5) is Linux'")
def test_the_holder_is_told_without_taking_the_lock(path):
    absent = holder_now(path)
    with take(path):
        path.with_name("other").touch()
        held = holder_now(path)
    path.touch()

    assert (absent, held, holder_now(path)) == (None, f"'kraftd start' (pid {os.getpid()})", None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for another user")
def test_a_lock_that_root_makes_in_the_directory_of_a_user_is_that_users(tmp_path):
    os.chown(tmp_path, 1234, 1235)
    (tmp_path / "old").touch()

    for name in ("run/lock", "old"):
        with acquire_at_once(tmp_path / name, command="backup restore", what="restore"):
            pass

    found = {name: (tmp_path / name).stat().st_uid for name in ("run/lock", "old")}
    assert found == {"run/lock": 1234, "old": 0}
