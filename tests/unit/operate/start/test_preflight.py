import re
import stat

import pytest

from kraftd.errors import ConfigurationError, NeedsRunningClusterError, RefusedError
from kraftd.health.programs.disks import DiskSpace
from kraftd.host.install import template_text
from kraftd.host.machine import PortHolder
from kraftd.operate.start.doors import start_doors
from kraftd.operate.start.preflight import (
    LEAST_OPEN_FILES,
    LoopbackDownError,
    PortInUseError,
    check_free_disk,
    check_loopback,
    check_memory,
    check_open_files,
    check_ports,
    check_quorum,
    environment_notes,
    make_directories,
)
from tests.clocks import ManualClock
from tests.plans import plan_of

GIB = 1024**3


def test_heaps_that_fit_exactly_are_taken():
    check_memory(plan_of(), 8 * GIB + 192 * 1024**2)


def test_heaps_beyond_the_machine_are_refused_with_the_keys_that_mend_it():
    with pytest.raises(ConfigurationError) as caught:
        check_memory(plan_of(), 8 * GIB)

    assert caught.value.exit_code == 2
    assert caught.value.code == "not_enough_memory"
    text = str(caught.value)
    assert "the nodes' heaps take 8.2 GiB, and this machine, or its container, has 8.0 GiB" in text
    assert 'cluster.heap = "4g"' in text
    assert "cluster.heap" in caught.value.hint
    assert "cluster.brokers" in caught.value.hint


@pytest.mark.parametrize(("limit", "is_refused"), [(64, True), (255, True), (256, False), (100_000, False)])
def test_a_limit_of_open_files_that_no_broker_can_run_with_is_refused_with_number(limit, is_refused):
    if not is_refused:
        check_open_files(limit)
        return
    with pytest.raises(ConfigurationError, match=rf"{limit} open files") as caught:
        check_open_files(limit)

    assert (caught.value.code, caught.value.details) == ("open_files_limit", {"limit": limit, "needed": 256})
    assert "ulimit -Hn" in caught.value.hint


def test_a_disk_below_the_least_free_space_is_refused_with_the_numbers():
    spaces = (DiskSpace("/srv", 255 * 1024**2, 100 * GIB), DiskSpace("/other", 50 * GIB, 100 * GIB))

    with pytest.raises(RefusedError, match=r"/srv: 255\.0 MiB of 100\.0 GiB are free") as caught:
        check_free_disk(spaces, 256 * 1024**2)

    assert (caught.value.exit_code, caught.value.code) == (8, "disk_nearly_full")
    assert [disk["path"] for disk in caught.value.details["disks"]] == ["/srv"]
    assert "disk.min_free=0" in caught.value.hint


def test_a_disk_with_enough_space_or_without_a_limit_is_taken():
    check_free_disk((DiskSpace("/srv", 256 * 1024**2, 100 * GIB),), 256 * 1024**2)
    check_free_disk((DiskSpace("/srv", 0, 100 * GIB),), 0)
    # A small disk for tests.
    check_free_disk((DiskSpace("/srv", 30 * 1024**2, 300 * 1024**2),), 256 * 1024**2)


def test_supervisord_starts_with_the_least_open_files_that_are_accepted():
    assert f"\nminfds={LEAST_OPEN_FILES}\n" in template_text()


def test_a_disk_without_inodes_is_refused_however_many_bytes_are_free():
    spaces = (DiskSpace("/srv", 50 * GIB, 100 * GIB, 999, 10_000_000),)

    with pytest.raises(RefusedError, match="999 of 10000000 inodes free") as caught:
        check_free_disk(spaces, 256 * 1024**2)

    assert caught.value.code == "disk_nearly_full"
    check_free_disk(spaces, 0)
    check_free_disk((DiskSpace("/srv", 50 * GIB, 100 * GIB, 200, 300),), 256 * 1024**2)


def test_a_loopback_interface_that_is_down_is_named_with_what_sets_it_up():
    check_loopback("")
    with pytest.raises(LoopbackDownError, match="network is unreachable") as caught:
        check_loopback("network is unreachable")

    assert (caught.value.code, caught.value.exit_code) == ("loopback_down", 1)
    assert "ip link set lo up" in caught.value.hint


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({"KAFKA_OPTS": "-Dx=1", "PATH": "/bin"}, "KAFKA_OPTS is set, and does not reach"),
        (
            {"_JAVA_OPTIONS": "-Xmx1g", "KAFKA_HEAP_OPTS": "-Xmx1g"},
            "KAFKA_HEAP_OPTS, _JAVA_OPTIONS are set, and do not",
        ),
    ],
)
def test_a_start_says_that_options_for_brokers_in_the_environment_have_no_effect(environ, text):
    (note,) = environment_notes(environ)

    assert note.startswith(text)
    assert environment_notes({"PATH": "/bin", "KAFKA_OPTS": ""}) == ()


def test_a_port_in_use_is_told_with_listener_and_holder(listener):
    port = listener.getsockname()[1]
    plan = plan_of(f"[daemon]\nport = {port}")

    with pytest.raises(PortInUseError, match=rf"kraftd \(HTTP\): port {port} is held by pid \d+ \(") as caught:
        check_ports(plan, ["kraftd"], start_doors().port_holder, ManualClock())

    assert caught.value.code == "port_in_use"
    assert "cluster.port_offset" in caught.value.hint
    assert caught.value.details["ports"][0]["port"] == port


def test_the_offset_that_the_error_names_shifts_every_port_out_of_the_way(listener):
    port = listener.getsockname()[1]
    with pytest.raises(PortInUseError) as caught:
        check_ports(plan_of(f"[daemon]\nport = {port}"), ["kraftd"], start_doors().port_holder, ManualClock())

    offset = re.search(r"cluster\.port_offset=(\d+)", caught.value.hint)[1]
    shifted = plan_of(f"[cluster]\nbrokers = 3\nport_offset = {offset}")
    ports = [{port.number for port in plan.ports} for plan in (plan_of(), plan_of("[cluster]\nbrokers = 3"), shifted)]

    assert ports[2].isdisjoint(ports[0] | ports[1])


def test_the_ports_of_programs_that_are_not_asked_about_do_not_matter(listener):
    check_ports(plan_of(f"[daemon]\nport = {listener.getsockname()[1]}"), [], start_doors().port_holder, ManualClock())


def test_a_port_that_a_killed_process_still_has_is_waited_for():
    clock = ManualClock()
    released_s = clock.monotonic_s() + 1.0

    check_ports(plan_of(), ["kraftd"], lambda *_: PortHolder(None) if clock.monotonic_s() < released_s else None, clock)

    assert clock.monotonic_s() >= released_s


def test_a_port_that_nobody_is_seen_to_hold_is_refused_in_the_end():
    clock = ManualClock()

    with pytest.raises(PortInUseError):
        check_ports(plan_of(), ["kraftd"], lambda *_: PortHolder(None), clock)

    assert 3 <= sum(clock.slept_s) < 4


def test_every_program_gets_its_private_directories(tmp_path):
    plan = plan_of(state_dir=tmp_path / "s")

    make_directories(plan)
    make_directories(plan)

    for name in plan.names:
        assert plan.layout.logs(name).is_dir()
        assert plan.layout.config(name).is_dir()
    assert not plan.layout.data("broker-1").exists()
    assert stat.S_IMODE(plan.layout.temporary("broker-1").stat().st_mode) == 0o700
    assert stat.S_IMODE(plan.layout.state_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE(plan.layout.socket.parent.stat().st_mode) == 0o700


def test_what_killed_nodes_unpacked_is_removed_and_nothing_else(tmp_path):
    plan = plan_of(state_dir=tmp_path / "s")
    make_directories(plan)
    left = plan.layout.temporary("broker-2") / "snappy-1.1.10.5-libsnappyjava.so"
    rendered = plan.layout.config("broker-2") / "server.properties"
    left.touch()
    rendered.touch()

    make_directories(plan)

    assert (left.exists(), rendered.exists(), left.parent.is_dir()) == (False, True, True)


@pytest.mark.parametrize(
    ("wanted", "running"),
    [
        (("broker-1", "kraftd"), ()),
        (("broker-1", "producer"), ("kraftd",)),
        (("consumer",), ("broker-2",)),
    ],
)
def test_a_broker_or_an_app_is_not_started_where_no_quorum_could_be(wanted, running):
    with pytest.raises(NeedsRunningClusterError, match=r"only \d of 3 voters would run") as caught:
        check_quorum(plan_of(), wanted, running)

    assert (caught.value.code, caught.value.exit_code) == ("no_quorum", 7)
    assert "controller-101" in caught.value.hint


@pytest.mark.parametrize(
    ("wanted", "running"),
    [
        (("broker-1", "controller-101", "kraftd"), ()),
        (("broker-1",), ("broker-2",)),
        (("controller-101", "kraftd"), ()),
        (("kraftd",), ()),
    ],
)
def test_what_makes_or_has_a_quorum_or_needs_none_is_started(wanted, running):
    check_quorum(plan_of(), wanted, running)
