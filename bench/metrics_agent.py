"""What the metrics agent of a broker and the whole monitoring cost.

    python -m bench.metrics_agent [--scrapes 100] [--idle 60]

CPU of scrapes is that of the broker while it is scraped, less what it takes meanwhile when nobody asks: rounds with and
without scrapes take turns, because other work on the machine changes both.
"""

import argparse
import shutil
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import psutil

from bench.measuring import end_on_signals
from tests.harness import Cluster, cluster_in, eventually

PARTITIONS = 100
INTERVAL_S = 15
"""Between two scrapes of an agent, in what kraftd renders."""
_ROUND = 10
_PAUSE_S = 0.2
_BROKER = "broker-1"


def _cpu_s(cluster: Cluster, names: Sequence[str]) -> float:
    times = [psutil.Process(cluster.program(name)["pid"]).cpu_times() for name in names]
    return sum(each.user + each.system for each in times)


def _scraped(url: str) -> tuple[float, int]:
    """Return the seconds of a scrape, and its samples."""
    began_s = time.perf_counter()
    with urllib.request.urlopen(url, timeout=30) as answer:
        text = answer.read().decode()
    took_s = time.perf_counter() - began_s
    return took_s, sum(1 for line in text.splitlines() if not line.startswith("#"))


def _print_scrapes(cluster: Cluster, scrapes: int) -> None:
    """Print what scrapes of one broker's agent cost."""
    create = ("--create", "--topic", "wide", "--partitions", str(PARTITIONS), "--replication-factor", "2")
    cluster.run("kafka", "topics", *create, check=True)
    url = f"http://127.0.0.1:{cluster.program(_BROKER)['metrics_port']}/metrics"
    took_s, samples, asked_s, idle_s = [], 0, 0.0, 0.0
    for _ in range(20):
        _scraped(url)
    while len(took_s) < scrapes:
        began_s, before_s = time.monotonic(), _cpu_s(cluster, [_BROKER])
        for _ in range(_ROUND):
            one_s, samples = _scraped(url)
            took_s.append(one_s)
            time.sleep(_PAUSE_S)
        length_s, middle_s = time.monotonic() - began_s, _cpu_s(cluster, [_BROKER])
        time.sleep(length_s)
        asked_s, idle_s = asked_s + middle_s - before_s, idle_s + _cpu_s(cluster, [_BROKER]) - middle_s
    of_one_s = (asked_s - idle_s) / len(took_s)
    print(f"scrape of {_BROKER}: median {statistics.median(took_s) * 1000:.0f} ms, {samples} samples")
    print(f"CPU of one: {of_one_s * 1000:.0f} ms, {of_one_s / INTERVAL_S:.2%} of a core at {INTERVAL_S} s")


def _print_idle(cluster: Cluster, seconds: float) -> None:
    """Print what the daemon and Prometheus take while nothing happens, and the nodes, which have their agents."""
    groups = {"daemon": ["kraftd"], "Prometheus": ["prometheus"], "nodes": ["broker-1", "broker-2", "controller-101"]}
    before_s = {what: _cpu_s(cluster, names) for what, names in groups.items()}
    time.sleep(seconds)
    for what, names in groups.items():
        print(f"{what} at idle: {(_cpu_s(cluster, names) - before_s[what]) / seconds:.2%} of a core")


def main() -> None:
    """Measure what the arguments ask for."""
    end_on_signals()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scrapes", type=int, default=100)
    parser.add_argument("--idle", type=float, default=60, metavar="SECONDS")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kraftd-") as directory, cluster_in(Path(directory)) as cluster:
        cluster.settings |= {"cluster.heap": "512m"}
        if shutil.which("prometheus"):
            cluster.settings |= {"prometheus.enabled": "true"}
        cluster.start()
        eventually(lambda: all(_has_agent(cluster, node) for node in ("broker-1", "broker-2")), within_s=60)
        if shutil.which("prometheus"):
            time.sleep(30)
            _print_idle(cluster, options.idle)
        cluster.run("stop", "prometheus")
        _print_scrapes(cluster, options.scrapes)
        cluster.stop()


def _has_agent(cluster: Cluster, node: str) -> bool:
    return cluster.program(node)["metrics_port"] is not None


if __name__ == "__main__":
    main()
