"""From nothing to records flowing, and back, on real brokers."""

import json

import psutil
import pytest

from kraftd.host.files import is_locked
from kraftd.host.jvm import temporary_directory
from tests.harness import NO_APPS, eventually
from tests.kafka.writers import read_log

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


def test_start_makes_every_program_ready(cluster):
    document = eventually(lambda: (each := cluster.status())["status"] == "ok" and each, what="a cluster that is well")

    assert document["ready"] is True
    assert {node["name"]: node["ready"] for node in document["nodes"]} == dict.fromkeys(
        ["broker-1", "broker-2", "controller-101", "producer", "consumer", "kraftd"], True
    )
    # Its first answer loads the framework; a status does not wait for that on a busy machine.
    eventually(lambda: cluster.status()["source"] == "daemon", within_s=30, what="the daemon answers")


def test_the_topic_has_the_declared_assignment(cluster):
    described = cluster.run("kafka", "topics", "--describe", "--topic", "test-topic", check=True).stdout

    replicas = [line.split("Replicas: ")[1].split("\t")[0] for line in described.splitlines() if "Partition:" in line]
    assert replicas == ["1,2", "2,1", "1,2", "2,1"]


def test_what_is_sent_stands_on_the_consumers_page(cluster):
    answer = cluster.send({"key": "Hello Kafka!"})

    assert answer["topic"] == "test-topic"
    assert answer["offset"] >= 0
    eventually(lambda: "Hello Kafka!" in cluster.get("consumer", "/")[1], within_s=30, what="the text on the page")


def test_a_second_start_changes_nothing(cluster):
    before = {name: cluster.pid(name) for name in ("broker-1", "broker-2", "controller-101", "producer", "kraftd")}

    again = cluster.start("--json")

    assert again.document["started"] == []
    assert {name: cluster.pid(name) for name in before} == before


def test_nothing_listens_beyond_loopback(cluster):
    listening = [
        connection.laddr.ip
        for process in cluster.processes()
        for connection in process.net_connections(kind="inet")
        if connection.status == "LISTEN"
    ]

    assert listening
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_each_node_locks_its_data_so_that_other_containers_leave_it_alone(cluster):
    nodes = ("broker-1", "broker-2", "controller-101")

    assert [is_locked(cluster.state_dir / "data" / node / ".lock") for node in nodes] == [True, True, True]


def test_a_jmx_client_reads_a_broker(cluster):
    for port in (9999, 10000):
        read = cluster.run(
            "kafka",
            "jmx",
            "--jmx-url",
            f"service:jmx:rmi:///jndi/rmi://127.0.0.1:{port + cluster.offset}/jmxrmi",
            "--object-name",
            "kafka.server:type=KafkaServer,name=BrokerState",
            "--one-time",
            "true",
            check=True,
        ).stdout

        assert '"kafka.server:type=KafkaServer,name=BrokerState:Value"' in read
        assert ",3" in read


def test_a_jmx_client_without_the_clusters_password_is_refused(cluster):
    read = ("kafka", "jmx", "--object-name", "kafka.server:type=KafkaServer,name=BrokerState", "--one-time", "true")

    refused = cluster.run(*read, "--jmx-auth-prop", "kraftd=guessed")

    assert refused.status != 0
    assert "BrokerState:Value" not in refused.stdout


def test_the_jmx_password_shows_in_no_command_line(cluster):
    password = (cluster.state_dir / "config" / "kraftd" / "jmxremote.password").read_text().split()[1]
    with cluster.spawn("kafka", "jmx", "--object-name", "kafka.server:type=KafkaServer,name=BrokerState") as client:
        eventually(lambda: "BrokerState" in client.stdout.readline(), within_s=30, what="the client reads")
        command = psutil.Process(client.pid).cmdline()
        client.terminate()
        client.communicate(timeout=20)

    assert "java" in command[0]
    assert not [word for word in (*command, *cluster.command("broker-1")) if password in word]


def test_stop_is_clean_and_start_keeps_records_and_offsets(fresh):
    fresh.start()
    sent = [fresh.send({"number": number}) for number in range(20)]
    eventually(lambda: lag_of(fresh) == 0, within_s=20, what="the consumer caught up")
    sockets = [temporary_directory() / f".java_pid{fresh.pid(name)}" for name in ("broker-1", "broker-2")]
    # The daemon lets a node be for a while before it loads the agent.
    eventually(lambda: all(socket.exists() for socket in sockets), what="the agent of each broker")
    stopped = fresh.stop("--json").document

    assert stopped["unclean"] == []
    assert fresh.processes() == []
    assert not any(socket.exists() for socket in sockets)

    fresh.start()

    assert len({(answer["partition"], answer["offset"]) for answer in sent}) == 20
    read = read_all(fresh)
    assert sorted(record["number"] for record in read) == list(range(20))
    assert eventually(lambda: lag_of(fresh) == 0, within_s=20, what="the group's offsets")


def test_a_stopped_cluster_stops_again_without_fault(fresh):
    fresh.settings |= NO_APPS
    assert fresh.stop("--json").document["stopped"] == []

    fresh.start()
    fresh.stop()

    assert fresh.run("stop").status == 0
    assert fresh.run("status").status == 3


def test_two_starts_at_the_same_time_both_end_with_the_same_cluster(fresh):
    first, second = fresh.spawn("start", "--json"), fresh.spawn("start", "--json")
    outputs = [json.loads(process.communicate(timeout=200)[0]) for process in (first, second)]

    assert (first.returncode, second.returncode) == (0, 0)
    pids = [{node["name"]: node["pid"] for node in output["nodes"]} for output in outputs]
    assert pids[0] == pids[1]
    assert sorted(bool(output["started"]) for output in outputs) == [False, True]


def test_stop_interrupts_a_start(fresh):
    fresh.settings |= NO_APPS
    starting = fresh.spawn("start", "--json")
    eventually(lambda: fresh.pid("broker-1"), within_s=30, what="a broker's process")

    stopped = fresh.stop()
    output, _ = starting.communicate(timeout=60)

    assert stopped.status == 0
    assert starting.returncode == 1
    assert json.loads(output)["error"]["code"] == "yielded_to_stop"
    assert fresh.processes() == []


@pytest.mark.parametrize("version", ["3.9.1", "4.3.1"])
def test_other_kafka_versions_carry_records_too(fresh, version):
    fresh.settings |= {"cluster.kafka_version": version, "consumer.enabled": "false"}
    fresh.start()
    fresh.send({"version": version})

    assert read_all(fresh) == [{"version": version}]
    assert fresh.status()["kafka_version"] == version
    assert fresh.stop("--json").document["unclean"] == []


def read_all(cluster):
    """Return every record of the topic."""
    return [json.loads(value) for value in read_log(cluster.bootstrap_servers, "test-topic").values()]


def lag_of(cluster):
    """Return the group's lag as the daemon serves it; None while it is unknown."""
    _, body = cluster.get("kraftd", "/health")
    groups = json.loads(body).get("groups") or []
    return next((group["lag"] for group in groups if group["group"] == "test-group"), None)


def test_the_users_collector_runs_the_nodes(fresh):
    fresh.settings |= {"java.options": '["-XX:+UseParallelGC"]', "cluster.brokers": 1, **NO_APPS}

    fresh.start()

    assert "-XX:+UseParallelGC" in fresh.command("broker-1")
    assert "Using Parallel" in (fresh.state_dir / "logs" / "broker-1" / "gc.log").read_text()
