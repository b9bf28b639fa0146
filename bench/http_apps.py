"""Apps under test on real brokers, and the load that is put on them."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
TOPIC = "test-topic"
CONNECTIONS = 64
BATCH = 100
VALUE = json.dumps({"value": "x" * 186})


@dataclass(frozen=True)
class Load:
    """What wrk measured."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    failed: int


@dataclass
class App:
    """One app under test."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def rss_mb(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def cpu_s(self) -> float:
        """Processor seconds used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def brokers(directory: Path) -> Iterator[str]:
    """Two brokers and nothing else; yields their addresses."""
    offset = free_offset()
    kraftd = [sys.executable, "-m", "kraftd", "--state-dir", str(directory / "s")]
    for setting in (f"cluster.port_offset={offset}", "cluster.heap=512m"):
        kraftd += ["--set", setting]
    for app in ("producer", "consumer"):
        kraftd += ["--set", f"{app}.enabled=false"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'apps'}"}
    subprocess.run([*kraftd, "start"], check=True, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield f"127.0.0.1:{9092 + offset},127.0.0.1:{9093 + offset}"
    finally:
        subprocess.run([*kraftd, "stop"], check=True, env=environment, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def running(argv: list[str], port: int, ready: str, log: Path, **variables: str) -> Iterator[App]:
    """One app, from when it is ready until the end of the block."""
    environment = {**os.environ, "KAFKA_TOPIC": TOPIC, **variables}
    environment |= {"APP_PORT": str(port), "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'apps'}"}
    with log.open("wb") as output:
        process = subprocess.Popen(argv, env=environment, cwd=ROOT, stdout=output, stderr=output)
    app = App(process, port)
    try:
        deadline_s = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(app.url + ready, timeout=5).close()
                break
            if time.monotonic() > deadline_s:
                raise SystemExit(f"{argv} is not ready; see {log}")
            time.sleep(0.05)
        yield app
    finally:
        process.terminate()
        process.wait(20)


def raw_records_per_s(servers: str, seconds: int) -> float:
    """Return how many records a second the client takes without HTTP, with as many outstanding."""
    environment = {**os.environ, "KAFKA_TOPIC": TOPIC, "KAFKA_BOOTSTRAP_SERVERS": servers}
    environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{ROOT / 'apps'}"
    argv = [sys.executable, "-m", "bench.raw_producer", str(seconds)]
    return float(subprocess.run(argv, check=True, env=environment, cwd=ROOT, capture_output=True, text=True).stdout)


def free_offset() -> int:
    """Return a port offset that no other cluster on this machine uses."""
    for offset in range(13000, 20000, 200):
        with contextlib.ExitStack() as probes:
            try:
                for port in (9092, 9093, 9999, 10092, 10192, 8000):
                    probes.enter_context(socket.socket()).bind(("127.0.0.1", port + offset))
            except OSError:
                continue
            return offset
    raise SystemExit("no free ports")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wrk(app: App, path: str, body: str, seconds: int, content_type: str = "application/json") -> Load:
    """Post a body as fast as 64 connections can."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f"wrk.method = 'POST'\nwrk.body = [[{body}]]\nwrk.headers['Content-Type'] = '{content_type}'\n")
        script.flush()
        argv = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "--timeout", "30s", "-s", script.name]
        text = subprocess.run([*argv, app.url + path], check=True, capture_output=True, text=True).stdout
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Load(
        float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        _milliseconds(text, "50%"),
        _milliseconds(text, "99%"),
        int(failed[1]) if failed else 0,
    )


def _milliseconds(text: str, percentile: str) -> float:
    value, unit = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s)", text).groups()
    return float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]
