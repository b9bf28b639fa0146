"""The rendered process tree under a real supervisord, with small programs in the place of Java."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest

from kraftd.host.files import write_changed
from kraftd.host.processes import describe, is_alive, send_signal
from kraftd.host.resources import template_text
from kraftd.operate.preflight import make_directories
from kraftd.render.files import render
from kraftd.supervisord.door import Supervisor, SupervisorUnreachableError
from kraftd.watch.observation import ORPHANED
from kraftd.watch.roster import call_the_roll
from tests.plans import LAUNCH, plan_of

pytestmark = pytest.mark.integration

NODES = ("broker-1", "broker-2", "controller-101")


def until(condition, timeout_s=15.0):
    deadline_s = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline_s, "it did not come to pass"
        time.sleep(0.02)
    return value


class Tree:
    """A supervisord over the rendered files of a plan."""

    def __init__(self, directory):
        # What supervisord, a shell and a parser could trip over.
        self.plan = plan_of("[cluster]\nport_offset = 24000", state_dir=directory / "s 1% it's=é")
        self.door = Supervisor(self.plan.layout.socket)
        self._java = directory / "java"
        self._java.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(120)\n", encoding="utf-8")
        self._java.chmod(0o755)
        self._server = None

    def start(self):
        make_directories(self.plan)
        launch = replace(LAUNCH, java=self._java)
        # The daemon, which starts by itself, is no program here.
        files = render(self.plan, launch, python=self._java, template=template_text())
        write_changed(files)
        command = [
            *(sys.executable, "-W", "ignore", "-m", "supervisor.supervisord"),
            *("-c", str(self.plan.layout.supervisord_conf)),
        ]
        quiet = subprocess.DEVNULL
        self._server = subprocess.Popen(command, stdout=quiet, stderr=quiet, umask=0o077)
        until(self._answers)

    def _answers(self):
        with contextlib.suppress(SupervisorUnreachableError):
            return self.door.pid()
        return None

    def roll(self):
        return call_the_roll(self.plan, self.door)

    def run(self, *names):
        for name in names:
            self.door.start(self.plan.program(name).supervised_name)
        until(lambda: set(names) <= self.roll().processes.keys())
        # Between fork and exec a child still has supervisord's command line.
        for name in names:
            until(lambda name=name: self.plan.marker(name).marks(describe(self.pid(name)).command))

    def pid(self, name):
        return self.roll().processes[name].pid

    def kill_supervisord(self):
        self._server.kill()
        self._server.wait()

    def end(self):
        left = [*self.roll().processes.values()]
        if self._server is not None and self._server.poll() is None:
            self._server.terminate()
            self._server.wait(timeout=30)
        for process in left:
            send_signal(process, signal.SIGKILL)
        until(lambda: not [process for process in left if is_alive(process)])


@pytest.fixture
def tree(tmp_path):
    tree = Tree(tmp_path)
    tree.start()
    try:
        yield tree
    finally:
        tree.end()


def test_only_the_daemon_starts_by_itself(tree):
    until(lambda: "kraftd" in tree.roll().processes)

    roster = tree.roll()
    assert set(roster.processes) == {"kraftd"}
    assert set(roster.facts) == set(tree.plan.names)
    assert roster.supervised is True


def test_supervisord_runs_the_planned_commands_where_they_belong(tree):
    tree.run(*NODES)

    for name in NODES:
        process = tree.roll().processes[name]
        assert tree.plan.marker(name).marks(process.command)
        assert psutil.Process(process.pid).cwd() == str(tree.plan.layout.config(name))
        assert tree.plan.layout.console(name).is_file()


def test_what_is_created_belongs_to_this_user_alone(tree):
    tree.run("broker-1")

    layout = tree.plan.layout
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in layout.state_dir.rglob("*")}
    assert layout.socket in modes
    # Directories in between may show their names; the state directory lets nobody get that far.
    assert stat.S_IMODE(layout.state_dir.stat().st_mode) == 0o700
    assert {path: mode for path, mode in modes.items() if mode & 0o077 and not path.is_dir()} == {}


def test_a_killed_node_is_not_started_again_by_supervisord(tree):
    tree.run("broker-1")
    os.kill(tree.pid("broker-1"), signal.SIGKILL)

    # Within startsecs a death counts as a start that failed; with no retries it is final too.
    until(lambda: tree.roll().facts["broker-1"].state in ("EXITED", "FATAL"))
    assert "broker-1" not in tree.roll().processes


def test_a_killed_daemon_is_started_again_by_supervisord(tree):
    first = until(lambda: tree.roll().processes.get("kraftd"))
    until(lambda: tree.roll().facts["kraftd"].state == "RUNNING")

    os.kill(first.pid, signal.SIGKILL)

    until(lambda: tree.roll().processes.get("kraftd") not in (None, first))


def test_after_the_death_of_supervisord_its_programs_are_known_and_go_on(tree):
    tree.run(*NODES)
    before = tree.roll()

    tree.kill_supervisord()

    roster = tree.roll()
    assert (roster.supervisor, roster.supervised) == (None, False)
    assert {name: roster.processes[name].pid for name in NODES} == {name: before.processes[name].pid for name in NODES}
    assert {roster.facts[name].state for name in NODES} == {ORPHANED}


def test_where_nothing_runs_nothing_is_found(tmp_path):
    plan = plan_of(state_dir=tmp_path / "s")

    roster = call_the_roll(plan, Supervisor(plan.layout.socket))

    assert (roster.supervised, roster.facts, roster.processes) == (None, {}, {})


def test_a_shutdown_ends_every_program(tree):
    tree.run(*NODES)
    running = tree.roll().processes

    tree.door.shutdown()

    until(lambda: not [process for process in running.values() if is_alive(process)])
    until(lambda: tree.roll().supervised is None)
