"""What a cluster costs while nobody uses it, beside two stock brokers that run at the same time.

Run as ``python -m bench.idle [--seconds 90] [--heap 4g] [--set KEY=VALUE ...]`` from the repository's root. Prints the
CPU of each of kraftd's programs in percent of a core, and that of all of them against the two stock brokers.
"""

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from bench.measuring import end_on_signals
from bench.startup import KraftdCluster, prepared_runtimes, temporary_directory
from bench.stock import StockCluster

RATIO = 1.0
"""Everything that kraftd runs against two stock brokers."""

STOCK_OFFSET = 50
"""The ports of the stock brokers are this far from kraftd's."""


def main() -> None:
    """Start both, let them settle, measure, and print."""
    end_on_signals()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seconds", type=float, default=90.0, help="to measure")
    parser.add_argument("--settle", type=float, default=30.0, help="seconds after the starts, for the compilers")
    parser.add_argument("--heap", default="512m", help="of each broker")
    parser.add_argument("--port-offset", type=int, default=22200, help="added to all ports")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of kraftd's")
    options = parser.parse_args()
    runtimes = prepared_runtimes()
    with temporary_directory() as directory, temporary_directory() as stock_directory:
        offset = options.port_offset + STOCK_OFFSET
        stock = StockCluster(stock_directory, *runtimes, heap=options.heap, offset=offset)
        kraftd = KraftdCluster(directory, options.heap, options.port_offset, options.set)
        try:
            stock.start()
            kraftd.start()
            time.sleep(options.settle)
            programs = programs_of(kraftd, directory)
            programs |= {f"stock broker {number}": pid for number, pid in enumerate(stock.pids, 1)}
            report(cores_used(programs, options.seconds))
        finally:
            stock.kill()
            kraftd.run("stop")


def programs_of(cluster: KraftdCluster, directory: Path) -> dict[str, int]:
    """Return the pid of each of kraftd's programs."""
    found = {each["name"]: each["pid"] for each in json.loads(cluster.run("status", "--json"))["nodes"]}
    pid = (directory / "state" / "run" / "supervisord.pid").read_text()
    return {**found, "supervisord": int(pid)}


def cores_used(pids: Mapping[str, int], seconds: float) -> dict[str, float]:
    """Return the cores that each process used on average."""
    processes = {name: psutil.Process(pid) for name, pid in pids.items()}
    before_s = {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}
    began_s = time.monotonic()
    time.sleep(seconds)
    took_s = time.monotonic() - began_s
    return {name: (sum(process.cpu_times()[:2]) - before_s[name]) / took_s for name, process in processes.items()}


def report(cores: Mapping[str, float]) -> None:
    """Print each program and the sums."""
    for name, used in cores.items():
        print(f"{name:<16}{used * 100:6.2f} %")
    stock = sum(used for name, used in cores.items() if name.startswith("stock"))
    kraftd = sum(cores.values()) - stock
    verdict = "" if kraftd <= RATIO * stock else "  MISSED"
    print(f"kraftd {kraftd * 100:.2f} %, stock {stock * 100:.2f} %: {kraftd / stock:.2f} (at most {RATIO:g}){verdict}")


if __name__ == "__main__":
    main()
