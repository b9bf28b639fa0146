"""Other ways to a cluster: Kafka's own steps and flags, and kraftd's own JVMs with nothing around them.

Stock means two combined nodes and a topic with Kafka's default timers, on kraftd's jars. Their JVM flags are those of
bin/kafka-run-class.sh and bin/kafka-server-start.sh of Kafka 3.9; their shells are left out, to the advantage of the
stock way.
"""

import os
import subprocess
import time
from pathlib import Path

from kraftd.kafka.admin import KafkaAdmin
from kraftd.kafka.probe import probe
from kraftd.operate.context import CommandContext
from kraftd.operate.render import files_of
from kraftd.operate.setup import prepare_runtime
from kraftd.operate.start.formatting import format_nodes
from kraftd.operate.start.preflight import make_directories
from kraftd.plan.plan import Plan
from kraftd.render.java_command import node_command
from kraftd.render.logging_config import logging_config, logging_file, logging_option, tools_logging_config
from kraftd.runtime.runtime import Runtime

HOST = "127.0.0.1"
BROKERS = (1, 2)
_POLL_S = 0.05
_PROBE_TIMEOUT_S = 2.0
_LIMIT_S = 120.0
_LOG_BYTES = 100 * 1024**2
_PERFORMANCE = (
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
    "-Djava.awt.headless=true",
)
_JMX = (
    "-Dcom.sun.management.jmxremote=true",
    "-Dcom.sun.management.jmxremote.authenticate=false",
    "-Dcom.sun.management.jmxremote.ssl=false",
    f"-Dcom.sun.management.jmxremote.host={HOST}",
    f"-Djava.rmi.server.hostname={HOST}",
)


class StockCluster:
    """Two nodes in a directory, ended and forgotten by ``kill``."""

    def __init__(
        self, directory: Path, broker_runtime: Runtime, tools_runtime: Runtime, heap: str, offset: int
    ) -> None:
        self._directory = directory
        self._brokers = broker_runtime
        self._tools = tools_runtime
        self._heap = heap
        self._offset = offset
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def pids(self) -> list[int]:
        """The brokers."""
        return [process.pid for process in self._processes]

    def start(self) -> None:
        """Take all steps, one after the other, and return when the topic is created."""
        version = self._brokers.kafka_version
        (self._directory / logging_file(version)).write_text(tools_logging_config(version))
        cluster_id = self._tool(self._brokers, "kafka.tools.StorageTool", "random-uuid").strip()
        for node_id in BROKERS:
            config = self._write_node(node_id)
            self._tool(
                self._brokers, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "--config", config
            )
        for node_id in BROKERS:
            self._spawn(node_id)
        self._wait()
        servers = ",".join(f"{HOST}:{self._client_port(node_id)}" for node_id in BROKERS)
        created = ("--create", "--topic", "test-topic", "--replica-assignment", "1:2,2:1,1:2,2:1")
        self._tool(self._tools, "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", servers, *created)

    def kill(self) -> None:
        """End the brokers; their data is thrown away."""
        for process in self._processes:
            process.kill()
            process.wait()

    def _client_port(self, node_id: int) -> int:
        return 9091 + node_id + self._offset

    def _node_directory(self, node_id: int) -> Path:
        return self._directory / f"broker-{node_id}"

    def _write_node(self, node_id: int) -> str:
        directory = self._node_directory(node_id)
        (directory / "logs").mkdir(parents=True)
        version = self._brokers.kafka_version
        (directory / logging_file(version)).write_text(logging_config(version, _LOG_BYTES))
        properties = {
            "process.roles": "broker,controller",
            "node.id": node_id,
            "controller.quorum.voters": ",".join(f"{each}@{HOST}:{10091 + each + self._offset}" for each in BROKERS),
            "listeners": f"PLAINTEXT://{HOST}:{self._client_port(node_id)},"
            f"CONTROLLER://{HOST}:{10091 + node_id + self._offset}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self._client_port(node_id)}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": directory / "data",
            "num.partitions": 4,
            "default.replication.factor": 2,
            "offsets.topic.replication.factor": 2,
            "transaction.state.log.replication.factor": 2,
            "compression.type": "gzip",
        }
        path = directory / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        return str(path)

    def _spawn(self, node_id: int) -> None:
        directory = self._node_directory(node_id)
        port = 9998 + node_id + self._offset
        command = [
            *(str(self._brokers.java.executable), f"-Xmx{self._heap}", f"-Xms{self._heap}", *_PERFORMANCE),
            f"-Xlog:gc*:file={directory}/logs/kafkaServer-gc.log:time,tags:filecount=10,filesize=100M",
            *_JMX,
            f"-Dcom.sun.management.jmxremote.port={port}",
            f"-Dcom.sun.management.jmxremote.rmi.port={port}",
            f"-Dkafka.logs.dir={directory}/logs",
            logging_option(self._brokers.kafka_version, directory),
            *("-cp", _class_path(self._brokers), "kafka.Kafka", str(directory / "server.properties")),
        ]
        with (directory / "console.log").open("wb") as console:
            self._processes.append(subprocess.Popen(command, stdout=console, stderr=console, env=_environment()))

    def _wait(self) -> None:
        deadline_s = time.monotonic() + _LIMIT_S
        for node_id in BROKERS:
            while not probe(HOST, self._client_port(node_id), _PROBE_TIMEOUT_S).api_versions_ok:
                if time.monotonic() > deadline_s or any(process.poll() is not None for process in self._processes):
                    console = (self._directory / f"broker-{node_id}" / "console.log").read_text()[-2000:]
                    raise RuntimeError(f"cannot start the stock broker {node_id}:\n{console}")
                time.sleep(_POLL_S)

    def _tool(self, runtime: Runtime, main_class: str, *arguments: str) -> str:
        command = [
            *(str(runtime.java.executable), "-Xmx256M", *_PERFORMANCE),
            logging_option(runtime.kafka_version, self._directory),
            *("-cp", _class_path(runtime), main_class, *arguments),
        ]
        done = subprocess.run(command, capture_output=True, text=True, env=_environment(), check=False)
        if done.returncode:
            raise RuntimeError(f"cannot run {main_class} {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
        return done.stdout


class BareCluster:
    """The JVMs of a plan, formatted and rendered beforehand, all started at once and without a supervisor."""

    def __init__(self, plan: Plan, command_context: CommandContext) -> None:
        """Write all files and format all nodes."""
        self._plan = plan
        prepared = prepare_runtime(plan, command_context)
        make_directories(plan)
        for path, text in files_of(plan, prepared.launch, command_context).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        format_nodes(plan, plan.nodes, prepared.bootstrap_checkpoint)
        self._commands = [node_command(plan, node, prepared.launch) for node in plan.nodes]
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def pids(self) -> list[int]:
        """Every node."""
        return [process.pid for process in self._processes]

    def start(self) -> None:
        """Start the nodes, and return when the brokers serve and the topics are created."""
        for command in self._commands:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
            self._processes.append(process)
        for broker in self._plan.brokers:
            deadline_s = time.monotonic() + _LIMIT_S
            while broker.client and not probe(broker.client.host, broker.client.port, _PROBE_TIMEOUT_S).api_versions_ok:
                if time.monotonic() > deadline_s:
                    raise RuntimeError(f"cannot start {broker.name} within {_LIMIT_S:g} s")
                time.sleep(_POLL_S)
        with KafkaAdmin(self._plan.access, timeout_s=_PROBE_TIMEOUT_S) as kafka:
            refused = [each for each in kafka.create_topics(self._plan.topics, _LIMIT_S) if each.failure is not None]
        if refused:
            raise RuntimeError(f"cannot create topics: {refused}")

    def kill(self) -> None:
        """End the nodes; their data is thrown away."""
        for process in self._processes:
            process.kill()
            process.wait()


def _class_path(runtime: Runtime) -> str:
    return ":".join(str(jar) for jar in runtime.classpath)


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ("HOME", "PATH", "TMPDIR") if name in os.environ}
