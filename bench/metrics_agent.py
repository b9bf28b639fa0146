"""What the metrics agent of a broker and the whole monitoring cost.

    python -m bench.metrics_agent [--scrapes 100] [--idle 60] [--starts 5]

Starts are those of the default cluster, with the agent and without it in turns: how long one takes until it is ready,
and the CPU that both brokers take until 20 s later, by when the daemon has loaded the agents.

CPU of scrapes is that of the broker while it is scraped, less what it takes meanwhile when nobody asks: rounds with and
without scrapes take turns, because other work on the machine changes both.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.measuring import Cost, end_on_signals
from bench.startup import KraftdCluster, prepared_runtimes, temporary_directory
from tests.harness import Cluster, cluster_in, eventually

PARTITIONS = 100
INTERVAL_S = 15
"""Between two scrapes of an agent, in what kraftd renders."""
MOST_OF_A_START = 1.15
"""The start-up cost with the agent against that without it."""
_AFTER_READY_S = 20.0
_ROUND = 10
_PAUSE_S = 0.2
_BROKER = "broker-1"
_BROKERS = ("broker-1", "broker-2")


@dataclass(frozen=True, slots=True)
class Start:
    """One start.

    Attributes:
        cost: Of all processes until it was ready.
        brokers_cpu_s: CPU seconds of both brokers until a while after that.
    """

    cost: Cost
    brokers_cpu_s: float


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
    groups = {"daemon": ["kraftd"], "Prometheus": ["prometheus"], "nodes": [*_BROKERS, "controller-101"]}
    before_s = {what: _cpu_s(cluster, names) for what, names in groups.items()}
    time.sleep(seconds)
    for what, names in groups.items():
        print(f"{what} at idle: {(_cpu_s(cluster, names) - before_s[what]) / seconds:.2%} of a core")


def _start(offset: int, *, has_agent: bool) -> Start:
    with temporary_directory() as directory:
        cluster = KraftdCluster(directory, "512m", offset, [f"metrics_agent.enabled={str(has_agent).lower()}"])
        try:
            cost = cluster.start()
            time.sleep(_AFTER_READY_S)
            nodes = {node["name"]: node for node in json.loads(cluster.run("status", "--json"))["nodes"]}
            times = [psutil.Process(nodes[name]["pid"]).cpu_times() for name in _BROKERS]
            if any((nodes[name]["metrics_port"] is not None) != has_agent for name in _BROKERS):
                raise RuntimeError("an agent is not as it was asked for")
            return Start(cost, sum(each.user + each.system for each in times))
        finally:
            cluster.run("stop")


def _print_starts(pairs: int, offset: int) -> None:
    """Print what starts with the agent cost, beside those without it."""
    prepared_runtimes()
    ratios: list[tuple[float, float]] = []
    for number in range(1, pairs + 1):
        order = (True, False) if number % 2 else (False, True)
        starts = {has_agent: _start(offset, has_agent=has_agent) for has_agent in order}
        own, other = starts[True], starts[False]
        ratios.append((own.cost.wall_s / other.cost.wall_s, own.brokers_cpu_s / other.brokers_cpu_s))
        words = [
            f"{each.cost.wall_s:.2f} s, {each.cost.cpu_s:.2f} s of CPU, brokers {each.brokers_cpu_s:.2f} s, others "
            f"{each.cost.others:.1f} cores"
            for each in (own, other)
        ]
        print(f"start {number}: with {words[0]}; without {words[1]}", flush=True)
    _judge("until ready", [wall for wall, _ in ratios])
    _judge(f"brokers' CPU until {_AFTER_READY_S:g} s later", [cpu for _, cpu in ratios])


def _judge(what: str, ratios: Sequence[float]) -> None:
    median = statistics.median(ratios)
    verdict = "" if median <= MOST_OF_A_START else "  MISSED"
    print(f"{what}, median ratio: {median:.2f} (at most {MOST_OF_A_START}){verdict}")


def main() -> None:
    """Measure what the arguments ask for."""
    end_on_signals()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scrapes", type=int, default=100)
    parser.add_argument("--idle", type=float, default=60, metavar="SECONDS")
    parser.add_argument("--starts", type=int, default=5, metavar="PAIRS")
    parser.add_argument("--port-offset", type=int, default=22200, help="of the starts: added to all ports")
    options = parser.parse_args()
    if options.starts:
        _print_starts(options.starts, options.port_offset)
    if not options.scrapes:
        return
    with tempfile.TemporaryDirectory(prefix="kraftd-") as directory, cluster_in(Path(directory)) as cluster:
        # As a user's: the second compiler too, which tests leave out.
        cluster.settings |= {"cluster.heap": "512m", "java.options": "[]"}
        if shutil.which("prometheus"):
            cluster.settings |= {"prometheus.enabled": "true"}
        cluster.start()
        eventually(lambda: all(_has_agent(cluster, node) for node in _BROKERS), within_s=60)
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
