import os
from types import SimpleNamespace

import psutil
import pytest

from kraftd.host.machine import (
    PortHolder,
    cores,
    holder_of,
    is_free,
    max_map_count,
    memory_kills,
    shown_command,
    total_bytes,
)

MACHINE_BYTES = psutil.virtual_memory().total
V1, V2 = "memory.limit_in_bytes", "memory.max"


def proc_of(tmp_path, cgroups, *mounts, limits):
    """Return a /proc/self with cgroups, each mounted below tmp_path, and limits by file.

    Args:
        tmp_path: Where all is.
        cgroups: The lines of its file of cgroups.
        mounts: The root, the place and the rest of each mount.
        limits: The texts of the files with limits, by path below tmp_path.
    """
    for path, text in limits.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"{text}\n")
    lines = [f"31 23 0:28 {root} {tmp_path}/{place} rw,relatime shared:9 - {rest}" for root, place, rest in mounts]
    (tmp_path / "cgroup").write_text("\n".join([*cgroups, ""]))
    (tmp_path / "mountinfo").write_text("\n".join(["24 1 8:1 / / rw - ext4 /dev/sda1 rw", *lines, ""]))
    return tmp_path


UNIFIED = "cgroup2 cgroup2 rw,nsdelegate"
MEMORY = "cgroup cgroup rw,memory"


@pytest.mark.parametrize(
    ("cgroups", "mounts", "limits"),
    [
        pytest.param(["0::/"], [("/", "fs", UNIFIED)], {f"fs/{V2}": 4096}, id="of a container of its own"),
        pytest.param(
            ["0::/user.slice/run-1.scope"],
            [("/", "fs", UNIFIED)],
            {f"fs/user.slice/run-1.scope/{V2}": 4096, f"fs/user.slice/{V2}": "max"},
            id="of systemd-run",
        ),
        pytest.param(
            ["0::/a/b/c"],
            [("/", "fs", UNIFIED)],
            {f"fs/a/b/c/{V2}": 9999, f"fs/a/{V2}": 4096, f"fs/a/b/{V2}": "max"},
            id="further up",
        ),
        pytest.param(
            ["4:cpu,memory:/job/7", "1:cpu:/elsewhere"],
            [("/", "cpu", "cgroup cgroup rw,cpu"), ("/", "memory", MEMORY)],
            {f"memory/job/7/{V1}": 4096, f"memory/{V1}": 9223372036854771712, f"memory/elsewhere/{V1}": 1},
            id="of the first version",
        ),
        pytest.param(
            ["0::/", "4:memory:/job"],
            [("/", "unified", UNIFIED), ("/", "memory", MEMORY)],
            {f"memory/job/{V1}": 4096},
            id="of both versions together",
        ),
        pytest.param(
            ["4:memory:/docker/f00/inner"],
            [("/docker/f00", "memory", MEMORY)],
            {f"memory/inner/{V1}": 9999, f"memory/{V1}": 4096},
            id="of a container that sees its part of the tree",
        ),
        pytest.param(
            ["0::/../other"], [("/", "fs", UNIFIED)], {f"fs/{V2}": 4096}, id="of a container that was entered"
        ),
        pytest.param(
            ["0::/docker/f001"], [("/docker/f00", "fs", UNIFIED)], {f"fs/{V2}": 4096}, id="of a name that begins alike"
        ),
        pytest.param(["0::/a b"], [("/", "f\\040s", UNIFIED)], {f"f s/a b/{V2}": 4096}, id="of a name with a space"),
        pytest.param(["0::/a:b"], [("/", "fs", UNIFIED)], {f"fs/a:b/{V2}": 4096}, id="of a name with a colon"),
    ],
)
def test_the_lowest_memory_limit_on_the_way_up_counts(tmp_path, cgroups, mounts, limits):
    assert total_bytes(proc_of(tmp_path, cgroups, *mounts, limits=limits)) == 4096


@pytest.mark.parametrize("limit", ["max", "9223372036854771712", ""])
def test_a_limit_above_the_machine_and_no_limit_at_all_change_nothing(tmp_path, limit):
    proc = proc_of(tmp_path, ["0::/a"], ("/", "fs", UNIFIED), limits={f"fs/a/{V2}": limit})

    assert total_bytes(proc) == MACHINE_BYTES


def test_without_cgroups_it_is_the_machines_memory(tmp_path):
    assert total_bytes(tmp_path / "absent") == MACHINE_BYTES


def test_a_port_that_someone_listens_on_is_not_free(listener):
    port = listener.getsockname()[1]

    assert not is_free("127.0.0.1", port)
    listener.close()
    assert is_free("127.0.0.1", port)


def test_the_holder_of_a_port_is_told_with_its_command(listener):
    holder = holder_of(listener.getsockname()[1])

    assert holder.pid == os.getpid()
    assert str(holder).startswith(f"pid {os.getpid()} (")
    assert len(holder.command) <= 120


def test_a_holder_that_may_not_be_seen_is_another_users():
    assert str(PortHolder(None)) == "a process of another user or container"


def test_a_connection_that_has_ended_is_no_process_of_another_user():
    ended = SimpleNamespace(laddr=SimpleNamespace(port=9092), status=psutil.CONN_TIME_WAIT, pid=None)
    unseen = SimpleNamespace(laddr=SimpleNamespace(port=9092), status=psutil.CONN_ESTABLISHED, pid=None)

    assert "connection that has ended" in str(holder_of(9092, lambda _: [ended, ended]))
    assert holder_of(9092, lambda _: [ended, unseen]) == PortHolder(None)
    assert holder_of(9093, lambda _: [ended]) == PortHolder(None)


def test_a_host_that_is_not_this_machine_is_no_question_of_ports():
    with pytest.raises(OSError, match=r"[Aa]ssign|address"):
        is_free("192.0.2.1", 9)


def test_a_holder_that_belongs_to_a_cluster_is_named_as_such():
    java = PortHolder(4711, "/opt/java -Dkraftd.program=/srv/my state/local/broker-1 -Xms4g")
    python = PortHolder(4712, "/venv/python -X kraftd=/srv/local/consumer-2 -m kraftd_apps.consumer")

    assert str(java) == "pid 4711 (broker-1 of the kraftd cluster in /srv/my state/local)"
    assert str(python) == "pid 4712 (consumer-2 of the kraftd cluster in /srv/local)"


@pytest.mark.parametrize("marker", ["-Dkraftd.program=", "-X kraftd="])
def test_a_long_command_is_not_cut_within_the_marker_that_names_the_program(marker):
    place = f"/srv/{'d' * 150}/local"
    command = shown_command(f"/opt/java {marker}{place}/broker-1 -Xms4g {'x' * 500}")

    assert str(PortHolder(7, command)) == f"pid 7 (broker-1 of the kraftd cluster in {place})"
    assert len(command) < 220
    assert len(shown_command("x" * 500)) == 120


def test_the_kernels_ends_for_want_of_memory_are_counted_where_it_tells_them(tmp_path):
    assert memory_kills(tmp_path) is None

    (tmp_path / "vmstat").write_text("nr_free_pages 7\noom_kill 3\noom_kill_x 9\n")
    assert memory_kills(tmp_path) == 3

    (tmp_path / "c" / "own").mkdir(parents=True)
    (tmp_path / "c" / "own" / "memory.events").write_text("oom 5\noom_kill 2\noom_group_kill 8\n")
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text("0::/own\n")
    (tmp_path / "self" / "mountinfo").write_text(f"1 1 0:1 / {tmp_path}/c rw - cgroup2 cgroup2 rw\n")
    assert memory_kills(tmp_path) == 5


@pytest.mark.parametrize(("text", "count"), [("65530\n", 65530), ("", None), ("many", None)])
def test_the_number_of_maps_is_read_where_the_system_tells_it(tmp_path, text, count):
    (tmp_path / "max_map_count").write_text(text)

    assert max_map_count(tmp_path / "max_map_count") == count
    assert max_map_count(tmp_path / "absent") is None


@pytest.mark.parametrize(
    ("cgroups", "mount", "limits"),
    [
        (["0::/a/b"], ("/", "fs", UNIFIED), {"fs/a/cpu.max": "50000 100000", "fs/a/b/cpu.max": "max 100000"}),
        (
            ["4:cpu,cpuacct:/job"],
            ("/", "cpu", "cgroup cgroup rw,cpu,cpuacct"),
            {"cpu/job/cpu.cfs_quota_us": 90000, "cpu/job/cpu.cfs_period_us": 100000, "cpu/cpu.cfs_quota_us": -1},
        ),
    ],
)
def test_cores_are_what_the_cgroups_allow(tmp_path, cgroups, mount, limits):
    assert cores(proc_of(tmp_path, cgroups, mount, limits=limits)) == 1


def test_cores_without_a_limit_are_those_this_process_is_bound_to(tmp_path):
    unlimited = proc_of(tmp_path, ["0::/"], ("/", "fs", UNIFIED), limits={"fs/cpu.max": "max 100000"})

    assert cores(unlimited) == len(os.sched_getaffinity(0))
