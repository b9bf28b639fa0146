"""A tool under a real supervisord: a small program in the place of Grafana, run as Grafana would be."""

import os
import signal
import subprocess
import sys

import pytest

from kraftd.operate.start.doors import start_doors
from kraftd.operate.start.sequence import Deadline, StartSequence
from kraftd.operate.stop.stop import StopOptions, stop_with_lock_held
from tests.grafana import grafana_in
from tests.harness import eventually
from tests.integration.stand_ins import healing, stand_ins, view_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture
def supervised(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{grafana_in(tmp_path)}:{os.environ['PATH']}")
    cluster.settings["grafana.enabled"] = "true"
    with stand_ins(cluster) as made:
        yield made


def start_sequence(made):
    return StartSequence(made.context, start_doors(), Deadline(0, 0, made.store.generation()))


def started(made, within_s=20):
    """Start Grafana as a start does, and return why it does not serve."""
    sequence = start_sequence(made)
    made.process_table()  # lets supervisord see who has ended, as the roll call of a start does
    made.set_desired(True, "grafana")
    sequence.spawn(["grafana"])
    return sequence.wait_for_tools(["grafana"], within_s=within_s)


def test_a_tool_serves_and_is_known_with_and_without_supervisord(supervised):
    assert started(supervised) == {}

    process = supervised.process("grafana")
    assert supervised.plan.marker("grafana").marks(process.command)
    os.kill(supervised.supervisor.pid(), signal.SIGKILL)
    eventually(lambda: supervised.process_table().supervisor is None, within_s=30)

    assert supervised.process("grafana").pid == process.pid


def test_a_tool_that_is_killed_is_started_again(supervised):
    started(supervised)
    with healing(supervised) as service:
        pid = eventually(lambda: (view := view_of(service, "grafana")) and view.ready and view.pid, within_s=20)
        os.kill(pid, signal.SIGKILL)

        again = eventually(
            lambda: (view := view_of(service, "grafana")).ready and view.pid != pid and view, within_s=20
        )

    assert again.restarts == 1
    assert (str(again.last_exit), again.kind.value) == ("signal SIGKILL", "tool")


def test_a_tool_that_ends_at_once_is_reported_and_fails_nothing(supervised, tmp_path):
    (tmp_path / "grafana" / "bin" / "broken").write_text("the cupboard is bare")

    assert started(supervised) == {"grafana": "exit status 1: level=error msg=the cupboard is bare"}


def test_a_tool_that_does_not_answer_is_not_waited_for_long(supervised):
    started(supervised)
    os.kill(supervised.process("grafana").pid, signal.SIGSTOP)

    failed = start_sequence(supervised).wait_for_tools(["grafana"], within_s=0.1)

    assert failed == {"grafana": "/api/health: no answer within 2 s"}


def test_a_tool_is_stopped_with_the_cluster_and_alone(supervised):
    started(supervised)
    alone = stop_with_lock_held(supervised.context, StopOptions(names=("grafana",)))
    assert [(each.name, each.killed) for each in alone.programs] == [("grafana", None)]
    assert not supervised.store.desired().wants("grafana")

    started(supervised)
    whole = stop_with_lock_held(supervised.context, StopOptions())

    assert [(each.name, each.killed) for each in whole.programs] == [("grafana", None)]
    assert supervised.cluster.processes() == []


def test_who_edits_a_tools_configuration_is_not_the_tool(supervised):
    configuration = supervised.plan.layout.config("grafana") / "grafana.ini"
    editing = "import time; print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", editing, str(configuration)], stdout=subprocess.PIPE) as editor:
        editor.stdout.readline()
        os.kill(supervised.supervisor.pid(), signal.SIGKILL)
        eventually(lambda: supervised.process_table().supervisor is None, within_s=30)

        assert "grafana" not in supervised.process_table().processes
        editor.kill()
