"""The two apps as processes of their own, against real brokers."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from kraftd.kafka.administration.administrator import Administrator
from kraftd.plan.plan import Access
from kraftd_apps import __path__ as apps_path
from tests.harness import eventually, free_port


@dataclass
class RunningApp:
    """One app, listening on a port of its own."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Return status and body; POST where there is a body."""
        request = urllib.request.Request(self.url + path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def json(self, path: str, body: bytes | None = None) -> Any:
        return json.loads(self.request(path, body)[1])

    def is_ready(self) -> bool:
        return self._answers_200("/readyz")

    def is_alive(self) -> bool:
        return self._answers_200("/healthz")

    def _answers_200(self, path: str) -> bool:
        try:
            return self.request(path)[0] == 200
        except OSError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Signal the process; returns its exit status and how many seconds it took."""
        started_s = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(timeout=20)
        return status, time.monotonic() - started_s


def start_app(module: str, directory: Path, bootstrap_servers: str, **variables: str) -> RunningApp:
    """Start an app without waiting for it; its log is `<module>-<port>.log` in the directory."""
    port = int(variables.get("APP_PORT", 0)) or free_port()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "APP_"))}
    environment = {
        **inherited,
        "PYTHONPATH": str(Path(apps_path[0]).parent),
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "APP_PORT": str(port),
        **variables,
    }
    log = directory / f"{module}-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", f"kraftd_apps.{module}"],
            env=environment,
            cwd=directory,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return RunningApp(process, port, log)


@dataclass
class Apps:
    """Starts apps in one group of their own, and ends them."""

    directory: Path
    bootstrap_servers: str
    topic: str
    running: list[RunningApp] = field(default_factory=list)
    group: str = field(default_factory=lambda: f"apps-{uuid.uuid4()}")

    def start(self, module: str, **variables: str) -> RunningApp:
        own = {"KAFKA_TOPIC": self.topic, "KAFKA_GROUP_ID": self.group, **variables}
        app = start_app(module, self.directory, self.bootstrap_servers, **own)
        self.running.append(app)
        return app

    def start_ready(self, module: str, **variables: str) -> RunningApp:
        app = self.start(module, **variables)
        eventually(app.is_ready)
        return app

    def kill(self) -> None:
        for app in self.running:
            if app.process.poll() is None:
                app.process.kill()
                app.process.wait()


def _is_made(admin: AdminClient, wanted: NewTopic) -> bool:
    """Make a topic, and return whether that is known: librdkafka drops a request where it forgets a broker meanwhile.

    It does so where one was away a moment before.
    """
    try:
        for done in admin.create_topics([wanted]).values():
            done.result(20)
    except KafkaException as error:
        code = error.args[0].code()
        if code not in (KafkaError._DESTROY_BROKER, KafkaError.TOPIC_ALREADY_EXISTS):
            raise
        return code == KafkaError.TOPIC_ALREADY_EXISTS
    return True


def own_topic(bootstrap_servers: str, partitions: int = 4, **config: str) -> str:
    """Make a topic for one test or module, and return its name; `_` in a property is a dot.

    Every broker knows it then: a member of a group whose coordinator does not know it yet is given no partition.
    """
    topic = f"own-{uuid.uuid4()}"
    properties = {name.replace("_", "."): value for name, value in config.items()}
    wanted = NewTopic(topic, partitions, -1, config=properties)
    eventually(lambda: _is_made(AdminClient({"bootstrap.servers": bootstrap_servers}), wanted))
    with Administrator(Access(tuple(bootstrap_servers.split(",")))) as brokers:
        eventually(lambda: all(topic in view.values for view in brokers.topic_views().values()))
    return topic
