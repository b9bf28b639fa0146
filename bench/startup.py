"""From nothing to a cluster that can be used, kraftd's way and the stock way in turns; and how long a stop takes.

Both ways run on the same jars, heaps and Java, with JMX, one after the other in each pair. Prints every run, what else
the machine was doing meanwhile, the medians, and the median of the pairs' ratios.
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
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.measuring import QUIET_CORES, Cost, end_on_signals, measure, wait_for_quiet
from bench.stock import StockCluster
from kraftd.operate.configuring import Selection, choose_cluster, plan_for
from kraftd.operate.context import this_command_context
from kraftd.operate.setup import runtime_of, set_up
from kraftd.runtime.jars import JarSet
from kraftd.runtime.runtime import Runtime

START_RATIO = 0.6
STOP_S = 3.0
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

    def __init__(self, directory: Path, heap: str, offset: int) -> None:
        self._directory = directory
        self._options = (
            *("--state-dir", str(directory / "state")),
            *("--set", f"cluster.heap={heap}", "--set", f"cluster.port_offset={offset}"),
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
    """What was measured so far."""

    pairs: list[tuple[Cost, Cost]] = field(default_factory=list)
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
    runtimes = _prepare()
    results = Results()
    print(f"{os.cpu_count()} cores, heaps of {options.heap}, Kafka {runtimes[0].kafka_version}")
    print("seconds (CPU seconds) [cores that others used]")
    for number in range(1, options.pairs + 1):
        ours = _run_kraftd(options, results, with_commands=number == 1)
        wait_for_quiet(options.quiet_wait)
        theirs = _run_stock(options, runtimes)
        results.pairs.append((ours, theirs))
        ratio = ours.wall_s / theirs.wall_s
        print(f"start {number}: kraftd {_text(ours)}, stock {_text(theirs)}, ratio {ratio:.2f}", flush=True)
    while len(results.stops) < options.stops:
        _run_kraftd(options, results)
    _summarize(results)


def _run_kraftd(options: argparse.Namespace, results: Results, *, with_commands: bool = False) -> Cost:
    with _directory() as directory:
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
    with _directory() as directory:
        cluster = StockCluster(directory, *runtimes, heap=options.heap, offset=options.port_offset)
        try:
            return measure(cluster.start, lambda: cluster.pids)
        finally:
            cluster.kill()


def _prepare() -> tuple[Runtime, Runtime]:
    """Fetch both sets of jars and make the archive; returns what runs stock brokers and stock tools."""
    command_context = this_command_context()
    with _directory() as directory:
        chosen = choose_cluster(Selection(state_dir=directory / "state"), command_context)
        plan = plan_for(chosen, command_context).plan
        for note in set_up(plan, command_context).notes:
            print(f"note: {note}")
        return runtime_of(plan, command_context), runtime_of(plan, command_context, jar_set=JarSet.TOOLS)


def _summarize(results: Results) -> None:
    ours = statistics.median(cost.wall_s for cost, _ in results.pairs)
    theirs = statistics.median(cost.wall_s for _, cost in results.pairs)
    ratio = statistics.median(ours.wall_s / theirs.wall_s for ours, theirs in results.pairs)
    cpu_ratio = statistics.median(ours.cpu_s / theirs.cpu_s for ours, theirs in results.pairs)
    slowest_stop_s = max(stop.cost.wall_s for stop in results.stops)
    clean = sum(not stop.unclean for stop in results.stops)
    help_s = statistics.median(cost.cpu_s for cost in results.helps)
    status_s = statistics.median(cost.wall_s for cost in results.statuses)
    noisy = sum(max(each.others for each in pair) > QUIET_CORES for pair in results.pairs)
    print(f"start: kraftd {ours:.2f} s, stock {theirs:.2f} s (medians); CPU ratio {cpu_ratio:.2f}")
    if noisy:
        print(f"note: others used more than {QUIET_CORES} cores in {noisy} of {len(results.pairs)} pairs: repeat it")
    _judge("start, median ratio", ratio, START_RATIO, "")
    _judge("stop, slowest", slowest_stop_s, STOP_S, " s")
    print(f"{'stop, clean':<24}{clean} of {len(results.stops)}")
    _judge("--help, median CPU", help_s, HELP_CPU_S, " s")
    _judge("status, median", status_s, STATUS_S, " s")


def _judge(what: str, value: float, at_most: float, unit: str) -> None:
    verdict = "" if value <= at_most else "  MISSED"
    print(f"{what:<24}{value:.2f}{unit} (at most {at_most:g}{unit}){verdict}")


def _text(cost: Cost) -> str:
    return f"{cost.wall_s:.2f} ({cost.cpu_s:.2f}) [{cost.others:.1f}]"


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="kraftd-bench-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _kraftd(directory: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "kraftd.cli.main", *arguments]
    # As from a user's shell: with bytecode, and with nothing that overrides a setting.
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "KRAFTD_"))}
    done = subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"cannot run kraftd {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
