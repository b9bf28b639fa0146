"""How long the default cluster takes to be whole again after ``kill -9`` of a broker.

Run as ``python -m bench.recovery [--rounds N] [--heap 4g]`` from the repository's root.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.measuring import end_on_signals
from tests.harness import Cluster, cluster_in

_LIMIT_S = 60.0


def main() -> None:
    """Kill brokers in turn, print each round and the medians."""
    end_on_signals()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--heap", default="4g")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kraftd-") as directory:
        settings = {"cluster.heap": arguments.heap}
        with cluster_in(Path(directory), settings=settings) as cluster:
            cluster.start()
            rounds = [kill_and_time(cluster, f"broker-{1 + number % 2}") for number in range(arguments.rounds)]
            cluster.stop()
    for name, at in (("process back", 0), ("in every ISR", 1)):
        values = [each[at] for each in rounds]
        print(f"{name}: median {statistics.median(values):.2f} s, worst {max(values):.2f} s, n = {len(values)}")


def kill_and_time(cluster: Cluster, name: str) -> tuple[float, float]:
    """Kill a broker; return the seconds until its new process, and until every replica is in sync."""
    old = cluster.kill(name)
    killed_s = time.monotonic()
    _until(lambda: cluster.pid(name) != old)
    back_s = time.monotonic() - killed_s
    # The controller fences the old session after a while: only then the replicas fall out, and come back.
    _until(lambda: ready(cluster, name) and cluster.in_sync())
    whole_s = time.monotonic() - killed_s
    print(f"{name}: process back after {back_s:.2f} s, in every ISR after {whole_s:.2f} s")
    return back_s, whole_s


def ready(cluster: Cluster, name: str) -> bool:
    """Return whether the new process serves, as the daemon sees it."""
    return bool(cluster.program(name)["ready"])


def _until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _LIMIT_S
    while time.monotonic() < deadline_s:
        try:
            if condition():
                return
        except LookupError:
            pass
        time.sleep(0.01)
    raise SystemExit("cannot measure: the cluster did not become whole within 60 s")


if __name__ == "__main__":
    main()
