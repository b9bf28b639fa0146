"""A real supervisord whose nodes and apps are small Python programs: what concerns processes, without a JVM."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import psutil

from kraftd.clock import SystemClock
from kraftd.daemon.doors import daemon_doors
from kraftd.daemon.loop import Loop
from kraftd.daemon.service import Service
from kraftd.health.programs.restarts import from_json
from kraftd.health.programs.state import KafkaView, ProgramView
from kraftd.host.events import EventLog
from kraftd.host.files import read_text, write_changed
from kraftd.host.install import template_text
from kraftd.host.processes import Process
from kraftd.observe.alerts import AlertReader
from kraftd.observe.processes import ProcessTable, find_processes
from kraftd.operate.context import ClusterContext, cluster_context, this_command_context
from kraftd.operate.start.preflight import make_directories
from kraftd.operate.store import Store
from kraftd.plan.desired import DesiredProgram
from kraftd.plan.plan import Plan
from kraftd.render.files import render
from kraftd.render.supervisord_conf import programs_of, supervisord_conf
from kraftd.supervisord.rpc import Supervisor
from tests import forked
from tests.harness import Cluster, eventually
from tests.integration.formatted import format_cluster
from tests.plans import LAUNCH

PROGRAM = """#!{python}
import pathlib, signal, sys, time

def end(number, frame):
    with open("../ends", "a") as ends:
        ends.write(pathlib.Path.cwd().name + "\\n")
    sys.exit(143)

signal.signal(signal.SIGTERM, end)
after_s, status, word = pathlib.Path("behaviour").read_text().split(maxsplit=2)
pathlib.Path("runs").open("a").write("run\\n")
time.sleep(float(after_s))
print(word, flush=True)
sys.exit(int(status))
"""
"""Does what the file ``behaviour`` in its directory says: after so many seconds an exit status, with a last word.

Its arguments are those of a node or of an app, which it ignores.
"""

LAUNCH_IT = """
import sys
from pathlib import Path
from kraftd.operate.start.launch import launch_supervisord
from kraftd.operate.context import this_command_context
from kraftd.plan.plan_json import parse_plan
path = Path(sys.argv[1])
launch_supervisord(parse_plan(path.read_text(), path), this_command_context())
"""


@dataclass
class StandIns:
    """A cluster of stand-ins that supervisord runs."""

    cluster: Cluster
    plan: Plan

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.plan.layout.socket, timeout_s=5.0)

    @property
    def store(self) -> Store:
        return Store(self.plan.layout)

    @property
    def context(self) -> ClusterContext:
        return cluster_context(self.plan, this_command_context())

    def process_table(self) -> ProcessTable:
        return find_processes(self.plan, self.supervisor)

    def process(self, name: str) -> Process:
        return self.process_table().processes[name]

    def set_desired(self, running: bool, *names: str) -> None:
        desired = DesiredProgram(running=running, since="2026-11-22T16:00:00.000Z", by="test", why="a test")
        self.store.set_desired(names or self.plan.names, desired)

    def behave(self, name: str, *, after_s: float = 60.0, status: int = 0, word: str = "bye") -> None:
        """Say what a program does from its next start on."""
        behaviour = self.plan.layout.config(name) / "behaviour"
        behaviour.touch(0o600)
        behaviour.write_text(f"{after_s} {status} {word}")

    def start(self, *names: str) -> None:
        """Start programs and wait until they can be signalled as any program can."""
        for name in names:
            before = self.runs(name)
            self.supervisor.start(self.plan.program(name).supervised_name)
            eventually(lambda name=name, before=before: self.runs(name) > before, within_s=20, what=f"{name} runs")

    def runs(self, name: str) -> int:
        """Return how often a program came up."""
        path = self.plan.layout.config(name) / "runs"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def ends(self) -> list[str]:
        """Return the programs that took a TERM, in its order."""
        path = self.plan.layout.state_dir / "config" / "ends"
        return path.read_text().split() if path.exists() else []


@contextlib.contextmanager
def stand_ins(
    cluster: Cluster, *, is_daemon_started: bool = False, commands: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> Iterator[StandIns]:
    """Yield a cluster under a real supervisord, no program of it started; nothing is left of it.

    Args:
        cluster: Where it is.
        is_daemon_started: Whether the stand-in of the daemon starts by itself, as the daemon does.
        commands: Commands other than the rendered ones.
    """
    plan = format_cluster(cluster)
    make_directories(plan)
    # A node is known by an executable of this name.
    stand_in = cluster.state_dir.parent / "stand_in" / "java"
    stand_in.parent.mkdir()
    stand_in.write_text(PROGRAM.replace("{python}", sys.executable))
    stand_in.chmod(0o700)
    launch = replace(LAUNCH, java=stand_in)
    programs = tuple(
        replace(
            program,
            autostart=program.autostart and is_daemon_started,
            command=commands.get(program.name, program.command),
        )
        for program in programs_of(plan, launch, stand_in)
    )
    files = render(plan, launch, python=stand_in, template=template_text())
    write_changed(files | {plan.layout.supervisord_conf: supervisord_conf(template_text(), plan, programs)})
    made = StandIns(cluster, plan)
    for name in plan.names:
        made.behave(name)
    try:
        launch_it = (sys.executable, "-c", LAUNCH_IT, str(plan.layout.plan))
        ended = forked.run(launch_it, cwd=Path.cwd(), environ=os.environ, timeout_s=30)
        assert ended[0] == 0, ended
        yield made
    finally:
        eventually(lambda: not _killed(cluster), within_s=30, what="nothing is left")


def _killed(cluster: Cluster) -> list[psutil.Process]:
    """Kill what there is and return it: supervisord may have begun a program while the rest was looked for."""
    found = cluster.processes()
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()
    return found


def java_in(directory: Path) -> Path:
    """Return a Python by the name of Java."""
    java = directory / "java"
    if not java.exists():
        java.symlink_to(sys.executable)
    return java


class NoKafka:
    """What the loop reads of a collector that never saw Kafka."""

    view = KafkaView()


@contextlib.contextmanager
def healing(made: StandIns) -> Iterator[Service]:
    """Run the daemon's watch in this process; yields it."""
    clock = SystemClock()
    plan = made.plan
    events = EventLog(plan.layout.events, "daemon", clock)
    alerts = AlertReader(None)
    doors = daemon_doors(plan, made.supervisor, NoKafka(), alerts, events, clock)
    loop = Loop(plan, doors, clock, from_json(read_text(plan.layout.restarts)))
    service = Service(plan, loop, NoKafka(), None, alerts)
    thread = threading.Thread(target=service.watch)
    thread.start()
    try:
        yield service
    finally:
        service.stop()
        thread.join(30)


def view_of(service: Service, name: str) -> ProgramView | None:
    """Return how the daemon last saw a program; None before it looked."""
    programs = service.newest().programs if service.newest() else ()
    return next((program for program in programs if program.name == name), None)


def seconds_until(condition, *, within_s: float) -> float:
    """Return how long a condition took to come true."""
    began_s = time.monotonic()
    eventually(condition, within_s=within_s)
    return time.monotonic() - began_s
