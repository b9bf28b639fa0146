"""A configuration that cannot be used, and a machine that cannot give what it asks: refused before anything happens."""

import contextlib
import ctypes
import functools
import http.server
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kraftd.operate.context import this_command_context
from kraftd.operate.setup import prepare_runtime
from kraftd.plan.layout import cache_dir
from tests.harness import Cluster, serving
from tests.integration.formatted import format_cluster
from tests.integration.refusals import OFFLINE, error_of, refused
from tests.plans import plan_of

pytestmark = pytest.mark.integration

_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("cluster.heep", "1g", ["cluster.heep: no such setting", "did you mean cluster.heap?"]),
        ("cluster.heap", "4gb!", ['cluster.heap = "4gb!"', "whole number followed by k, m or g"]),
        ("cluster.brokers", "0", ['cluster.brokers = "0"', "from 1 to 32"]),
        ("cluster.brokers", "33", ['cluster.brokers = "33"', "from 1 to 32"]),
        ("cluster.name", "../other", ['cluster.name = "../other"', "lower-case letters, digits"]),
        ("producer.port", "8002", ["producer (HTTP)", "consumer (HTTP)", "change producer.port or consumer.port"]),
        ("daemon.port", "9092", ["broker-1 (client listener)", "kraftd (HTTP)", "change daemon.port"]),
        ("cluster.kafka_version", "2.8", ["cannot use Kafka '2.8'", "3.9.2"]),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_its_value_and_what_is_allowed(cluster, setting, value, words):
    cluster.settings[setting] = value

    error = refused(cluster, "start", status=2, code=error_code_of(setting))

    for word in words:
        assert word in error["message"]


def error_code_of(setting):
    return "unknown_kafka_version" if setting == "cluster.kafka_version" else "invalid_configuration"


def test_every_problem_of_a_file_is_told_at_once_with_its_place(cluster, tmp_path):
    cluster.config = tmp_path / "kraftd.toml"
    cluster.config.write_text('[cluster]\nbrokers = 0\nheep = "1g"\n[[topic]]\nname = "a b"\n')

    error = refused(cluster, "start", status=2, code="invalid_configuration")

    assert len(error["details"]["problems"]) == 3
    assert str(cluster.config) in error["message"]
    assert "cluster.brokers = 0" in error["message"]


def test_more_replicas_than_brokers_are_refused(cluster, tmp_path):
    cluster.config = tmp_path / "kraftd.toml"
    cluster.config.write_text('[[topic]]\nname = "test-topic"\nreplication_factor = 3\n')

    error = refused(cluster, "start", status=2, code="invalid_configuration")

    assert "topic test-topic: replication_factor = 3: there are brokers 1 to 2" in error["message"]
    assert "lower it or raise cluster.brokers" in error["message"]


def test_heaps_beyond_this_machine_are_refused_with_the_key_that_mends_it(cluster):
    cluster.settings["cluster.heap"] = "9000g"

    error = refused(cluster, "start", status=2, code="not_enough_memory")

    assert 'cluster.heap = "9000g"' in error["message"]
    assert "cluster.heap" in error["hint"]
    assert error["details"]["needed_bytes"] > error["details"]["machine_bytes"]


def test_a_port_in_use_is_named_with_its_listener_and_its_holder(cluster):
    command = f"import socket; s = socket.create_server(('127.0.0.1', {9093 + cluster.offset})); print(); input()"
    with subprocess.Popen([sys.executable, "-c", command], stdin=-1, stdout=-1, text=True) as holder:
        holder.stdout.readline()

        error = refused(cluster, "start", status=1, code="port_in_use")

        holder.communicate("")
    assert f"broker-2 (client listener): port {9093 + cluster.offset} is held by pid {holder.pid}" in error["message"]
    assert "python" in error["details"]["ports"][0]["command"]
    assert "cluster.port_offset" in error["hint"]


@pytest.mark.parametrize("content", [b"[cluster]\nheap == 1\n", b"\x7fELF\x02\x01\x00\xff\xfe"])
def test_a_file_that_is_no_toml_is_refused_with_the_line(cluster, tmp_path, content):
    cluster.config = tmp_path / "kraftd.toml"
    cluster.config.write_bytes(content)

    error = refused(cluster, "start", status=2, code="invalid_configuration")

    assert error["message"].startswith(f"cannot read {cluster.config}: ")
    assert "at line" in error["message"]


@pytest.mark.parametrize("name", ["absent.toml", ""])
def test_a_file_that_is_not_there_or_none_is_refused(cluster, tmp_path, name):
    cluster.config = tmp_path / name

    error = refused(cluster, "start", status=2, code="invalid_configuration")

    assert error["message"].startswith(f"cannot read {cluster.config}: ")


def test_a_file_that_this_user_may_not_read_is_refused(cluster, tmp_path):
    cluster.config = tmp_path / "kraftd.toml"
    cluster.config.write_text("")
    cluster.config.chmod(0)

    done = without_privileges(cluster, "--json", "start")

    assert done.returncode == 2
    assert f"cannot read {cluster.config}: permission denied" in done.stdout
    assert "Give this user read access" in done.stdout


def test_a_state_directory_that_cannot_be_written_is_refused(cluster, tmp_path):
    place = tmp_path / "sealed"
    place.mkdir(mode=0o500)
    cluster.state_dir = place / "s"

    done = without_privileges(cluster, "--json", "start")

    assert done.returncode == 4
    assert f"cannot make the directory {cluster.state_dir}: permission denied" in done.stdout
    assert "--state-dir" in done.stdout
    assert list(place.iterdir()) == []


def test_a_cache_that_cannot_be_made_is_refused_with_what_moves_it(cluster, tmp_path):
    (tmp_path / "file").write_text("mine")
    cluster.environ["XDG_CACHE_HOME"] = str(tmp_path / "file")

    error = refused(cluster, "setup", status=4, code="permission_denied")

    assert error["message"].startswith(f"cannot make the directory {tmp_path}/file/kraftd/")
    assert error["hint"] == "Choose another place with XDG_CACHE_HOME in the environment."


def test_a_state_directory_that_is_a_file_is_refused(cluster):
    cluster.state_dir.write_text("mine")

    error = refused(cluster, "start", status=4, code="permission_denied")

    assert str(cluster.state_dir) in error["message"]


def test_a_path_that_supervisord_would_cut_is_refused(cluster, tmp_path):
    cluster.state_dir = tmp_path / "mine ;yours"

    error = refused(cluster, "start", status=2, code="unwritable_value")

    assert "' ;'" in error["message"]
    assert "cluster.state_dir" in error["hint"]


def test_a_java_too_old_for_the_kafka_version_is_refused(cluster, tmp_path):
    home = tmp_path / "java"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").write_text("#!/bin/sh\n")
    (home / "release").write_text('JAVA_VERSION="11.0.2"\n')
    cluster.settings |= {"java.home": home, "cluster.kafka_version": "4.3.1"}

    error = refused(cluster, "start", status=5, code="java_unsuitable")

    assert "cannot run Kafka 4.3.1 with Java 11: it needs Java 17 or newer" in error["message"]
    assert "java.home" in error["hint"]


def test_a_java_home_without_java_is_refused(cluster, tmp_path):
    cluster.settings["java.home"] = tmp_path / "nothing"

    error = refused(cluster, "start", status=5, code="java_missing")

    assert f"there is no {tmp_path}/nothing/bin/java" in error["message"]


def test_a_first_start_without_network_names_the_megabytes_and_ends_soon(cluster, tmp_path):
    cluster.environ = {"XDG_CACHE_HOME": str(tmp_path / "cache"), **OFFLINE}

    done = cluster.run("--json", "start", timeout_s=60)

    assert (done.status, error_of(done)["code"]) == (5, "cannot_fetch")
    assert "MiB) from Maven Central" in done.document["error"]["message"]
    assert done.document["error"]["details"]["missing_bytes"] > 40_000_000
    assert " setup'" in done.document["error"]["hint"]
    assert done.took_s < 30
    assert list(tmp_path.iterdir()) == []


def test_what_the_system_refuses_anywhere_is_a_sentence(cluster):
    plan = format_cluster(cluster)
    log = plan.layout.console("producer")
    log.parent.mkdir(parents=True)
    log.symlink_to(log)

    error = refused(cluster, "logs", "producer", status=1, code="refused_by_system")

    assert error["message"] == f"cannot finish: too many levels of symbolic links: {log}"


def test_a_damaged_jar_is_named_and_without_network_refused(cluster, tmp_path):
    jar = linked_cache(tmp_path / "cache", "kafka-clients-3.9.2.jar")
    jar.unlink()
    jar.write_bytes(b"not a jar")
    cluster.environ = {"XDG_CACHE_HOME": str(tmp_path / "cache"), **OFFLINE}

    done = cluster.run("--json", "start", timeout_s=60)

    assert (done.status, error_of(done)["code"]) == (5, "cannot_fetch")
    assert jar.name in done.document["error"]["message"]
    assert f"{jar.name} in the cache is damaged" in done.stderr
    assert not cluster.state_dir.exists()
    assert jar.read_bytes() == b"not a jar"


def test_a_damaged_jar_is_fetched_again_where_there_is_a_network(tmp_path, monkeypatch):
    jar = linked_cache(tmp_path / "cache", "slf4j-reload4j-1.7.36.jar")
    whole = jar.read_bytes()
    jar.unlink()
    jar.write_bytes(whole[:-1] + b"?")
    served = tmp_path / "repository" / "org" / "slf4j" / "slf4j-reload4j" / "1.7.36" / jar.name
    served.parent.mkdir(parents=True)
    served.write_bytes(whole)
    command_context = replace(this_command_context(), environ={"XDG_CACHE_HOME": str(tmp_path / "cache")})

    with repository(tmp_path / "repository") as (url, asked):
        monkeypatch.setattr("jgo.maven._core.DEFAULT_REMOTE_REPOS", {"central": url})
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        prepare_runtime(plan_of(), command_context)

    assert jar.read_bytes() == whole
    assert asked[0] == f"/{served.relative_to(tmp_path / 'repository')}"


@contextlib.contextmanager
def repository(directory):
    """Serve a directory in place of Maven Central, which no test depends on; yields its address and what was asked."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_arguments):
            asked.append(self.path)

    with serving(functools.partial(Handler, directory=directory)) as port:
        yield f"http://127.0.0.1:{port}", asked


def linked_cache(directory, jar):
    """Make a copy of this user's cache, of links, and return a jar in it."""
    cache = cache_dir(os.environ, Path.home())
    shutil.copytree(cache, directory / "kraftd", copy_function=linked)
    return next((directory / "kraftd" / "jars").rglob(jar))


def linked(source, target):
    try:
        os.link(source, target)
    except OSError:
        # Another file system.
        shutil.copy2(source, target)


def without_privileges(cluster: Cluster, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command that file modes bind, also where these tests run as root: root minus two capabilities."""
    return subprocess.run(
        cluster.arguments(*arguments),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        preexec_fn=_obey_file_modes if os.getuid() == 0 else None,
        check=False,
    )


def _obey_file_modes() -> None:
    kernel = ctypes.CDLL(None, use_errno=True)
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        if kernel.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
