"""The commands for when something is wrong, on a cluster that is not running."""

import json
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import tarfile

import pytest

from kraftd.clock import SystemClock
from kraftd.host.events import EventLog
from kraftd.host.jvm import jmx_password, write_management_files
from kraftd.host.lock import acquire
from kraftd.operate.configuring import plan_for
from kraftd.operate.context import this_command_context
from kraftd.operate.selection import Selection, choose_cluster
from kraftd.operate.start.formatting import format_nodes
from kraftd.operate.store import Store
from tests.harness import eventually
from tests.integration.formatted import format_cluster
from tests.integration.refusals import refused
from tests.integration.stand_ins import stand_ins

pytestmark = pytest.mark.integration


@pytest.fixture
def plan(cluster):
    return format_cluster(cluster)


@pytest.fixture
def events(plan):
    log = EventLog(plan.layout.events, "daemon", SystemClock())
    log.record("exited", "ended with signal SIGKILL", program="broker-1")
    log.record("restarted", "signal SIGKILL", program="broker-1")
    return log


def test_events_are_lines_for_people_and_documents_for_scripts(cluster, events):
    shown = cluster.run("events", check=True).stdout.splitlines()
    documents = [json.loads(line) for line in cluster.run("events", "--json", check=True).stdout.splitlines()]

    assert ["exited" in shown[0], "restarted" in shown[1], len(shown)] == [True, True, 2]
    assert [(each["writer"], each["program"], each["kind"]) for each in documents] == [
        ("daemon", "broker-1", "exited"),
        ("daemon", "broker-1", "restarted"),
    ]


def test_followed_events_are_shown_as_they_are_recorded(cluster, events):
    following = cluster.spawn("events", "-f", "--json")
    try:
        kinds = [json.loads(following.stdout.readline())["kind"] for _ in range(2)]
        events.record("given_up", "it cannot work", program="broker-1")
        kinds.append(json.loads(following.stdout.readline())["kind"])
    finally:
        following.terminate()
        following.communicate()

    assert kinds == ["exited", "restarted", "given_up"]


@pytest.mark.parametrize("since", ["yesterday", "0s", "2026-01-31T12:00:00", ""])
def test_a_time_that_there_is_not_is_refused_with_an_example(cluster, plan, since):
    error = refused(cluster, "events", f"--since={since}", status=2, code="bad_since")

    assert "10m" in error["hint"]


def test_there_are_no_events_of_a_cluster_that_was_never_started(cluster):
    refused(cluster, "events", status=3, code="never_started")


def findings_of(cluster, *arguments, status):
    """Run the doctor, and return its findings by name."""
    done = cluster.run("doctor", "--json", *arguments)
    assert done.status == status, done
    return {each["name"]: each for each in done.document["findings"]}


def test_the_doctor_finds_nothing_wrong_where_nothing_was_started_and_writes_nothing(cluster):
    found = findings_of(cluster, status=0)

    assert {each["status"] for each in found.values()} <= {"ok", "warning"}
    assert {"Java", "Kafka", "ports", "memory", "disk", "logs", "data", "lock", "records"} <= set(found)
    assert all(each["remedy"] for each in found.values() if each["status"] != "ok")
    assert not cluster.state_dir.exists()


def test_the_doctor_names_the_holder_of_a_port(cluster, plan):
    with socket.create_server(("127.0.0.1", plan.brokers[1].client.port)):
        port = findings_of(cluster, status=1)["ports"]

    assert port["status"] == "failure"
    assert (
        f"broker-2 (client listener): port {plan.brokers[1].client.port} is held by pid {os.getpid()}" in port["fact"]
    )


def test_the_doctor_takes_the_ports_of_a_running_cluster_for_its_own(cluster):
    with stand_ins(cluster) as running:
        running.behave("broker-1")
        running.start("broker-1")

        supervised = findings_of(cluster, status=0)
        supervisor = running.process_table().supervisor
        os.kill(supervisor.pid, signal.SIGKILL)
        eventually(lambda: running.process_table().supervisor is None, within_s=30)
        orphaned = findings_of(cluster, status=1)

    assert "supervisord runs broker-1" in supervised["supervision"]["fact"]
    assert "besides those of 1 running program" in supervised["ports"]["fact"]
    assert orphaned["supervision"]["status"] == "failure"
    assert "broker-1" in orphaned["supervision"]["fact"]


def test_damage_to_the_files_of_a_cluster_that_runs_is_told_as_such(cluster):
    with stand_ins(cluster) as running:
        running.behave("broker-1")
        running.start("broker-1")
        layout = running.plan.layout
        properties = layout.config("broker-1") / "server.properties"
        properties.write_text(properties.read_text()[:40])
        plan = layout.plan.read_text()

        rendered = findings_of(cluster, status=1)["rendered files"]
        layout.plan.unlink()
        status = cluster.run("status", "--json")
        restart = cluster.run("restart", "broker-1", "--json")
        still_runs = running.process("broker-1") is not None
        layout.plan.write_text(plan)

    assert rendered["status"] == "failure"
    assert f"{properties} is truncated" in rendered["fact"]
    assert " apply'" in rendered["remedy"]
    assert (status.status, status.error["code"]) == (1, "plan_missing")
    assert "supervisord" in status.error["message"]
    assert (restart.status, restart.error["code"], still_runs) == (1, "plan_missing", True)


def test_the_doctor_finds_what_a_start_would_refuse(cluster, plan):
    (plan.layout.data("broker-1") / "meta.properties").unlink()
    (plan.layout.data("broker-1") / "00000000000000000000.log").touch()
    cluster.settings = {"cluster.heap": "2000g", "disk.min_free": "100000g"}

    found = findings_of(cluster, status=1)

    assert {name for name, each in found.items() if each["status"] == "failure"} >= {"data", "memory"}


@pytest.mark.parametrize("record", ["plan", "manifest", "desired"])
def test_the_doctor_finds_a_damaged_record(cluster, plan, record):
    getattr(plan.layout, record).write_text("{")

    found = findings_of(cluster, status=1)

    assert "failure" in {found["records"]["status"], found.get("configuration", found["records"])["status"]}


def test_the_doctor_finds_a_wrong_configuration(cluster):
    found = findings_of(cluster, "--set", "cluster.brokers=0", status=1)

    assert (found["configuration"]["status"], found["vm.max_map_count"]["status"]) == ("failure", "ok")


def test_the_doctor_names_the_holder_of_the_lock(cluster, plan):
    with acquire(plan.layout.lock, command="start", clock=SystemClock(), timeout_s=5):
        found = findings_of(cluster, status=0)

    assert (found["lock"]["status"], f"'kraftd start' (pid {os.getpid()})" in found["lock"]["fact"]) == (
        "warning",
        True,
    )


def test_the_doctor_finds_a_clock_that_is_behind_the_data(cluster, plan):
    os.utime(plan.layout.plan, (4e9, 4e9))

    assert findings_of(cluster, status=0)["clock"]["status"] == "warning"


@pytest.fixture
def with_secrets(cluster):
    """A cluster whose configuration, rendered files and logs hold secrets."""
    cluster.config = cluster.state_dir.parent / "secrets.toml"
    cluster.config.write_text(
        '[java]\noptions = ["-Djavax.net.ssl.keyStorePassword=planted-of-java"]\n'
        '[producer.env]\nAPP_API_TOKEN = "planted-token-of-the-app"\n'
        '[broker.config]\n"ssl.key.password" = "planted-ssl-key"\n'
        '"sasl.jaas.config" = \'x.PlainLoginModule required username="ada" password="planted-in-jaas";\'\n'
        '[alertmanager]\nwebhook_url = "https://hooks.example/planted-hook"\n'
    )
    plan = format_cluster_of(cluster)
    write_management_files(plan.layout.jmx)
    (plan.layout.jmx / "metrics.token").write_text("planted-in-a-token-file\n")
    env = plan.layout.config("producer") / ".env"
    env.parent.mkdir(parents=True)
    env.write_text("APP_API_TOKEN='planted-token-of-the-app'\n")
    log = plan.layout.logs("broker-1") / "server.log"
    log.parent.mkdir(parents=True)
    log.write_text(
        "ERROR planted-ssl-key and password=planted-in-jaas, planted-of-java, planted-token-of-the-app\n"
        f"WARN {jmx_password(plan.layout.jmx)} planted-in-a-token-file https://hooks.example/planted-hook\n"
    )
    return plan


def format_cluster_of(cluster):
    """Format a cluster by its file, which the helper of other tests does not read."""
    command_context = this_command_context()
    selection = Selection(config=cluster.config, state_dir=cluster.state_dir)
    plan = plan_for(choose_cluster(selection, command_context), command_context).plan
    format_nodes(plan, plan.nodes, None)
    Store(plan.layout).write_plan(plan)
    return plan


def content_of(path):
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read().decode() for member in archive.getmembers()}


def test_a_bundle_holds_what_a_bug_report_needs_and_no_secret(cluster, with_secrets, tmp_path):
    path = tmp_path / "report.tar.gz"

    cluster.run("bundle", str(path), check=True)

    found = content_of(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {name.removeprefix("report/") for name in found} >= {
        "doctor.json",
        "settings.json",
        "plan.json",
        "status.json",
        "manifest.json",
        "rendered/config/producer/.env",
        "rendered/config/kraftd/jmxremote.password",
        "logs/broker-1/server.log",
    }
    text = "\n".join(found.values())
    assert "planted" not in text
    assert jmx_password(with_secrets.layout.jmx) not in text
    assert "ERROR *** and password=***" in text


def test_a_bundle_replaces_no_file(cluster, plan, tmp_path):
    (tmp_path / "mine.tar.gz").write_text("mine")

    refused(cluster, "bundle", str(tmp_path / "mine.tar.gz"), status=2, code="file_exists")

    assert (tmp_path / "mine.tar.gz").read_text() == "mine"


@pytest.mark.parametrize("place", ["absent/b.tar.gz", "file/b.tar.gz"])
def test_a_bundle_that_cannot_be_written_leaves_nothing(cluster, plan, tmp_path, place):
    (tmp_path / "file").touch()

    error = refused(cluster, "bundle", str(tmp_path / place), status=4, code="permission_denied")

    assert "FILE" in error["hint"]


def test_a_bundle_that_finds_no_space_leaves_nothing(cluster, plan, tmp_path):
    log = plan.layout.logs("broker-1") / "server.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(random.Random(1).randbytes(400_000).hex().encode())
    limit = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)); "
    target = tmp_path / "b.tar.gz"

    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{limit}os.execv(sys.argv[1], sys.argv[1:])",
            *cluster.arguments("bundle", str(target)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, "file too large" in done.stderr) == (4, True), done.stderr
    assert [path.name for path in tmp_path.iterdir() if "tar.gz" in path.name] == []
