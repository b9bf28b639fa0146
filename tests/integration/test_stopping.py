"""Stopping real processes: in order, without a kill where none is needed, and without waiting for what cannot be."""

import os
import signal
import subprocess
import sys

import pytest

from kraftd.host.processes import describe
from kraftd.operate.context import cluster_context, this_command_context
from kraftd.operate.stop.execute import StopExecution
from kraftd.operate.stop.stop import StopOptions, stop_with_lock_held
from tests.harness import eventually
from tests.integration.stand_ins import healing, stand_ins, view_of
from tests.plans import plan_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

NODES = ("broker-1", "broker-2", "controller-101")


@pytest.fixture
def supervised(cluster):
    with stand_ins(cluster) as made:
        yield made


def test_a_frozen_program_is_stopped_without_a_kill(supervised):
    supervised.set_desired(True, "producer")
    supervised.start("producer")
    os.kill(supervised.process("producer").pid, signal.SIGSTOP)

    result = stop_with_lock_held(supervised.context, StopOptions(names=("producer",)))

    assert [(each.name, each.killed) for each in result.programs] == [("producer", None)]
    assert result.took_s < 10
    assert supervised.ends() == ["producer"]


def test_a_stop_during_which_the_wall_clock_is_set_waits_for_its_programs(supervised, clock_that_is_set):
    supervised.start("broker-1", "controller-101")
    with clock_that_is_set():
        processes = supervised.process_table().processes
    execution = StopExecution(supervised.context, processes)

    execution.stop_nodes(("broker-1", "controller-101"), patience_s=10)

    assert supervised.ends() == ["broker-1", "controller-101"]


def test_a_term_is_not_wasted_on_a_program_that_is_not_itself_yet(tmp_path, monkeypatch):
    plan = plan_of(state_dir=tmp_path)
    # As supervisord's child does between fork and exec.
    script = """import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda number, frame: None)
print(flush=True)
time.sleep(0.7)
os.execv(sys.executable, [sys.executable, "-X", os.environ["MARKER"], "-c", "import time; time.sleep(60)"])"""
    monkeypatch.setenv("MARKER", plan.marker("producer").arguments[1])
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        execution = StopExecution(cluster_context(plan, this_command_context()), {"producer": describe(child.pid)})

        execution.stop_clients(("producer",))

    assert [(each.name, each.killed) for each in execution.results] == [("producer", None)]
    assert child.returncode == -signal.SIGTERM


def test_a_stop_ends_apps_then_brokers_then_the_tie_breaker_then_supervisord(supervised):
    names = ("consumer", "producer", *NODES)
    supervised.set_desired(True, *names)
    supervised.start(*names)

    done = supervised.cluster.run("stop", "--json")

    assert done.status == 0, done
    assert [program["name"] for program in done.document["stopped"]][-1] == "controller-101"
    assert set(supervised.ends()[:2]) == {"producer", "consumer"}
    assert set(supervised.ends()[2:4]) == {"broker-1", "broker-2"}
    assert supervised.ends()[4] == "controller-101"
    # No stand-in closes logs as a broker does.
    assert done.document["unclean"] == ["broker-1", "broker-2"]
    assert supervised.cluster.processes() == []
    assert not any(supervised.store.desired().wants(name) for name in supervised.plan.names)


def test_a_pid_file_of_nonsense_harms_nothing(supervised):
    supervised.plan.layout.supervisord_pid.write_text("1\n")

    assert supervised.cluster.run("stop").status == 0
    assert supervised.cluster.processes() == []


def test_a_full_disk_keeps_no_cluster_from_being_stopped(supervised):
    supervised.set_desired(True, "producer", "broker-1")
    supervised.start("producer", "broker-1")
    no_file_may_grow = ["bash", "-c", 'ulimit -f 0; exec "$@"', "bash"]

    command = [*no_file_may_grow, *supervised.cluster.arguments("stop")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert "Stopping anyway: cannot write" in done.stderr
    assert supervised.cluster.processes() == []


def test_a_full_disk_keeps_the_daemon_from_nothing(supervised):
    supervised.set_desired(True, "broker-1")
    supervised.start("broker-1")
    with healing(supervised) as service:
        # What is a directory cannot be written either.
        supervised.plan.layout.restarts.mkdir()
        (supervised.plan.layout.events / "daemon.jsonl").mkdir(parents=True)
        pid = eventually(lambda: (view := view_of(service, "broker-1")) and view.pid, within_s=20)
        os.kill(pid, signal.SIGKILL)

        eventually(lambda: supervised.process("broker-1").pid != pid, within_s=20)
        eventually(lambda: view_of(service, "broker-1").restarts == 1, within_s=30)
