"""The rendered process tree under a real supervisord, with small programs in the place of Java."""

import os
import signal
import stat
import tempfile
from pathlib import Path

import psutil
import pytest

from kraftd.health.programs.ladder import ORPHANED
from kraftd.host.processes import is_alive
from kraftd.observe.processes import find_processes
from kraftd.supervisord.rpc import Supervisor
from tests.harness import Cluster, eventually
from tests.integration.stand_ins import stand_ins
from tests.plans import plan_of

pytestmark = pytest.mark.integration

NODES = ("broker-1", "broker-2", "controller-101")


@pytest.fixture
def tree():
    """Yield programs in a directory that supervisord, a shell and a parser could trip over."""
    # A short path: the control socket lies in it.
    with (
        tempfile.TemporaryDirectory(prefix="kraftd-") as directory,
        stand_ins(Cluster(Path(directory) / "s 1% it's=é"), is_daemon_started=True) as made,
    ):
        yield made


def test_only_the_daemon_starts_by_itself(tree):
    eventually(lambda: "kraftd" in tree.process_table().processes, within_s=30)

    process_table = tree.process_table()
    assert set(process_table.processes) == {"kraftd"}
    assert set(process_table.facts) == set(tree.plan.names)
    assert process_table.supervised is True


def test_supervisord_runs_the_planned_commands_where_they_belong(tree):
    tree.start(*NODES)

    for name in NODES:
        process = tree.process_table().processes[name]
        assert tree.plan.marker(name).marks(process.command)
        assert psutil.Process(process.pid).cwd() == str(tree.plan.layout.config(name))
        assert tree.plan.layout.console(name).is_file()


def test_what_is_created_belongs_to_this_user_alone(tree):
    tree.start("broker-1")

    layout = tree.plan.layout
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in layout.state_dir.rglob("*")}
    assert layout.socket in modes
    # Directories in between may show their names; the state directory lets nobody get that far.
    assert stat.S_IMODE(layout.state_dir.stat().st_mode) == 0o700
    assert {path: mode for path, mode in modes.items() if mode & 0o077 and not path.is_dir()} == {}


def test_a_killed_node_is_not_started_again_by_supervisord(tree):
    tree.start("broker-1")
    os.kill(tree.process("broker-1").pid, signal.SIGKILL)

    # Within startsecs a death counts as a start that failed; with no retries it is final too.
    eventually(lambda: tree.process_table().facts["broker-1"].state in ("EXITED", "FATAL"), within_s=30)
    assert "broker-1" not in tree.process_table().processes


def test_a_killed_daemon_is_started_again_by_supervisord(tree):
    first = eventually(lambda: tree.process_table().processes.get("kraftd"), within_s=30)
    eventually(lambda: tree.process_table().facts["kraftd"].state == "RUNNING", within_s=30)

    os.kill(first.pid, signal.SIGKILL)

    eventually(lambda: tree.process_table().processes.get("kraftd") not in (None, first), within_s=30)


def test_after_the_death_of_supervisord_its_programs_are_known_and_go_on(tree):
    tree.start(*NODES)
    before = tree.process_table()

    os.kill(tree.supervisor.pid(), signal.SIGKILL)
    eventually(lambda: tree.process_table().supervisor is None, within_s=30)

    process_table = tree.process_table()
    assert process_table.supervised is False
    assert {name: process_table.processes[name].pid for name in NODES} == {
        name: before.processes[name].pid for name in NODES
    }
    assert {process_table.facts[name].state for name in NODES} == {ORPHANED}


def test_where_nothing_runs_nothing_is_found(tmp_path):
    plan = plan_of(state_dir=tmp_path / "s")

    process_table = find_processes(plan, Supervisor(plan.layout.socket))

    assert (process_table.supervised, process_table.facts, process_table.processes) == (None, {}, {})


def test_a_shutdown_ends_every_program(tree):
    tree.start(*NODES)
    running = tree.process_table().processes

    tree.supervisor.shutdown()

    eventually(lambda: not [process for process in running.values() if is_alive(process)], within_s=30)
    eventually(lambda: tree.process_table().supervised is None, within_s=30)
