"""Verbs, options and names that there are not, and readers that go away."""

import json
import os
import pty
import re
import signal
import subprocess
import sys

import psutil
import pytest

from kraftd.operate.store import Store
from tests.harness import eventually
from tests.integration.formatted import format_cluster
from tests.integration.refusals import error_of, refused

pytestmark = pytest.mark.integration

NAMES = "broker-1, broker-2, controller-101, producer, consumer, kraftd"


@pytest.fixture
def plan(cluster):
    return format_cluster(cluster)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["strat"], ["no such command 'strat'", "'start'"]),
        (["start", "--fast"], ["no such option: --fast"]),
        (["status", "--set"], ["'--set' requires an argument"]),
        (["logs", "-n", "many"], ["'--lines'", "valid integer"]),
        (["scale", "--brokers", "0"], ["'--brokers'", "greater than or equal to 1"]),
        (["scale", "--brokers", "-1"], ["'--brokers'", "greater than or equal to 1"]),
        (["scale", "--replication-factor", "0"], ["'--replication-factor'", "greater than or equal to 1"]),
        (["version", "9"], ["unexpected extra argument"]),
        ([], ["missing command"]),
    ],
)
def test_usage_that_there_is_not_is_named(cluster, arguments, words):
    error = refused(cluster, *arguments, status=2, code="usage")

    for word in words:
        assert word in error["message"]
    assert "--help" in error["hint"]


def test_a_tool_that_there_is_not_is_named_with_those_there_are(cluster):
    error = refused(cluster, "start", "--with", "zabbix", status=2, code="invalid_configuration")

    assert "zabbix" in error["message"]
    assert "prometheus, alertmanager, grafana" in error["hint"]


def test_the_configuration_of_ones_own_prometheus_needs_no_cluster(cluster):
    done = cluster.run("render", "--prometheus", check=True)

    assert f'url: "http://127.0.0.1:{8000 + cluster.offset}/sd/prometheus"' in done.stdout
    assert "/monitoring/rules/cluster.yml" in done.stdout
    assert not cluster.state_dir.exists()


@pytest.mark.parametrize("name", ["lapto", "laptops", "LAPTOP"])
def test_a_profile_that_there_is_not_is_named_with_those_there_are(cluster, tmp_path, name):
    error = refused(cluster, "init", "--profile", name, status=2, code="unknown_profile")

    assert "Known names: ci, laptop, vm, prod." in error["hint"]
    assert "Did you mean laptop?" in error["hint"] or name.isupper()
    assert not (tmp_path / "kraftd.toml").exists()


def test_a_configuration_file_that_is_a_link_stays_one(cluster, tmp_path):
    theirs = tmp_path / "dotfiles" / "kraftd.toml"
    theirs.parent.mkdir()
    theirs.write_text("")
    cluster.config = tmp_path / "kraftd.toml"
    cluster.config.symlink_to(theirs)

    done = cluster.run("init", "--force", check=True)

    assert done.stdout == f"Wrote {cluster.config}\n"
    assert cluster.config.readlink() == theirs
    assert "[cluster]" in theirs.read_text()


@pytest.mark.parametrize("duration", ["soon", "-5s", "0", "5 parsecs", ""])
def test_a_timeout_that_is_no_duration_is_refused(cluster, duration):
    error = refused(cluster, "start", "--timeout", duration, status=2, code="invalid_configuration")

    assert f"cannot use --timeout {duration}: " in error["message"]
    assert "180s" in error["hint"]


@pytest.mark.parametrize("setting", ["heap", "=1", "cluster=1"])
def test_an_assignment_of_another_form_is_refused(cluster, setting):
    error = refused(cluster, "start", "--set", setting, status=2, code="invalid_configuration")

    assert "the command line" in error["message"]


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "pause", "resume", "status", "logs", "why"])
def test_a_program_that_there_is_not_is_refused_with_those_that_there_are(cluster, plan, verb):
    error = refused(cluster, verb, "broker-9", status=4, code="unknown")

    assert error["message"] == "cannot find the program broker-9 in the cluster local"
    assert error["hint"] == f"Did you mean broker-2? Known names: {NAMES}."


@pytest.mark.parametrize("verb", ["status", "logs", "env", "wait", "destroy", "top"])
def test_a_cluster_that_was_never_started_is_unknown(cluster, verb):
    error = refused(cluster, verb, status=3, code="never_started")

    assert str(cluster.state_dir) in error["message"]


def test_stopping_what_was_never_started_is_done_already_and_makes_nothing(cluster):
    done = cluster.run("stop", "--json")

    assert (done.status, done.document["stopped"]) == (0, [])
    assert not cluster.state_dir.exists()


@pytest.mark.parametrize("command", [("stop",), ("stop", "producer"), ("restart",), ("pause", "producer"), ("status",)])
def test_a_named_cluster_that_was_never_started_is_most_likely_a_typing_error(cluster, command):
    error = refused(cluster, "--cluster", "typo", *command, status=3, code="never_started")

    assert error["message"].startswith("cannot find the cluster typo: ")
    assert "kraftd list" in error["hint"]


@pytest.mark.parametrize(
    "command",
    [("stop",), ("restart",), ("status",), ("topics", "list"), ("destroy", "--yes"), ("upgrade", "--to", "4.3")],
)
def test_a_name_reaches_no_other_cluster_although_its_state_directory_is_configured(cluster, plan, command):
    error = refused(cluster, "--cluster", "typo", *command, status=4, code="unknown")

    assert error["message"] == f"cannot find the cluster typo: {cluster.state_dir} has the cluster local"


@pytest.mark.parametrize("condition", ["nonsense", ":ready", "broker-1:", "broker-1:asleep", ""])
def test_a_condition_that_there_is_not_is_refused(cluster, plan, condition):
    error = refused(cluster, "wait", "--for", condition, status=2, code="invalid_configuration")

    assert f"cannot wait for {condition!r}" in error["message"]
    assert "ready" in error["details"]["known"]


def test_a_wait_for_a_name_that_there_is_not_is_refused_with_the_nearest(cluster, plan):
    error = refused(cluster, "wait", "--for", "ready", "--for", "broker-9:in-sync", status=4, code="unknown")

    assert error["hint"].startswith("Did you mean broker-2? Known names: cluster, ")


def test_a_wait_for_a_rung_that_there_is_not_is_refused_with_the_nearest(cluster, plan):
    error = refused(cluster, "wait", "--for", "broker-1:insync", status=2, code="invalid_configuration")

    assert error["hint"] == (
        "Did you mean in-sync? Known names: spawned, listening, recovered, registered, serving, in-sync, ready, "
        "stopped. Write NAME:RUNG, as in broker-1:ready."
    )


def test_a_wait_that_is_in_vain_names_what_is_missing(cluster, plan):
    error = refused(cluster, "wait", "--timeout", "100ms", status=124, code="timed_out")

    assert "to be ready: broker-1 is STOPPED" in error["message"]


def test_a_command_that_there_is_not_is_refused(cluster, plan):
    error = refused(cluster, "exec", "--", "no-such-command", status=127, code="command_not_found")

    assert error["message"] == "cannot run no-such-command: no such file or directory"
    refused(cluster, "exec", "--", str(cluster.state_dir), status=126, code="command_not_executable")
    refused(cluster, "exec", status=2, code="invalid_configuration")


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -TERM $$", -signal.SIGTERM)])
def test_a_command_keeps_its_exit_status_and_gets_the_variables(cluster, plan, script, status):
    done = cluster.run("exec", "--", "sh", "-c", f"echo $KAFKA_BOOTSTRAP_SERVERS --json; {script}")

    assert done.status == status
    assert done.stdout == f"{plan.access.bootstrap_servers} --json\n"


@pytest.mark.parametrize("option", ["-v", "--verbose"])
def test_a_verbose_command_tells_its_steps_with_times_and_where_its_error_came_from(cluster, option):
    plain, verbose = cluster.run("start", "nobody", "--json"), cluster.run("start", "nobody", "--json", option)

    assert "Traceback" not in plain.stderr
    assert re.search(r"^ +\d+\.\d{3} s  Configuration from ", verbose.stderr, re.MULTILINE)
    assert "Traceback" in verbose.stderr
    assert (verbose.status, verbose.stdout) == (plain.status, plain.stdout)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_command_and_leaves_no_orphan(cluster, plan, number):
    script = "trap 'echo caught; exit 7' TERM INT; echo $$; while :; do sleep 0.1; done"
    with cluster.spawn("exec", "--", "sh", "-c", script) as running:
        pid = int(running.stdout.readline())
        running.send_signal(number)
        try:
            output, _ = running.communicate(timeout=20)
        finally:
            orphan = psutil.pid_exists(pid)
            if orphan:
                os.kill(pid, signal.SIGKILL)

    assert (output, running.returncode, orphan) == ("caught\n", 7, False)


def test_a_command_whose_reader_goes_away_is_ended_by_sigpipe_as_in_a_shell(cluster, plan):
    with cluster.spawn("exec", "--", "yes") as running:
        running.stdout.readline()
        running.stdout.close()

        assert running.wait(timeout=20) == -signal.SIGPIPE


@pytest.mark.parametrize(("tool", "hint"), [("topic", "Did you mean topics?"), ("nosuchtool", "console-consumer")])
def test_a_kafka_tool_that_there_is_not_is_refused_with_those_that_there_are(cluster, plan, tool, hint):
    error = refused(cluster, "kafka", tool, status=2, code="unknown_tool")

    assert f"cannot run the tool '{tool}'" in error["message"]
    assert hint in error["hint"]


def test_destroy_asks_only_at_a_terminal(cluster, plan):
    error = refused(cluster, "destroy", status=2, code="not_confirmed")

    assert "stdin is not a terminal" in error["message"]
    assert "--yes" in error["hint"]


@pytest.mark.parametrize(("answer", "status", "is_left"), [("n", 1, True), ("y", 0, False)])
def test_destroy_lists_what_goes_and_takes_no_for_an_answer(cluster, plan, answer, status, is_left):
    keyboard, terminal = pty.openpty()
    with subprocess.Popen(
        cluster.arguments("destroy"), stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as command:
        os.close(terminal)
        os.write(keyboard, f"{answer}\n".encode())
        output = command.communicate(timeout=30)[0]
        os.close(keyboard)

    assert command.returncode == status
    assert str(plan.layout.state_dir / "data") in output
    assert plan.layout.manifest.exists() is is_left


def test_a_cluster_that_runs_is_not_destroyed(cluster, plan):
    marked = [sys.executable, "-c", "import time; time.sleep(60)", *plan.marker("producer").arguments]
    with subprocess.Popen(marked) as producer:
        done = eventually(
            lambda: (ended := cluster.run("destroy", "--yes", "--json")).status == 8 and ended, within_s=20
        )
        producer.kill()

    assert error_of(done)["message"].endswith("it runs (producer)")
    assert " stop'" in error_of(done)["hint"]
    assert plan.layout.manifest.exists()


@pytest.mark.parametrize("verb", [["logs"], ["plan", "--json"], ["--help"]])
def test_a_reader_that_goes_away_ends_the_command_in_silence(cluster, plan, verb):
    console = plan.layout.console("producer")
    console.parent.mkdir(parents=True)
    console.write_text("a line\n" * 50_000)
    with subprocess.Popen(
        cluster.arguments(*verb, *(["-n", "50000"] if verb == ["logs"] else [])),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        command.stdout.close()
        complaint = command.stderr.read()

    assert command.returncode == 141
    assert complaint == ""


def test_log_lines_are_a_document_or_a_line_each_where_they_are_followed(cluster, plan):
    console = plan.layout.console("producer")
    console.parent.mkdir(parents=True)
    console.write_text("one\n\xe9\n")

    lines = cluster.run("logs", "producer", "--json").document["lines"]
    with cluster.spawn("logs", "producer", "--json", "-f", "-n", "1") as following:
        first = json.loads(following.stdout.readline())
        with console.open("a") as file:
            file.write("three\n")
        second = json.loads(following.stdout.readline())
        following.send_signal(signal.SIGINT)
        _, complaint = following.communicate(timeout=30)

    assert [line["text"] for line in lines] == ["one", "\xe9"]
    assert first == {"program": "producer", "file": "console.log", "text": "\xe9", "at": None}
    assert second["text"] == "three"
    assert (following.returncode, complaint) == (130, "")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_ctrl_c_during_a_start_ends_with_130_and_says_what_runs(cluster, plan, options):
    # The lock is held by this test: the command waits for it, which needs neither jars nor Java.
    script = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(flush=True); input()"
    holder = [sys.executable, "-c", script, str(plan.layout.lock)]
    held = subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    held.stdout.readline()
    marked = [sys.executable, "-c", "import time; time.sleep(60)", *plan.marker("producer").arguments]
    with held, subprocess.Popen(marked) as producer:
        command = cluster.spawn("start", *options)
        assert command.stderr.readline() == "Waiting for another kraftd command\n"

        command.send_signal(signal.SIGINT)
        output, complaint = command.communicate(timeout=30)
        producer.kill()
        held.communicate(b"")

    assert command.returncode == 130
    told = json.loads(output)["error"]["hint"] if options else complaint
    assert "Still running: producer; " in told
    assert f"--state-dir {cluster.state_dir} stop' stops the cluster." in told
    assert "Traceback" not in complaint
    assert Store(plan.layout).desired().wants("broker-1") is False


def test_a_terminal_of_another_encoding_is_no_reason_for_a_traceback(cluster, plan):
    cluster.environ = {"PYTHONIOENCODING": "ascii"}

    done = cluster.run("status")

    assert (done.status, done.stderr) == (3, "")
    assert "Cluster local: down" in done.stdout


def test_a_path_that_is_no_text_is_shown_escaped(cluster, tmp_path):
    cluster.config = tmp_path / os.fsdecode(b"\xff.toml")

    error = refused(cluster, "status", status=2, code="invalid_configuration")

    assert error["message"] == f"cannot read {cluster.config}: there is no such file"


def test_a_cluster_that_cannot_even_be_laid_out_is_listed_as_damaged(cluster, tmp_path):
    place = tmp_path / "kraftd" / ("x" * 120)
    place.mkdir(parents=True)
    (place / "plan.json").write_text("{}")
    cluster.environ = {"XDG_STATE_HOME": str(tmp_path)}

    (listed,) = cluster.run("list", "--json", check=True).document["clusters"]

    assert (listed["status"], listed["state_dir"]) == ("damaged", str(place))


@pytest.mark.parametrize(
    ("command", "status", "code"),
    [
        (("apply",), 7, "not_running"),
        (("apply", "--dry-run"), 7, "not_running"),
        (("restart", "--rolling"), 7, "not_running"),
        (("restart", "--rolling", "broker-9"), 4, "unknown"),
        (("restart", "--dry-run"), 2, "invalid_configuration"),
    ],
)
def test_a_change_of_a_cluster_that_does_not_run_is_refused(cluster, plan, command, status, code):
    before = sorted(path.name for path in cluster.state_dir.iterdir())

    refused(cluster, *command, status=status, code=code)

    assert sorted(path.name for path in cluster.state_dir.iterdir()) == before


@pytest.mark.parametrize("command", [("apply",), ("restart", "--rolling")])
def test_a_change_of_a_cluster_that_was_never_started_makes_no_directory(cluster, command):
    done = cluster.run(*command, "--json")

    assert done.status in (3, 7)
    assert done.error["code"] in ("never_started", "not_running")
    assert not cluster.state_dir.exists()
