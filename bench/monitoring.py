"""What it costs to watch 300 partitions and 50 groups: a cycle of kraftd, and a scrape of others.

    python -m bench.monitoring [--rounds 20] [--heap 512m] [--peer NAME=PATH ...]
    python -m bench.monitoring --memory

Peers are kafka_exporter and kminion, whose binaries are named with --peer, and Burrow, which is on PATH where Debian's
package is installed. While a monitor is measured, the daemon of the cluster stands still.
"""

import argparse
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from confluent_kafka import Consumer, Producer, TopicPartition

from bench.measuring import end_on_signals
from bench.monitoring_memory import print_memory
from bench.monitoring_peers import Peer, PeerFailedError, running
from kraftd.clock import SystemClock
from kraftd.daemon.service import tune_gc
from kraftd.health.lag.status import CAPACITY
from kraftd.kafka.admin import KafkaAdmin
from kraftd.observe.collector import Collector
from kraftd.plan.plan import Access, Plan, Topic
from kraftd.plan.plan_json import parse_plan
from kraftd.serve.metrics.exposition import Exposition
from tests.harness import Cluster, cluster_in, fetch
from tests.plans import plan_of

TOPICS, PARTITIONS, GROUPS, COMMITS = 30, 10, 50, 60
_PEER_PORT = 31308
"""Below the range from which Linux takes ports for outgoing connections."""
_CYCLE_S = 0.25
_STREAMING_S, _STREAMING_ROUNDS = 10.0, 3
_SCRAPES = 300


@dataclass(frozen=True)
class Cost:
    """Medians and means of one cycle or scrape, in milliseconds.

    Attributes:
        wall_ms: The median.
        own_cpu_ms: Of the monitor, on average.
        broker_cpu_ms: Of both brokers, on average, without what they take when nobody asks.
    """

    wall_ms: float
    own_cpu_ms: float
    broker_cpu_ms: float

    def __str__(self) -> str:
        figures = (("wall", self.wall_ms), ("own CPU", self.own_cpu_ms), ("broker CPU", self.broker_cpu_ms))
        return "   ".join(f"{name} {value:7.1f} ms" for name, value in figures)


class Meter:
    """Measures what the brokers of a cluster take."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._brokers = [psutil.Process(pid) for pid in pids]
        began_s, idle_s = time.monotonic(), self._cpu_s()
        time.sleep(10)
        self._idle = (self._cpu_s() - idle_s) / (time.monotonic() - began_s)

    def cost(self, act: Callable[[], float], own_cpu_s: Callable[[], float], rounds: int) -> Cost:
        """Return what an act costs that returns how long it took, in seconds."""
        act()
        began_s, brokers_s, own_s = time.monotonic(), self._cpu_s(), own_cpu_s()
        walls_s = [act() for _ in range(rounds)]
        own_s = own_cpu_s() - own_s
        brokers_s = self._cpu_s() - brokers_s - self._idle * (time.monotonic() - began_s)
        return Cost(*(1000 * each for each in (statistics.median(walls_s), own_s / rounds, brokers_s / rounds)))

    def _cpu_s(self) -> float:
        return sum(cpu_s(process) for process in self._brokers)


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU seconds of a process."""
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    """Print what each monitor costs, and how fast /metrics is while a broker is frozen."""
    end_on_signals()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--heap", default="512m")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument(
        "--memory", action="store_true", help="only the memory of an hour of churn, on scripted brokers"
    )
    arguments = parser.parse_args()
    if arguments.memory:
        print_memory()
        return
    binaries = dict(each.split("=", 1) for each in arguments.peer)
    with (
        tempfile.TemporaryDirectory(prefix="kraftd-") as directory,
        cluster_in(Path(directory), settings={"cluster.heap": arguments.heap}) as cluster,
    ):
        cluster.start()
        servers = cluster.bootstrap_servers.split(",")
        fill(servers)
        # The daemon has counted all of it, and the brokers have compiled what they need for that.
        time.sleep(25)
        frozen(cluster)
        daemon = psutil.Process(cluster.pid("kraftd"))
        with standing_still(daemon):
            meter = Meter(cluster.pid(name) for name in ("broker-1", "broker-2"))
            moving = kraftd_cost(cluster, meter, arguments.rounds, between=lambda: write_everywhere(servers))
            print(f"kraftd, all moves        wall {moving.wall_ms:.1f} ms   own CPU {moving.own_cpu_ms:.1f} ms")
            ours = kraftd_cost(cluster, meter, arguments.rounds)
            print(f"kraftd, a cycle          {ours}")
            for name in ("kafka_exporter", "kminion", "burrow"):
                binary = binaries.get(name) or shutil.which({"burrow": "Burrow"}.get(name, name))
                compare(name, binary, servers, meter, ours, arguments.rounds)
        cluster.stop()


def fill(servers: list[str]) -> None:
    """Create topics, a record in every partition, and groups that have committed on some of them."""
    names = _topic_names()
    assignment = tuple((1, 2) if index % 2 else (2, 1) for index in range(PARTITIONS))
    with KafkaAdmin(Access(tuple(servers))) as admin:
        for outcome in admin.create_topics([Topic(name, assignment) for name in names], limit_s=60.0):
            if outcome.failure is not None:
                raise SystemExit(f"cannot fill the cluster: {outcome.name}: {outcome.failure.text}")
    write_everywhere(servers)
    places = [(name, index) for name in names for index in range(PARTITIONS)]
    for number in range(GROUPS):
        consumer = Consumer({"bootstrap.servers": ",".join(servers), "group.id": f"bench-{number}"})
        mine = [places[(number * 7 + step) % len(places)] for step in range(COMMITS)]
        consumer.commit(offsets=[TopicPartition(name, index, 0) for name, index in mine], asynchronous=False)
        consumer.close()


def _topic_names() -> list[str]:
    return [f"bench-{number}" for number in range(TOPICS)]


def write_everywhere(servers: list[str]) -> None:
    """Write a record to every partition."""
    producer = Producer({"bootstrap.servers": ",".join(servers)})
    for name in _topic_names():
        for index in range(PARTITIONS):
            producer.produce(name, b"x", partition=index)
    producer.flush(30)


def kraftd_cost(cluster: Cluster, meter: Meter, rounds: int, between: Callable[[], None] = lambda: None) -> Cost:
    """Return what a cycle costs, its text for /metrics included; the cycles follow each other quickly.

    What happens between the cycles is neither in their wall time nor in their own CPU, but in that of the brokers.
    """
    path = cluster.state_dir / "plan.json"
    plan: Plan = parse_plan(path.read_text(encoding="utf-8"), path)
    quick = plan_of(f"[daemon]\nprobe = false\nlag_interval_s = {_CYCLE_S}\n")
    addresses = [broker.client.address for broker in plan.brokers if broker.client]
    exposition = Exposition()
    # As the daemon does.
    tune_gc()
    with KafkaAdmin(Access(tuple(addresses))) as admin:
        collector = Collector(admin, SystemClock(), quick)
        spent_s: list[float] = []

        def cycle() -> float:
            between()
            time.sleep(_CYCLE_S)
            began_s, begun_cpu_s = time.perf_counter(), time.process_time()
            exposition.show_kafka(collector.collect(is_settled=True))
            took_s = time.perf_counter() - began_s
            spent_s.append(time.process_time() - begun_cpu_s)
            return took_s

        # A whole window of looks: before, groups that stand still are judged anew each time.
        for _ in range(CAPACITY + 3):
            cycle()
        return meter.cost(cycle, lambda: sum(spent_s), rounds)


def compare(name: str, binary: str | None, servers: list[str], meter: Meter, ours: Cost, rounds: int) -> None:
    """Print what a peer costs and the ratios, or that it is absent."""
    if binary is None:
        print(f"{name}: absent")
        return
    try:
        with running(name, binary, servers, _PEER_PORT) as peer:
            cost = peer_cost(peer, meter, rounds)
            is_streaming = peer.is_streaming
    except PeerFailedError as error:
        print(f"{name}: cannot be measured: {error}")
        return
    print(f"{name}, {'ten seconds' if is_streaming else 'a scrape'}".ljust(24), cost)
    pairs = [("own CPU", ours.own_cpu_ms, cost.own_cpu_ms), ("broker CPU", ours.broker_cpu_ms, cost.broker_cpu_ms)]
    if not is_streaming:
        pairs.insert(0, ("wall", ours.wall_ms, cost.wall_ms))
    ratios = (f"{what} {mine / theirs:.2f}" for what, mine, theirs in pairs if theirs > 0)
    print("  ratio of kraftd to it".ljust(24), "   ".join(ratios))


def peer_cost(peer: Peer, meter: Meter, rounds: int) -> Cost:
    """Return what a scrape costs; of a peer that streams, what ten seconds cost."""
    process = psutil.Process(peer.pid)

    def scrape() -> float:
        began_s = time.perf_counter()
        peer.scrape()
        took_s = time.perf_counter() - began_s
        time.sleep(_STREAMING_S if peer.is_streaming else _CYCLE_S)
        return took_s

    return meter.cost(scrape, lambda: cpu_s(process), _STREAMING_ROUNDS if peer.is_streaming else rounds)


def frozen(cluster: Cluster) -> None:
    """Print how fast /metrics is while a broker is frozen."""
    cluster.kill("broker-2", signal.SIGSTOP)
    try:
        time.sleep(5)
        walls_s, size = [], 0
        for _ in range(_SCRAPES):
            began_s = time.perf_counter()
            size = len(fetch(cluster.url("kraftd", "/metrics"))[1])
            walls_s.append(time.perf_counter() - began_s)
            time.sleep(0.02)
    finally:
        cluster.kill("broker-2", signal.SIGCONT)
    worst = sorted(walls_s)[int(0.99 * len(walls_s))]
    median = statistics.median(walls_s)
    print(f"/metrics with a frozen broker: median {1000 * median:.2f} ms, p99 {1000 * worst:.2f} ms, {size} bytes")
    time.sleep(15)


@contextmanager
def standing_still(process: psutil.Process) -> Iterator[None]:
    """Freeze a process for a while."""
    process.suspend()
    try:
        yield
    finally:
        process.resume()


if __name__ == "__main__":
    main()
