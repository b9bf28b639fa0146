"""A cluster in the foreground on real processes: its signals, its service manager, and as process 1."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from kraftd.operate.stop.stop import StopOptions, stop
from kraftd.supervisord.rpc import OtherNamespaceError
from tests.harness import eventually
from tests.integration.stand_ins import StandIns, stand_ins

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

PROGRAMS = ("broker-1", "broker-2", "controller-101", "producer")

KEEP = f"""
import os, subprocess, sys
from pathlib import Path
from kraftd.errors import KraftdError, NeedsRunningClusterError
from kraftd.host.notify import service_manager
from kraftd.host.signals import StopSignals
from kraftd.operate.selection import ChosenCluster
from kraftd.operate.context import this_command_context
from kraftd.operate.start.foreground import Foreground, ForegroundDoors
from kraftd.operate.start.launch import launch_supervisord
from kraftd.operate.start.start import StartOptions, StartResult
from kraftd.plan.loading import configure
from kraftd.plan.plan_json import parse_plan
from kraftd.supervisord.rpc import Supervisor

path = Path(sys.argv[1])
plan = parse_plan(path.read_text(), path)

class Lines:
    def started(self, result): print("ready", flush=True)
    def event(self, event): print(event.kind, event.program, flush=True)
    def stopped(self, result): print("stopped", flush=True)

def start(chosen, options, command_context):
    # Its parent ends before it: as process 1, this process is given it.
    subprocess.run(["sh", "-c", "sleep 0.5 & echo $!"], check=True)
    launch_supervisord(plan, command_context)
    for name in {PROGRAMS!r}:
        Supervisor(plan.layout.socket).start(plan.program(name).supervised_name)
    return StartResult(plan, {PROGRAMS!r}, (), (), 0.1)

def health(plan, timeout_s):
    raise NeedsRunningClusterError("cannot ask the daemon")

with StopSignals() as signals:
    manager = service_manager(os.environ)
    chosen = ChosenCluster(configure([]), "the default configuration", plan.layout)
    doors = ForegroundDoors(start=start, health=health)
    try:
        Foreground(chosen, StartOptions(), this_command_context(), signals, manager, Lines(), doors=doors).run()
    except KraftdError as error:
        print(error.code, flush=True)
        sys.exit(error.exit_code)
"""
"""`kraftd start --foreground` with a start that needs no Java."""


@pytest.fixture
def prepared(cluster):
    """Yield a cluster of stand-ins that nothing runs."""
    with stand_ins(cluster) as made:
        made.supervisor.shutdown()
        eventually(lambda: not cluster.processes(), within_s=20)
        yield made


@contextlib.contextmanager
def kept(made: StandIns, *before: str, **environ: str) -> Iterator["subprocess.Popen[str]"]:
    """Yield the command that keeps the cluster, once every program runs."""
    command = [*before, sys.executable, "-c", KEEP, str(made.plan.layout.plan)]
    keeper = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environ})
    try:
        eventually(lambda: all(made.runs(name) for name in PROGRAMS), within_s=30, what="every program runs")
        yield keeper
    finally:
        keeper.kill()
        keeper.communicate()


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """Yield the notification socket of a service manager, and its address."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(30)
        address = str(tmp_path / "notify") if request.param == "path" else f"@kraftd-{os.getpid()}"
        listening.bind(address.replace("@", "\0"))
        yield listening, address


def heard(listening, until):
    """Return the variables that were sent, up to a certain one."""
    found = {}
    while until not in found:
        found |= dict(line.split("=", 1) for line in listening.recv(4096).decode().splitlines())
    return found


def test_a_service_manager_hears_of_it_and_a_term_stops_in_order(prepared, manager):
    listening, address = manager
    with kept(prepared, NOTIFY_SOCKET=address, WATCHDOG_USEC="60000000") as keeper:
        ready = heard(listening, "READY")
        eventually(lambda: keeper.stdout.readline() == "ready\n", within_s=30)
        environments = [each.environ() for each in prepared.cluster.processes() if each.pid != keeper.pid]
        keeper.send_signal(signal.SIGTERM)
        stopping = heard(listening, "STOPPING")
        output, _ = keeper.communicate(timeout=60)

    assert (ready["READY"], ready["MAINPID"], stopping["STOPPING"]) == ("1", str(keeper.pid), "1")
    assert "WATCHDOG" not in stopping
    assert not any({"NOTIFY_SOCKET", "WATCHDOG_USEC"} & set(environ) for environ in environments)
    assert keeper.returncode == 0
    assert output.splitlines()[-1] == "stopped"
    assert prepared.ends()[0] == "producer"
    assert prepared.ends()[-1] == "controller-101"
    assert prepared.cluster.processes() == []


def test_a_stop_elsewhere_ends_it_without_a_failure(prepared):
    with kept(prepared) as keeper:
        result = stop(prepared.context, StopOptions())
        output, _ = keeper.communicate(timeout=30)

    assert result.whole_cluster
    assert keeper.returncode == 0
    assert "cluster_stopped " in output.splitlines()
    assert prepared.store.generation() == 1


def test_the_end_of_supervisord_fails_it_and_nothing_is_left_running(prepared):
    with kept(prepared) as keeper:
        os.kill(prepared.supervisor.pid(), signal.SIGKILL)
        output, _ = keeper.communicate(timeout=60)

    assert (keeper.returncode, output.splitlines()[-1]) == (1, "cluster_ended")
    assert set(prepared.ends()) == set(PROGRAMS)
    assert prepared.cluster.processes() == []


def test_as_process_1_it_reaps_orphans_and_ends_with_all_that_it_started(prepared):
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    with kept(prepared, "unshare", *own, "--pid", "--fork", "--mount-proc") as unshare:
        orphan = unshare.stdout.readline()
        eventually(lambda: unshare.stdout.readline() == "ready\n", within_s=20)
        (first,) = psutil.Process(unshare.pid).children()
        supervisord = prepared.cluster.supervisord()
        eventually(lambda: first.children() == [supervisord], within_s=30, what="no child but supervisord")
        with pytest.raises(OtherNamespaceError):
            # Its pids are those of other processes here.
            prepared.process_table()
        first.send_signal(signal.SIGTERM)
        unshare.communicate(timeout=60)

    assert int(orphan) > 1
    assert unshare.returncode == 0
    assert prepared.ends()[-1] == "controller-101"
    assert prepared.cluster.processes() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_as_process_1_it_ends_by_a_signal_that_arrives_while_it_loads(number):
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    # Under nohup a process ignores SIGHUP from its first moment on, and is right to.
    default = f"import signal; signal.signal({number:d}, signal.SIG_DFL)"
    loading = f"{default}; import kraftd.cli, time; print(flush=True); time.sleep(60)"
    arguments = ["unshare", *own, "--pid", "--fork", "--mount-proc", sys.executable, "-c", loading]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as unshare:
        unshare.stdout.readline()
        (first,) = psutil.Process(unshare.pid).children()
        first.send_signal(number)
        try:
            status = unshare.wait(20)
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                first.kill()

    assert status == 128 + number
