"""Other monitors of Kafka, run as their users run them."""

import contextlib
import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_START_LIMIT_S = 30.0

# Burrow does not start without a ZooKeeper, even for a cluster that has none.
_BURROW = """\
[general]
pidfile = "{directory}/burrow.pid"
[logging]
filename = "{directory}/burrow.log"
level = "warn"
[zookeeper]
servers = ["127.0.0.1:2181"]
[client-profile.bench]
client-id = "burrow"
kafka-version = "2.0.0"
[cluster.local]
class-name = "kafka"
servers = [{servers}]
client-profile = "bench"
topic-refresh = 10
offset-refresh = 10
[consumer.local]
class-name = "kafka"
cluster = "local"
servers = [{servers}]
client-profile = "bench"
[httpserver.default]
address = "127.0.0.1:{port}"
"""


class PeerFailedError(Exception):
    """A peer did not serve; the text says why."""


@dataclass(frozen=True)
class Peer:
    """A monitor that runs.

    Attributes:
        url: Where it answers with what it measured.
        is_streaming: It works all the time, not when it is asked.
    """

    name: str
    pid: int
    url: str
    is_streaming: bool = False

    def scrape(self) -> int:
        """Ask once; return the length of the answer."""
        with urllib.request.urlopen(self.url, timeout=60) as response:
            return len(response.read())


@contextlib.contextmanager
def running(name: str, binary: str, servers: list[str], port: int) -> Iterator[Peer]:
    """Run a peer, known by its name, and end it.

    Raises:
        PeerFailedError: It is not known, or does not serve.
    """
    with tempfile.TemporaryDirectory(prefix="kraftd-bench-") as text:
        directory = Path(text)
        arguments, environment, path = _invocation(name, servers, port, directory)
        with (directory / "output").open("wb") as output:
            process = subprocess.Popen(
                [binary, *arguments], env={**os.environ, **environment}, stdout=output, stderr=output, cwd=directory
            )
        try:
            peer = Peer(name, process.pid, f"http://127.0.0.1:{port}{path}", is_streaming=name == "burrow")
            _wait(peer, process, directory)
            yield peer
        finally:
            process.terminate()
            process.wait(20)


def _invocation(name: str, servers: list[str], port: int, directory: Path) -> tuple[list[str], dict[str, str], str]:
    match name:
        case "kafka_exporter":
            addresses = [f"--kafka.server={server}" for server in servers]
            return [*addresses, f"--web.listen-address=127.0.0.1:{port}"], {}, "/metrics"
        case "kminion":
            return [], {"KAFKA_BROKERS": ",".join(servers), "EXPORTER_PORT": str(port)}, "/metrics"
        case "burrow":
            quoted = ", ".join(f'"{server}"' for server in servers)
            configuration = _BURROW.format(directory=directory, servers=quoted, port=port)
            (directory / "burrow.toml").write_text(configuration, encoding="utf-8")
            return [f"--config-dir={directory}"], {}, "/v3/kafka/local/consumer"
    raise PeerFailedError(f"no peer is called {name}: there are kafka_exporter, kminion and burrow")


def _last_words(directory: Path) -> str:
    """Return the last line of each file that a peer wrote."""
    texts = [
        path.read_text(encoding="utf-8", errors="replace")
        for path in (*directory.glob("output"), *directory.glob("*.log"))
    ]
    return "; ".join(text.strip().splitlines()[-1] for text in texts if text.strip())


def _wait(peer: Peer, process: "subprocess.Popen[bytes]", directory: Path) -> None:
    deadline_s = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise PeerFailedError(f"it ended with status {process.returncode}: {_last_words(directory)}")
        with contextlib.suppress(OSError, urllib.error.URLError):
            peer.scrape()
            return
        time.sleep(0.2)
    raise PeerFailedError(f"it did not answer within {_START_LIMIT_S:g} s")
