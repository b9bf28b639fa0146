"""The start-up archive and the format without a JVM, on scratch nodes."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from kraftd.clock import SystemClock
from kraftd.errors import KraftdError
from kraftd.host.environment import inherited_environment
from kraftd.host.jvm import temporary_directory
from kraftd.host.processes import find_by_marker
from kraftd.plan import kinds
from kraftd.plan.layout import cache_dir
from kraftd.plan.program import java_marker
from kraftd.render.java_command import PROPERTIES, JvmLaunch, node_command
from kraftd.render.kafka_tools import find_tool, tool_command
from kraftd.render.logging_config import logging_option
from kraftd.runtime.jars import JarSet
from kraftd.runtime.scratch_node import NODE, ScratchProcess, format_command, free_ports, scratch_plan, write_scratch
from kraftd.runtime.training import train_archive
from tests.kafka.runtimes import runtime_of

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

CLOCK = SystemClock()
SHARED_CACHE = cache_dir(os.environ, Path.home())
MUST_LOAD = "-XX:AOTMode=on"
"""Makes the JVM end where it would otherwise go on without the archive."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A runtime of the default version with an archive of its own."""
    runtime = runtime_of("3.9.2")
    own_cache = tmp_path_factory.mktemp("cache")
    archive = train_archive(runtime, own_cache, (), CLOCK, note=lambda _text: None)
    return replace(runtime, archive=archive)


def with_controller(plan):
    """Return the plan with a controller of its own as the quorum: without JMX, and with another collector."""
    (broker,) = plan.nodes
    controller = kinds.controller(101, (broker.controller,), broker.heap_bytes)
    return replace(plan, nodes=(broker, controller), voters=(replace(plan.voters[0], node_id=101),))


def starts(plan, node, runtime, *options) -> None:
    """Start one of the plan's nodes, wait for its port and end it.

    Raises:
        KraftdError: It ended instead.
    """
    write_scratch(plan, runtime.bootstrap_checkpoint)
    launch = JvmLaunch(runtime.java.executable, runtime.java.major, runtime.classpath, runtime.archive)
    command = node_command(plan, node, launch)
    with ScratchProcess((command[0], *options, *command[1:]), plan.layout.state_dir, CLOCK) as process:
        process.wait_for_port(node.listeners[0].port, 60)


def test_a_broker_with_a_large_heap_starts_from_the_archive(trained, tmp_path):
    plan = scratch_plan(tmp_path, "3.9.2", (), free_ports())

    starts(plan, replace(plan.nodes[0], heap_bytes=4 * 1024**3), trained, MUST_LOAD)


def test_a_controller_starts_from_the_archive_of_the_brokers(trained, tmp_path):
    plan = with_controller(scratch_plan(tmp_path, "3.9.2", (), free_ports()))

    starts(plan, plan.nodes[1], trained, MUST_LOAD)


def test_a_jvm_that_refuses_the_archive_would_be_seen_here(trained, tmp_path):
    plan = scratch_plan(tmp_path, "3.9.2", (), free_ports())

    with pytest.raises(KraftdError, match="Unable to use AOT cache"):
        starts(plan, plan.nodes[0], trained, MUST_LOAD, "-XX:+UseCompactObjectHeaders")


def test_a_start_from_the_archive_writes_nothing_to_the_console(trained, tmp_path):
    plan = scratch_plan(tmp_path, "3.9.2", (), free_ports())

    starts(plan, plan.nodes[0], trained)

    assert (tmp_path / "console.log").read_text() == ""


def test_a_node_that_cannot_start_tells_why(trained, tmp_path):
    plan = scratch_plan(tmp_path, "3.9.2", (), free_ports())
    broken = replace(plan.nodes[0], config=(("num.io.threads", "none"),))

    with pytest.raises(KraftdError, match=r"Invalid value none for configuration num\.io\.threads"):
        starts(replace(plan, nodes=(broken,)), broken, trained)


def test_a_second_training_finds_the_archive_of_the_first(trained):
    def must_not_run(_access):
        raise AssertionError("trained again")

    own_cache = trained.archive.parent.parent
    again = train_archive(trained, own_cache, (), CLOCK, note=lambda _text: None, workload=must_not_run)

    assert again == trained.archive


def test_a_training_that_fails_leaves_neither_process_nor_files(tmp_path):
    seen, sockets = [], []

    def fail(_access):
        (directory,) = (tmp_path / "archives").glob("scratch-*")
        seen.append(java_marker(f"{directory}/{NODE}"))
        (jvm,) = find_by_marker(seen).values()
        # The command that opened JMX made it.
        sockets.append(temporary_directory() / f".java_pid{jvm.pid}")
        assert sockets[0].is_socket()
        raise KraftdError("cannot go on")

    with pytest.raises(KraftdError, match="cannot go on"):
        train_archive(runtime_of("3.9.2"), tmp_path, (), CLOCK, note=lambda _text: None, workload=fail)

    assert find_by_marker(seen) == {}
    assert [path for path in sockets if path.exists()] == []
    assert list(tmp_path.rglob("scratch-*")) == []
    assert list(tmp_path.rglob("*.aot")) == []


def finalized_features(plan, kafka_version) -> str:
    """Start the plan's node and return what Kafka's own tool says of its features."""
    runtime = runtime_of(kafka_version)
    tools = runtime_of(kafka_version, JarSet.TOOLS)
    tool = find_tool("features", kafka_version)
    (node,) = plan.nodes
    describe = tool_command(
        tool,
        tool.arguments(["describe"], plan.access.bootstrap_servers),
        java=tools.java.executable,
        java_major=tools.java.major,
        classpath=tools.classpath,
        logging_option=logging_option(kafka_version, plan.layout.config(node.name)),
    )
    launch = JvmLaunch(runtime.java.executable, runtime.java.major, runtime.classpath, runtime.archive)
    with ScratchProcess(node_command(plan, node, launch), plan.layout.state_dir, CLOCK) as process:
        process.wait_for_port(node.client.port, 60)
        # A node's logging configuration, without the node's directory of logs, writes beneath the working directory.
        directory, env = plan.layout.state_dir, inherited_environment(os.environ)
        output = subprocess.run(describe, cwd=directory, env=env, capture_output=True, text=True, check=True).stdout
    assert "metadata.version" in output
    return "\n".join(line.split("Epoch")[0] for line in output.splitlines())


@pytest.mark.parametrize("kafka_version", ["3.9.2", "4.3.1"])
def test_a_format_without_jvm_begins_with_the_features_of_a_format_by_kafka(kafka_version, tmp_path):
    runtime = runtime_of(kafka_version)
    ours = scratch_plan(tmp_path / "ours", kafka_version, (), free_ports())
    write_scratch(ours, runtime.bootstrap_checkpoint)

    theirs = scratch_plan(tmp_path / "theirs", kafka_version, (), free_ports())
    write_scratch(theirs, None)
    (theirs.layout.data(NODE) / "meta.properties").unlink()
    command = format_command(runtime.java, runtime.classpath, theirs.layout.config(NODE) / PROPERTIES)
    subprocess.run(command, env=inherited_environment(os.environ), check=True, capture_output=True)

    assert finalized_features(ours, kafka_version) == finalized_features(theirs, kafka_version)
