"""After kill -9 of supervisord: its programs go on, are known as ours by their markers only, and end in order."""

import os
import signal
import subprocess
import sys
import time

import pytest

from kraftd.host.processes import describe
from kraftd.observe.processes import find_processes
from tests.harness import Cluster, eventually
from tests.integration.stand_ins import java_in, stand_ins

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

NAMES = ("producer", "broker-1", "broker-2", "controller-101")


@pytest.fixture
def orphaned(cluster):
    """Yield a cluster whose supervisord was killed."""
    with stand_ins(cluster) as made:
        made.set_desired(True, *NAMES)
        made.start(*NAMES)
        os.kill(made.supervisor.pid(), signal.SIGKILL)
        eventually(lambda: made.process_table().supervisor is None, within_s=30)
        yield made


@pytest.fixture
def bystander():
    """Return how to start a process with given arguments; it ends with the test."""
    children = []

    def start(*arguments, executable=sys.executable):
        child = subprocess.Popen([executable, "-c", "import time; time.sleep(60)", *arguments])
        children.append(child)
        eventually(lambda: "time.sleep(60)" in " ".join(describe(child.pid).command), within_s=30)
        return child

    yield start
    for child in children:
        child.kill()
        child.wait()


def test_orphans_go_on_and_the_status_says_unsupervised(orphaned):
    done = orphaned.cluster.run("status", "--json")

    assert done.status == 1
    assert done.document["status"] == "unsupervised"
    assert done.document["source"] == "command"
    running = {node["name"]: node["process_state"] for node in done.document["nodes"] if node["pid"]}
    assert running == dict.fromkeys(NAMES, "ORPHANED")
    assert "supervisord does not run" in done.document["reasons"][0]


def test_the_table_says_it_in_a_word(orphaned):
    done = orphaned.cluster.run("status")

    assert done.status == 1
    assert done.stdout.startswith("Cluster local: unsupervised")


def test_a_stop_ends_orphans_in_the_order_of_a_stop(orphaned):
    done = orphaned.cluster.run("stop", "--json")

    assert done.status == 0, done
    assert orphaned.ends()[0] == "producer"
    assert set(orphaned.ends()[1:3]) == {"broker-1", "broker-2"}
    assert orphaned.ends()[3:] == ["controller-101"]
    assert orphaned.cluster.processes() == []
    assert orphaned.cluster.run("status").status == 3


def test_one_orphan_can_be_stopped_alone(orphaned):
    assert orphaned.cluster.run("stop", "producer").status == 0

    assert set(orphaned.process_table().processes) == {"broker-1", "broker-2", "controller-101"}


@pytest.mark.perf
def test_a_stopped_orphan_is_not_waited_for_by_another_incarnation(orphaned):
    frozen = orphaned.process("producer")
    os.kill(frozen.pid, signal.SIGSTOP)

    began_s = time.monotonic()
    assert orphaned.cluster.run("stop", "producer").status == 0

    assert time.monotonic() - began_s < 15
    assert orphaned.ends() == ["producer"]


def test_a_cluster_of_orphans_is_not_destroyed(orphaned):
    done = orphaned.cluster.run("destroy", "--yes", "--json")

    assert done.status == 8
    assert "broker-1" in done.error["message"]
    assert orphaned.plan.layout.manifest.exists()


def test_who_only_reads_our_files_is_not_ours(orphaned, bystander):
    layout = orphaned.plan.layout
    readers = [
        bystander("less", str(layout.supervisord_conf)),
        bystander("-c", str(layout.supervisord_conf)),
        bystander(f"{layout.state_dir}/broker-1/server.properties"),
        bystander(f"file={layout.state_dir}"),
        bystander("-f", str(layout.logs("broker-1") / "server.log")),
        bystander(f"--dir={layout.state_dir}/producer"),
        bystander("-a", f"{layout.state_dir}/broker-1", f"{layout.state_dir}/broker-2"),
        bystander("--", *orphaned.plan.marker("broker-1").arguments),
    ]

    process_table = orphaned.process_table()

    assert process_table.supervisor is None
    assert not {process.pid for process in process_table.processes.values()} & {reader.pid for reader in readers}
    assert orphaned.cluster.run("stop").status == 0
    assert [reader.poll() for reader in readers] == [None] * len(readers)


def test_a_cluster_beside_ours_is_never_touched(orphaned, bystander, tmp_path):
    beside = tmp_path / "s2"
    other = bystander("-X", f"kraftd={beside}/broker-1")
    below = bystander(f"-Dkraftd.program={orphaned.plan.layout.state_dir}/s/broker-1", executable=java_in(tmp_path))

    assert orphaned.cluster.run("stop").status == 0

    assert (other.poll(), below.poll()) == (None, None)


def test_a_cluster_without_any_process_has_no_supervision_to_lose(cluster):
    with stand_ins(cluster) as made:
        os.kill(made.supervisor.pid(), signal.SIGKILL)
        eventually(lambda: not cluster.processes(), within_s=30)

        assert find_processes(made.plan, made.supervisor).supervised is None
        assert cluster.run("status").status == 3
        assert cluster.run("stop").status == 0


def test_a_start_that_cannot_be_ends_nothing(orphaned, tmp_path):
    changed = Cluster(orphaned.cluster.state_dir, offset=orphaned.cluster.offset, settings={"cluster.brokers": 1})
    before = {name: process.pid for name, process in orphaned.process_table().processes.items()}

    assert changed.run("start").status == 6

    assert {name: process.pid for name, process in orphaned.process_table().processes.items()} == before
