"""From nothing to a cluster that can be used, kraftd's way and two others in turns; and how long a stop takes.

The others are the stock way, and kraftd's own JVMs alone: formatted and rendered before, all started at once, until the
topics are there. All run on the same jars, heaps and Java, one after the other in each round. Prints every run, what
else the machine was doing meanwhile, the medians, and the medians of the rounds' ratios.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.measuring import QUIET_CORES, Cost, end_on_signals, measure, wait_for_quiet
from bench.stock import BareCluster, StockCluster
from kraftd.operate.configuring import plan_for
from kraftd.operate.context import this_command_context
from kraftd.operate.selection import Selection, choose_cluster
from kraftd.operate.setup import runtime_of, set_up
from kraftd.runtime.jars import JarSet
from kraftd.runtime.runtime import Runtime

START_RATIO = 0.45
BARE_RATIO = 1.3
STOP_S = 2.0
HELP_CPU_S = 0.3
STATUS_S = 0.6
_REPETITIONS = 7


@dataclass(frozen=True, slots=True)
class Stop:
    """One ``kraftd stop``.

    Attributes:
        unclean: The brokers whose logs were not closed.
    """

    cost: Cost
    unclean: tuple[str, ...]


class KraftdCluster:
    """The default cluster in a directory of its own, driven by commands."""

    def __init__(self, directory: Path, heap: str, offset: int, assignments: Sequence[str] = ()) -> None:
        self._directory = directory
        settings = (f"cluster.heap={heap}", f"cluster.port_offset={offset}", *assignments)
        self._options = (
            *("--state-dir", str(directory / "state")),
            *(word for setting in settings for word in ("--set", setting)),
        )

    def start(self) -> Cost:
        """Start it; returns the cost until it is ready."""
        return measure(lambda: self.run("start"), self._pids)

    def stop(self) -> Stop:
        """Stop it."""
        output: list[str] = []
        cost = measure(lambda: output.append(self.run("stop", "--json")))
        return Stop(cost, tuple(json.loads(output[0])["unclean"]))

    def run(self, *arguments: str) -> str:
        """Run a command and return what it prints."""
        return _kraftd(self._directory, *self._options, *arguments)

    def _pids(self) -> list[int]:
        marker = str(self._directory)
        found: list[Any] = list(psutil.process_iter(["cmdline"]))
        return [each.pid for each in found if any(marker in word for word in each.info["cmdline"] or ())]


@dataclass(slots=True)
class Results:
    """What was measured so far.

    Attributes:
        starts: kraftd's, the stock one and the bare one of each round.
    """

    starts: list[tuple[Cost, Cost, Cost]] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    helps: list[Cost] = field(default_factory=list)
    statuses: list[Cost] = field(default_factory=list)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5, help="starts to compare")
    parser.add_argument("--stops", type=int, default=10, help="stops in all; each pair has one")
    parser.add_argument("--heap", default="4g", help="of each broker")
    parser.add_argument("--port-offset", type=int, default=22200, help="added to all ports")
    parser.add_argument("--quiet-wait", type=float, default=60.0, help="seconds to wait for a quiet machine, each time")
    options = parser.parse_args()
    end_on_signals()
    runtimes = prepared_runtimes()
    results = Results()
    print(f"{os.cpu_count()} cores, heaps of {options.heap}, Kafka {runtimes[0].kafka_version}")
    print("seconds (CPU seconds) [cores that others used]")
    for number in range(1, options.pairs + 1):
        ours = _run_kraftd(options, results, with_commands=number == 1)
        wait_for_quiet(options.quiet_wait)
        stock = _run_stock(options, runtimes)
        wait_for_quiet(options.quiet_wait)
        bare = _run_bare(options)
        results.starts.append((ours, stock, bare))
        ratios = " and ".join(f"{ours.wall_s / other.wall_s:.2f}" for other in (stock, bare))
        print(f"start {number}: kraftd {_text(ours)}, stock {_text(stock)}, bare {_text(bare)}: {ratios}", flush=True)
    while len(results.stops) < options.stops:
        _run_kraftd(options, results)
    _summarize(results)


def _run_kraftd(options: argparse.Namespace, results: Results, *, with_commands: bool = False) -> Cost:
    with temporary_directory() as directory:
        cluster = KraftdCluster(directory, options.heap, options.port_offset)
        try:
            wait_for_quiet(options.quiet_wait)
            cost = cluster.start()
            if with_commands:
                wait_for_quiet(options.quiet_wait)
                results.helps += [measure(lambda: _kraftd(directory, "--help")) for _ in range(_REPETITIONS)]
                results.statuses += [measure(lambda: cluster.run("status")) for _ in range(_REPETITIONS)]
            wait_for_quiet(options.quiet_wait)
            stop = cluster.stop()
        finally:
            cluster.run("stop")
    results.stops.append(stop)
    unclean = f", unclean: {', '.join(stop.unclean)}" if stop.unclean else ""
    print(f"stop {len(results.stops)}: {_text(stop.cost)}{unclean}", flush=True)
    return cost


def _run_stock(options: argparse.Namespace, runtimes: tuple[Runtime, Runtime]) -> Cost:
    with temporary_directory() as directory:
        cluster = StockCluster(directory, *runtimes, heap=options.heap, offset=options.port_offset)
        try:
            return measure(cluster.start, lambda: cluster.pids)
        finally:
            cluster.kill()


def _run_bare(options: argparse.Namespace) -> Cost:
    with temporary_directory() as directory:
        command_context = this_command_context()
        assignments = (f"cluster.heap={options.heap}", f"cluster.port_offset={options.port_offset}")
        chosen = choose_cluster(Selection(state_dir=directory / "state", assignments=assignments), command_context)
        cluster = BareCluster(plan_for(chosen, command_context).plan, command_context)
        try:
            return measure(cluster.start, lambda: cluster.pids)
        finally:
            cluster.kill()


def prepared_runtimes() -> tuple[Runtime, Runtime]:
    """Fetch both sets of jars and make the archive; returns what runs stock brokers and stock tools."""
    command_context = this_command_context()
    with temporary_directory() as directory:
        chosen = choose_cluster(Selection(state_dir=directory / "state"), command_context)
        plan = plan_for(chosen, command_context).plan
        for note in set_up(plan, command_context).notes:
            print(f"note: {note}")
        return runtime_of(plan, command_context), runtime_of(plan, command_context, jar_set=JarSet.TOOLS)


def _summarize(results: Results) -> None:
    walls = [statistics.median(costs[at].wall_s for costs in results.starts) for at in range(3)]
    by_wall, by_cpu = ([_ratio(results, at, of) for at in (1, 2)] for of in ("wall_s", "cpu_s"))
    slowest_stop_s = max(stop.cost.wall_s for stop in results.stops)
    clean = sum(not stop.unclean for stop in results.stops)
    help_s = statistics.median(cost.cpu_s for cost in results.helps)
    status_s = statistics.median(cost.wall_s for cost in results.statuses)
    noisy = sum(max(each.others for each in costs) > QUIET_CORES for costs in results.starts)
    print("start, medians: kraftd {:.2f} s, stock {:.2f} s, bare {:.2f} s".format(*walls))
    print("start, median CPU ratios: to stock {:.2f}, to bare {:.2f}".format(*by_cpu))
    if noisy:
        print(f"note: others used more than {QUIET_CORES} cores in {noisy} of {len(results.starts)} rounds: repeat it")
    _judge("start, ratio to stock", by_wall[0], START_RATIO, "")
    _judge("start, ratio to bare", by_wall[1], BARE_RATIO, "")
    _judge("stop, slowest", slowest_stop_s, STOP_S, " s")
    print(f"{'stop, clean':<24}{clean} of {len(results.stops)}")
    _judge("--help, median CPU", help_s, HELP_CPU_S, " s")
    _judge("status, median", status_s, STATUS_S, " s")


def _ratio(results: Results, other: int, of: str) -> float:
    """Return the median of the ratios of kraftd's starts to others of the same round."""
    return statistics.median(getattr(costs[0], of) / getattr(costs[other], of) for costs in results.starts)


def _judge(what: str, value: float, at_most: float, unit: str) -> None:
    verdict = "" if value <= at_most else "  MISSED"
    print(f"{what:<24}{value:.2f}{unit} (at most {at_most:g}{unit}){verdict}")


def _text(cost: Cost) -> str:
    return f"{cost.wall_s:.2f} ({cost.cpu_s:.2f}) [{cost.others:.1f}]"


@contextlib.contextmanager
def temporary_directory() -> Iterator[Path]:
    """Make a directory, and remove it afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="kraftd-bench-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _kraftd(directory: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "kraftd", *arguments]
    # As from a user's shell: with bytecode, and with nothing that overrides a setting.
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "KRAFTD_"))}
    done = subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"cannot run kraftd {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
