"""Two combined nodes and a controller of the Kafka door's own tests: small heaps, own ports, ended by pid."""

import contextlib
import re
import signal
import subprocess
from collections import Counter

from kraftd.kafka.probe import ProbeState, connect, probe
from kraftd.plan.plan import Access
from kraftd.render.java_command import ARCHIVE_OPTION
from kraftd.runtime.scratch_node import meta_properties, random_id
from tests.harness import eventually, free_ports
from tests.kafka.runtimes import runtime_of

HOST = "127.0.0.1"
TIMEOUT_S = 2.0
"""The door's limit for one request."""
START_LIMIT_S = 60.0
STOP_LIMIT_S = 20.0

COMMON = {
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "broker.heartbeat.interval.ms": 500,
    "broker.session.timeout.ms": 3000,
    "controller.quorum.fetch.timeout.ms": 1000,
    "controller.quorum.election.timeout.ms": 500,
}
BROKER = {
    "process.roles": "broker,controller",
    "inter.broker.listener.name": "PLAINTEXT",
    "num.partitions": 4,
    "default.replication.factor": 2,
    "offsets.topic.replication.factor": 2,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 2,
    "transaction.state.log.num.partitions": 4,
    "transaction.state.log.min.isr": 1,
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": 0,
    "log.cleaner.dedupe.buffer.size": 4_000_000,
}
MODULES = (
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    "--add-modules=jdk.management.agent",
)
"""Those of kraftd's nodes: with others the JVM uses no start-up archive, and takes twice the CPU to start."""
LOGGING = """log4j.rootLogger=WARN, stdout
log4j.logger.kafka.request.logger=DEBUG, requests
log4j.additivity.kafka.request.logger=false
log4j.appender.requests=org.apache.log4j.FileAppender
log4j.appender.requests.File=%(directory)s/requests.log
log4j.appender.requests.layout=org.apache.log4j.PatternLayout
log4j.appender.requests.layout.ConversionPattern=%%m%%n
log4j.appender.stdout=org.apache.log4j.ConsoleAppender
log4j.appender.stdout.layout=org.apache.log4j.PatternLayout
log4j.appender.stdout.layout.ConversionPattern=[%%d] %%p %%m (%%c)%%n
"""


def caught_up(admin):
    """Return the quorum once no voter is behind."""
    quorum = admin.quorum()
    fresh = [voter.last_caught_up_age_s is not None and voter.last_caught_up_age_s < 1.0 for voter in quorum.voters]
    return quorum if all(fresh) else None


class Nodes:
    """Three nodes by name; what the cluster fixture of all tests offers, and freezing."""

    def __init__(self, directory, kafka_version="3.9.2"):
        self.names = {"broker-1": 1, "broker-2": 2, "controller-101": 101}
        self._directory = directory
        self._runtime = runtime_of(kafka_version)
        self._processes = {}
        ports = free_ports(5)
        self._controllers = {name: next(ports) for name in self.names}
        self._clients = {name: next(ports) for name in ("broker-1", "broker-2")}
        self.bootstrap_servers = ",".join(f"{HOST}:{port}" for port in self._clients.values())
        self.access = Access(tuple(f"{HOST}:{port}" for port in self._clients.values()))
        self.controller_endpoints = tuple((HOST, port) for port in self._controllers.values())
        self._cluster_id = random_id()
        for name in self.names:
            self._write(name)

    def start(self, *names):
        archive = self._runtime.archive
        for name in names:
            directory = self._directory / name
            with (directory / "out.log").open("ab") as log:
                self._processes[name] = subprocess.Popen(
                    [
                        str(self._runtime.java.executable),
                        "-Xms256m" if name in self._clients else "-Xms96m",
                        "-Xmx256m" if name in self._clients else "-Xmx96m",
                        "-XX:+UseSerialGC",
                        "-XX:TieredStopAtLevel=1",
                        *((f"{ARCHIVE_OPTION}{archive}", *MODULES) if archive else ()),
                        f"-Dlog4j.configuration=file:{directory}/log4j.properties",
                        "-cp",
                        ":".join(map(str, self._runtime.classpath)),
                        "kafka.Kafka",
                        str(directory / "server.properties"),
                    ],
                    stdout=log,
                    stderr=log,
                    cwd=directory,
                )
        for name in names:
            eventually(lambda name=name: self._serves(name), within_s=START_LIMIT_S, what=f"{name} serves")

    def kill(self, name):
        self._processes[name].kill()
        self._processes.pop(name).wait()

    def freeze(self, name):
        self._processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name):
        self._processes[name].send_signal(signal.SIGCONT)

    def end(self):
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait(STOP_LIMIT_S)

    def requests_from(self, client_id):
        """Return how many requests of a client the brokers logged, by Kafka's name of the API in capitals."""
        logged = Counter()
        for name in self._clients:
            for line in (self._directory / name / "requests.log").read_text().splitlines():
                # A broker passes some on to the controller, which logs them again where it is in the same node.
                if f'"clientId":"{client_id}"' in line and '"isForwarded":true' not in line:
                    logged[re.search(r'"requestApiKeyName":"(\w+)"', line).group(1)] += 1
        return logged

    def client_port(self, name):
        return self._clients[name]

    def _serves(self, name):
        assert self._processes[name].poll() is None, (self._directory / name / "out.log").read_text()[-2000:]
        if name in self._clients:
            return probe(HOST, self._clients[name], 1.0).api_versions_ok
        return connect(HOST, self._controllers[name], 1.0).state is ProbeState.ANSWERS

    def _write(self, name):
        directory = self._directory / name
        data = directory / "data"
        data.mkdir(parents=True)
        node_id = self.names[name]
        controller = f"CONTROLLER://{HOST}:{self._controllers[name]}"
        settings = COMMON | {
            "node.id": node_id,
            "log.dirs": data,
            "controller.quorum.voters": ",".join(
                f"{self.names[voter]}@{HOST}:{port}" for voter, port in self._controllers.items()
            ),
        }
        if name in self._clients:
            client = f"PLAINTEXT://{HOST}:{self._clients[name]}"
            settings |= BROKER | {"listeners": f"{client},{controller}", "advertised.listeners": client}
        else:
            settings |= {"process.roles": "controller", "listeners": controller}
        (directory / "server.properties").write_text(_properties(settings))
        (directory / "log4j.properties").write_text(LOGGING % {"directory": directory})
        (data / "meta.properties").write_text(meta_properties(self._cluster_id, node_id))


@contextlib.contextmanager
def running_nodes(directory):
    """Yield the nodes once they serve; they are killed at the end."""
    started = Nodes(directory)
    try:
        started.start(*started.names)
        yield started
    finally:
        started.end()


def _properties(settings):
    return "".join(f"{key}={value}\n" for key, value in settings.items())
