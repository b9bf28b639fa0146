"""How long the default cluster takes to be whole again after ``kill -9``, and to stop and start after faults.

Run as ``python -m bench.recovery [--rounds N] [--heap 4g]`` from the repository's root.
"""

import argparse
import contextlib
import functools
import json
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from bench.measuring import end_on_signals, measure
from bench.steady_producer import SteadyProducer
from tests.harness import Cluster, cluster_in

_LIMIT_S = 60.0
_PER_S = 100
_PARTITIONS = 4
_WARM_UP_S = 2.0
_WANTED_S = {"process back": 1.0, "acknowledged again": 7.0, "in every ISR": 12.0}
"""For ``kill -9`` of a broker, the median of all rounds."""

_WANTED_COMMANDS_S = {"nothing": (1.0, 6.0), "a killed broker": (3.0, 6.0), "a lost quorum": (6.0, 8.0)}
"""For a stop, and for the start after it."""

_DEAD = {"nothing": (), "a killed broker": ("broker-1",), "a lost quorum": ("broker-1", "controller-101")}
"""What is killed before a stop, while the daemon is frozen, so that nothing brings it back."""


def main() -> None:
    """Kill brokers in turn, print each round and the medians."""
    end_on_signals()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="an even number")
    parser.add_argument("--heap", default="4g")
    arguments = parser.parse_args()
    settings = {"cluster.heap": arguments.heap}
    rounds: list[tuple[float, float, float]] = []
    while len(rounds) < arguments.rounds:
        # A new cluster for each pair: a broker that ended twice within two minutes waits before its next start.
        with _started_cluster(settings) as cluster:
            rounds += [kill_and_time(cluster, name) for name in ("broker-1", "broker-2")]
            cluster.stop()
    with _started_cluster(settings) as cluster:
        for what in _DEAD:
            stop_and_start(cluster, what)
        cluster.stop()
    for at, (name, wanted_s) in enumerate(_WANTED_S.items()):
        values = [each[at] for each in rounds]
        median_s = statistics.median(values)
        worst = f"worst {max(values):.2f} s, n = {len(values)}"
        print(f"{name}: median {median_s:.2f} s, {worst}{_verdict(median_s, wanted_s)}")


@contextlib.contextmanager
def _started_cluster(settings: Mapping[str, str]) -> Iterator[Cluster]:
    with (
        tempfile.TemporaryDirectory(prefix="kraftd-") as directory,
        cluster_in(Path(directory), settings=settings) as cluster,
    ):
        cluster.start()
        yield cluster


def kill_and_time(cluster: Cluster, name: str) -> tuple[float, float, float]:
    """Kill a broker; return the seconds until its new process, until records are acknowledged, and until all in sync.

    Records go to every partition all the time; the partition that waits longest counts.
    """
    with SteadyProducer(cluster.bootstrap_servers, _PER_S, cluster.topic, _PARTITIONS) as producer:
        time.sleep(_WARM_UP_S)
        old = cluster.kill(name)
        killed_s = time.monotonic()
        _until(lambda: cluster.pid(name) != old)
        back_s = time.monotonic() - killed_s
        # The controller fences the old session after a while: only then the replicas fall out, and come back.
        _until(lambda: ready(cluster, name) and cluster.in_sync())
        whole_s = time.monotonic() - killed_s
    if producer.written.failed:
        raise SystemExit(f"{producer.written.failed} records were not acknowledged")
    acknowledged_s = max(producer.longest_silence_s(killed_s, killed_s + whole_s).values())
    print(
        f"{name}: process back after {back_s:.2f} s, records acknowledged after {acknowledged_s:.2f} s, "
        f"in every ISR after {whole_s:.2f} s",
        flush=True,
    )
    return back_s, acknowledged_s, whole_s


def _verdict(value_s: float, wanted_s: float) -> str:
    return f" (wanted {wanted_s:g} s)" + ("" if value_s <= wanted_s else "  MISSED")


def stop_and_start(cluster: Cluster, what: str) -> None:
    """Stop a cluster with a frozen daemon and dead nodes, start it again, and print what each took, and when."""
    os.kill(cluster.pid("kraftd"), signal.SIGSTOP)
    for name in _DEAD[what]:
        cluster.kill(name)
    for command, wanted_s in zip(("stop", "start"), _WANTED_COMMANDS_S[what], strict=True):
        began_s = time.time()
        cost = measure(functools.partial(cluster.run, command, check=True))
        took = f"{cost.wall_s:.2f} s [{cost.others:.1f}]{_verdict(cost.wall_s, wanted_s)}"
        print(f"{command} after {what} and with a frozen daemon: {took}", flush=True)
        for at_s, text in _told(cluster, began_s):
            print(f"  {at_s:6.2f} s  {text}")


def _told(cluster: Cluster, since_s: float) -> list[tuple[float, str]]:
    """Return the events since a time, each with the seconds that had passed."""
    lines = cluster.run("events", "--json", check=True).stdout.splitlines()
    told = [json.loads(line) for line in lines]
    seconds = [datetime.fromisoformat(each["at"]).timestamp() - since_s for each in told]
    return [
        (after_s, f"{each['program'] or '-'} {each['kind']}")
        for after_s, each in zip(seconds, told, strict=True)
        if after_s >= 0
    ]


def ready(cluster: Cluster, name: str) -> bool:
    """Return whether the new process serves, as the daemon sees it; until it has asked, it tells of the old one."""
    program = cluster.program(name)
    return bool(program["ready"] and program["pid"] == cluster.pid(name))


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
