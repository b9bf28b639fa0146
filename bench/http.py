"""How the apps compare with the usual sample app, on real brokers that kraftd starts.

    python -m bench.http [--rounds 3] [--seconds 5] [--sample-python PYTHON]

Needs wrk on PATH, and for the sample app an interpreter with `pip install fastapi uvicorn aiokafka`. Every figure is a
median over rounds in which the variants take turns, because the machine's speed changes more than their ratio.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import socket
import statistics
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
PORT_OFFSET = 15000
BOOTSTRAP = f"127.0.0.1:{9092 + PORT_OFFSET},127.0.0.1:{9093 + PORT_OFFSET}"


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
def brokers(directory: Path) -> Iterator[None]:
    """Two brokers and nothing else."""
    kraftd = [sys.executable, "-m", "kraftd.cli.main", "--state-dir", str(directory / "s")]
    for setting in (f"cluster.port_offset={PORT_OFFSET}", "cluster.heap=512m"):
        kraftd += ["--set", setting]
    for app in ("producer", "consumer"):
        kraftd += ["--set", f"{app}.enabled=false"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'apps'}"}
    subprocess.run([*kraftd, "start"], check=True, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        subprocess.run([*kraftd, "stop"], check=True, env=environment, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def running(argv: list[str], port: int, ready: str, log: Path, **variables: str) -> Iterator[App]:
    """One app, from when it is ready until the end of the block."""
    environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": BOOTSTRAP, "KAFKA_TOPIC": TOPIC, **variables}
    environment |= {"APP_PORT": str(port), "PYTHONPATH": str(ROOT / "apps")}
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


def median(loads: list[Load]) -> Load:
    """Return the median of each figure."""
    rates, p50s, p99s = ([getattr(load, name) for load in loads] for name in ("requests_per_s", "p50_ms", "p99_ms"))
    return Load(
        statistics.median(rates), statistics.median(p50s), statistics.median(p99s), sum(load.failed for load in loads)
    )


def compare_producers(sample: App, ours: App, rounds: int, seconds: int) -> None:
    """Print both rates and latencies, and their ratios."""
    lines = "\n".join([VALUE] * BATCH)
    plain: list[Load] = []
    send: list[Load] = []
    batch: list[Load] = []
    for app in (sample, ours):
        wrk(app, "/send", VALUE, 1)
    for _ in range(rounds):
        plain.append(wrk(sample, "/send", VALUE, seconds))
        send.append(wrk(ours, "/send", VALUE, seconds))
        batch.append(wrk(ours, "/send/batch", lines, seconds, "application/x-ndjson"))
    base, fast, many = median(plain), median(send), median(batch)
    for name, load in (("sample /send", base), ("kraftd /send", fast), ("kraftd /send/batch", many)):
        print(
            f"{name:20} {load.requests_per_s:9.0f} requests/s  p50 {load.p50_ms:7.1f} ms  p99 {load.p99_ms:7.1f} ms"
            f"  failed {load.failed}"
        )
    print(f"rate of /send                {fast.requests_per_s / base.requests_per_s:6.2f}  (at least 5)")
    print(f"p99 of /send                 {fast.p99_ms / base.p99_ms:6.2f}  (at most 0.5)")
    print(f"records/s in batches of 100  {many.requests_per_s * BATCH / base.requests_per_s:6.1f}  (at least 40)")


def grow(ours: App) -> None:
    """Print what a million records leave in memory."""
    lines = "\n".join([VALUE] * BATCH)
    wrk(ours, "/send/batch", lines, 3, "application/x-ndjson")
    before_mb, sent = ours.rss_mb(), 0
    while sent < 1_000_000:
        sent += int(wrk(ours, "/send/batch", lines, 5, "application/x-ndjson").requests_per_s * 5 * BATCH)
    print(f"memory before and after {sent} records: {before_mb:.0f} MB, {ours.rss_mb():.0f} MB")


async def visible_ms(producer: App, consumer: App, *, pages: int, posts: int) -> tuple[float, float]:
    """Return the median from a POST to its arrival on an open page, and the consumer's CPU seconds meanwhile."""
    watched, *others = [await open_page(consumer) for _ in range(pages)]
    drains = [asyncio.create_task(page.drain()) for page in others]
    cpu_s, times_ms = consumer.cpu_s(), []
    for number in range(posts):
        mark = f"mark-{pages}-{number}"
        begun_s = time.perf_counter()
        post = asyncio.create_task(asyncio.to_thread(_post, producer, json.dumps(mark).encode()))
        await watched.see(mark)
        times_ms.append((time.perf_counter() - begun_s) * 1000)
        await post
        await asyncio.sleep(0.12)
    used_s = consumer.cpu_s() - cpu_s
    for drain in drains:
        drain.cancel()
    for page in (watched, *others):
        page.writer.close()
    return statistics.median(times_ms), used_s


@dataclass
class Page:
    """An open event stream; without its writer the connection would be closed."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def see(self, mark: str) -> None:
        """Read until a text has come."""
        while mark.encode() not in (line := await self.reader.readline()):
            if not line:
                raise SystemExit("the event stream has ended")

    async def drain(self) -> None:
        """Read and forget."""
        while await self.reader.read(65536):
            pass


async def open_page(consumer: App) -> Page:
    """Open an event stream."""
    reader, writer = await asyncio.open_connection("127.0.0.1", consumer.port, limit=2**24)
    writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    page = Page(reader, writer)
    await page.see("retry: 2000")
    return page


def _post(producer: App, body: bytes) -> None:
    urllib.request.urlopen(urllib.request.Request(producer.url + "/send", body), timeout=30).close()


async def keep_up(producer: App, consumer: App, seconds: int) -> None:
    """Print how far the consumer is behind while the producer writes as fast as it can and ten pages are open."""
    drains = [asyncio.create_task((await open_page(consumer)).drain()) for _ in range(10)]
    lines = "\n".join([VALUE] * BATCH)
    writing = asyncio.create_task(
        asyncio.to_thread(wrk, producer, "/send/batch", lines, seconds, "application/x-ndjson")
    )
    lags = []
    while not writing.done():
        await asyncio.sleep(1)
        lags.append(await asyncio.to_thread(_lag, consumer))
    load = writing.result()
    begun_s = time.monotonic()
    while await asyncio.to_thread(_lag, consumer) > 0 and time.monotonic() - begun_s < 60:  # noqa: ASYNC110 - polled
        await asyncio.sleep(0.5)
    print(
        f"{load.requests_per_s * BATCH:.0f} records/s with 10 pages open: at most {max(lags)} records behind,"
        f" level {time.monotonic() - begun_s:.1f} s after the last"
    )
    for drain in drains:
        drain.cancel()


def _lag(consumer: App) -> int:
    with urllib.request.urlopen(consumer.url + "/metrics", timeout=10) as response:
        text = response.read().decode()
    return sum(int(float(value)) for value in re.findall(r"kafka_consumer_lag_records\{[^}]*\} (\S+)", text))


async def pages(producer: App, consumer: App) -> None:
    """Print what open pages see and cost."""
    # A new group's "latest" is looked up after the assignment; what comes before that is not read.
    await asyncio.sleep(2)
    one_ms, one_s = await visible_ms(producer, consumer, pages=1, posts=50)
    hundred_ms, hundred_s = await visible_ms(producer, consumer, pages=100, posts=50)
    print(f"POST to visible: {one_ms:.1f} ms with 1 page, {hundred_ms:.1f} ms with 100  (under 50)")
    print(f"consumer CPU of 100 pages / 1 page  {hundred_s / one_s:.2f}  (under 2)")
    await keep_up(producer, consumer, 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--sample-python", default=sys.executable)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kraftd-") as name, brokers(Path(name)), contextlib.ExitStack() as stack:
        directory = Path(name)
        port = free_port()
        argv = [options.sample_python, "-m", "uvicorn", "bench.sample_app:app", "--port", str(port)]
        sample = stack.enter_context(running(argv, port, "/docs", directory / "sample.log"))
        apps = [sys.executable, "-m"]
        ours = stack.enter_context(
            running([*apps, "kraftd_apps.producer"], free_port(), "/readyz", directory / "producer.log")
        )
        compare_producers(sample, ours, options.rounds, options.seconds)
        grow(ours)
        consumer = stack.enter_context(
            running(
                [*apps, "kraftd_apps.consumer"],
                free_port(),
                "/readyz",
                directory / "consumer.log",
                KAFKA_AUTO_OFFSET_RESET="latest",
                APP_SSE_MAX_CLIENTS="200",
            )
        )
        asyncio.run(pages(ours, consumer))


if __name__ == "__main__":
    main()
