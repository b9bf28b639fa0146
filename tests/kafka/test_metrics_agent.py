"""The metrics agent in real nodes: what it serves, and what happens where it cannot."""

import contextlib
import re
import socket

import pytest

from tests.harness import eventually, fetch

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

MOST_SAMPLES = 1500


def metrics(cluster, node):
    """Return the samples of a node's agent; empty where none answers."""
    port = cluster.program(node)["metrics_port"]
    with contextlib.suppress(OSError):
        return [line for line in fetch(f"http://127.0.0.1:{port}/metrics")[1].splitlines() if not line.startswith("#")]
    return []


def names(samples):
    return {re.split(r"[{ ]", sample)[0] for sample in samples}


def test_every_node_serves_its_jmx_metrics_and_no_more_than_asked_for(cluster):
    for node in ("broker-1", "broker-2"):
        samples = eventually(lambda node=node: metrics(cluster, node), within_s=30, what=f"the agent of {node}")
        assert len(samples) <= MOST_SAMPLES
        assert not [sample for sample in samples if "_cache_" in sample or "partition=" in sample]
        assert {
            "kafka_server_brokertopicmetrics_bytesin_total",
            "kafka_server_replicamanager_underreplicatedpartitions",
            "kafka_controller_kafkacontroller_activecontrollercount",
            "kafka_server_raft_metrics_current_state",
            "kafka_server_raft_metrics_high_watermark",
            "kafka_server_kafkaserver_brokerstate",
            "kafka_network_requestmetrics_totaltimems",
            "jvm_memory_used_bytes",
        } <= names(samples)
    of_controller = eventually(lambda: metrics(cluster, "controller-101"), within_s=30, what="the agent")
    assert "kafka_server_raft_metrics_current_epoch" in names(of_controller)


def test_a_new_daemon_leaves_the_agents_of_before_alone(cluster):
    before = {node: cluster.pid(node) for node in ("broker-1", "broker-2", "controller-101")}
    eventually(lambda: all(metrics(cluster, node) for node in before), within_s=30, what="the agents")
    daemon = cluster.kill("kraftd")

    eventually(lambda: cluster.status()["source"] == "daemon" and cluster.pid("kraftd") != daemon, within_s=30)
    # Longer than the delay after which a daemon loads an agent.
    eventually(lambda: cluster.program("kraftd")["uptime_s"] > 6, within_s=30)

    assert {node: cluster.pid(node) for node in before} == before
    assert all(metrics(cluster, node) for node in before)
    assert not [note for node in before for note in cluster.program(node)["notes"]]


def test_a_broker_serves_without_jmx_and_agent_until_their_ports_are_free(cluster):
    eventually(lambda: metrics(cluster, "broker-2"), within_s=30, what="the agent")
    ports = {name: cluster.program("broker-2")[name] for name in ("jmx_port", "metrics_port")}
    cluster.kill("broker-2")
    with contextlib.ExitStack() as holders:
        for port in ports.values():
            eventually(lambda port=port: held(holders, port), within_s=30, what=f"port {port} is taken")
        broker = eventually(
            lambda: (each := cluster.program("broker-2"))["ready"] and len(each["notes"]) == 2 and each,
            within_s=60,
            what="it serves without both",
        )
        assert (broker["jmx_port"], broker["metrics_port"]) == (None, None)
        eventually(lambda: cluster.status()["status"] == "ok", what="a cluster that is well")

    eventually(lambda: cluster.program("broker-2")["notes"] == [], within_s=40, what="both are opened")
    assert {name: cluster.program("broker-2")[name] for name in ports} == ports
    assert metrics(cluster, "broker-2")


def held(holders, port):
    """Listen on a port until the holders are left; false while that is not possible."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind(("127.0.0.1", port))
        server.listen()
    except OSError:
        server.close()
        return False
    holders.enter_context(server)
    return True
