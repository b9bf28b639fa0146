import json

import pytest

from kraftd.errors import IdentityMismatchError, RefusedError
from kraftd.operate.backup.cold import create_cold
from kraftd.operate.backup.target import DirectoryTarget
from kraftd.operate.destroy import destroy
from kraftd.operate.ownership import claim, contents_of, ownership_of, refuse_foreign, was_locked
from kraftd.operate.start.formatting import format_nodes
from kraftd.operate.start.preflight import make_directories
from kraftd.operate.start.start import lock_and_start
from kraftd.operate.stop.stop import StopOptions, stop
from kraftd.operate.store import Store
from kraftd.plan.desired import DesiredProgram
from kraftd.plan.layout import Ownership
from tests.plans import layout_at, plan_of
from tests.unit.operate.fake_cluster import FakeCluster

STOP = DesiredProgram(running=False, since="2026-01-01T00:00:00Z", by="stop", why="asked")


@pytest.fixture
def layout(tmp_path):
    return layout_at(tmp_path / "s")


def write(path, text="theirs"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def earlier(layout, toml=""):
    """Make a cluster as a kraftd does that keeps no record of ownership."""
    plan = plan_of(toml, state_dir=layout.state_dir)
    make_directories(plan)
    format_nodes(plan, plan.nodes, None)
    Store(layout).write_plan(plan)
    Store(layout).set_desired(plan.names, STOP)
    return plan


def foreign(layout, programs=()):
    with pytest.raises(RefusedError) as caught:
        refuse_foreign(layout, programs)
    assert (caught.value.exit_code, caught.value.code) == (8, "foreign_content")
    return caught.value.details["paths"]


def test_a_directory_without_a_cluster_is_nobodys(layout):
    write(layout.state_dir / "data" / "notes.txt")

    assert ownership_of(layout) is None
    assert ownership_of(layout_at(layout.state_dir / "absent")) is None


def test_a_claimed_directory_is_known_by_its_record_alone(layout):
    claim(layout, ["broker-1"])
    claim(layout, ["producer"])

    assert ownership_of(layout) == Ownership(("broker-1", "producer"))


def test_a_cluster_of_an_earlier_kraftd_is_known_by_plan_manifest_and_desired_state(layout):
    plan = earlier(layout, "[consumer]\ninstances = 2")
    Store(layout).write_plan(plan_of(state_dir=layout.state_dir))

    assert set(ownership_of(layout).programs) == set(plan.names)


@pytest.mark.parametrize("damaged", ["plan", "manifest", "desired", "ownership"])
def test_a_cluster_is_known_in_spite_of_a_damaged_record(layout, damaged):
    plan = earlier(layout)
    write(getattr(layout, damaged), '{"schema_ver')

    assert set(ownership_of(layout).programs) == set(plan.names)


@pytest.mark.parametrize("name", ["plan.json", "manifest.json", "ownership.json", "desired.json"])
def test_a_file_of_the_users_with_a_records_name_makes_no_cluster(layout, name):
    write(layout.state_dir / name, '{"name": "my web app", "icons": []}')

    assert ownership_of(layout) is None
    assert foreign(layout) == [str(layout.state_dir / name)]


def test_the_record_of_a_newer_kraftd_is_left_alone(layout):
    write(layout.ownership, '{"schema_version": 9, "programs": []}')

    with pytest.raises(IdentityMismatchError):
        ownership_of(layout)


@pytest.mark.parametrize("place", ["config/app.toml", "data/x/y.csv", "logs/.hidden", "run/x", "events/x", "data"])
def test_a_first_start_among_foreign_files_is_refused(layout, place):
    write(layout.state_dir / place)

    assert foreign(layout) == [str(layout.state_dir / place.split("/")[0])]


@pytest.mark.parametrize("text", ["theirs", "[1]", "7"])
def test_a_first_start_beside_a_lock_of_another_program_is_refused(layout, text):
    write(layout.lock, text)

    assert foreign(layout) == [str(layout.lock)]
    assert not was_locked(layout)


def test_a_first_start_beside_a_dangling_link_is_refused(layout):
    layout.state_dir.mkdir()
    (layout.state_dir / "data").symlink_to(layout.state_dir / "absent")

    assert foreign(layout) == [str(layout.state_dir / "data")]


def test_a_first_start_may_be_made_beside_other_things(layout):
    for place in ("README.md", "src/config/app.toml", "data.csv"):
        write(layout.state_dir / place)

    refuse_foreign(layout, ["broker-1"])


def test_a_first_start_may_use_an_empty_disk_and_a_link_to_one(layout, tmp_path):
    (layout.state_dir / "logs" / "lost+found").mkdir(parents=True)
    (tmp_path / "disk" / "lost+found").mkdir(parents=True)
    (layout.state_dir / "data").symlink_to(tmp_path / "disk")

    refuse_foreign(layout)
    write(tmp_path / "disk" / "theirs")
    assert foreign(layout) == [str(layout.state_dir / "data")]


def test_what_commands_leave_without_a_start_is_no_obstacle_to_the_first(layout):
    Store(layout).raise_generation()
    write(layout.lock, json.dumps({"pid": 1, "command": "start"}))
    write(layout.restarts, '{"programs": {}}')
    write(layout.events / "daemon.jsonl")
    write(layout.config("kafka-tools") / "tools-log4j.properties")
    (layout.logs("broker-1")).mkdir(parents=True)

    refuse_foreign(layout)
    assert was_locked(layout)


def test_a_program_that_is_new_to_a_cluster_takes_nobodys_directory(layout):
    claim(layout, ["broker-1"])
    write(layout.config("broker-1") / "server.properties", "ours")
    write(layout.state_dir / "data" / "notes.txt")
    theirs = write(layout.config("grafana") / "grafana.ini")

    refuse_foreign(layout, ["broker-1", "prometheus"])
    assert foreign(layout, ["broker-1", "grafana"]) == [str(theirs.parent)]


def test_what_a_directory_holds_is_told_apart_by_record_and_name(layout):
    earlier(layout)
    claim(layout, ["consumer-2"])
    own = [write(layout.data("consumer-2") / "x").parent, write(layout.supervisord_log), write(layout.supervisord_pid)]
    theirs = [
        write(layout.state_dir / "data" / "broker-9" / "x").parent,
        write(layout.state_dir / "data" / "notes.txt"),
        write(layout.state_dir / "events" / "x\n\udcff.jsonl"),
        write(layout.state_dir / "README.md"),
    ]
    write(layout.lock)

    contents = contents_of(layout, ownership_of(layout))

    assert sorted(contents.others) == sorted(theirs)
    assert set(own) <= set(contents.own)
    assert contents.records[-1] == layout.ownership


def test_links_are_nobodys_and_are_not_followed(layout, tmp_path):
    claim(layout, ["broker-1", "broker-2"])
    write(tmp_path / "disk" / "broker-1" / "00.log")
    layout.config("x").parent.mkdir()
    links = [layout.state_dir / "data", layout.config("broker-2")]
    for link in links:
        link.symlink_to(tmp_path / "disk")

    assert contents_of(layout, ownership_of(layout)).others == (links[1], links[0])


def used_elsewhere(tmp_path):
    cluster = FakeCluster(tmp_path)
    lock_and_start(cluster.starting())
    stop(cluster.context, StopOptions())
    lock = cluster.plan.layout.data("broker-2") / ".lock"
    cluster.locked.add(lock)
    return cluster, lock


@pytest.mark.parametrize(
    "act",
    [
        lambda cluster: lock_and_start(cluster.starting()),
        lambda cluster: lock_and_start(cluster.starting("broker-2", "controller-101")),
        lambda cluster: stop(cluster.context, StopOptions()),
        lambda cluster: destroy(cluster.context),
        lambda cluster: create_cold(cluster.context, DirectoryTarget(cluster.tmp_path / "backups")),
    ],
    ids=["start", "start of some", "stop", "destroy", "copy"],
)
def test_data_that_a_process_of_another_container_uses_is_not_touched(tmp_path, act):
    cluster, lock = used_elsewhere(tmp_path)
    desired, did = cluster.store.desired(), list(cluster.did)

    with pytest.raises(RefusedError) as caught:
        act(cluster)

    assert (caught.value.code, caught.value.details["paths"]) == ("data_in_use", [str(lock.parent)])
    assert (cluster.store.desired(), cluster.did) == (desired, did)
    assert cluster.store.manifest() is not None


def test_the_lock_of_a_process_that_has_just_ended_is_waited_for(tmp_path):
    cluster, _ = used_elsewhere(tmp_path)
    sleep = cluster.clock.sleep

    def slept(seconds):
        sleep(seconds)
        cluster.locked.clear()

    cluster.clock.sleep = slept
    destroy(cluster.context)

    assert cluster.store.manifest() is None
