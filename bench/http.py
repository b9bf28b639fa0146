"""How the apps compare with the usual sample app, on real brokers that kraftd starts.

    python -m bench.http [--rounds 3] [--seconds 5] [--sample-python PYTHON]

Needs wrk on PATH, and for the sample app an interpreter with `pip install fastapi uvicorn aiokafka`. Every figure is a
median over rounds in which the variants take turns, because the machine's speed changes more than their ratio.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
from pathlib import Path

from bench.http_apps import BATCH, VALUE, App, Load, brokers, free_port, raw_records_per_s, running, wrk
from bench.http_pages import pages
from bench.measuring import wait_for_quiet

WARM_UP_S = 30
QUIET_WAIT_S = 10.0


def median(loads: list[Load]) -> Load:
    """Return the median of each figure."""
    rates, p50s, p99s = ([getattr(load, name) for load in loads] for name in ("requests_per_s", "p50_ms", "p99_ms"))
    return Load(
        statistics.median(rates), statistics.median(p50s), statistics.median(p99s), sum(load.failed for load in loads)
    )


def compare_producers(sample: App, ours: App, servers: str, rounds: int, seconds: int) -> None:
    """Print all rates and latencies, and their ratios."""
    lines = "\n".join([VALUE] * BATCH)
    plain: list[Load] = []
    send: list[Load] = []
    batch: list[Load] = []
    raw: list[float] = []
    # The brokers compile late: without a million records they cost twice the CPU.
    wrk(ours, "/send/batch", lines, WARM_UP_S, "application/x-ndjson")
    for app in (sample, ours):
        wrk(app, "/send", VALUE, WARM_UP_S)
    for _ in range(rounds):
        wait_for_quiet(QUIET_WAIT_S)
        plain.append(wrk(sample, "/send", VALUE, seconds))
        send.append(wrk(ours, "/send", VALUE, seconds))
        raw.append(raw_records_per_s(servers, seconds))
        batch.append(wrk(ours, "/send/batch", lines, seconds, "application/x-ndjson"))
    base, fast, many = median(plain), median(send), median(batch)
    for name, load in (("sample /send", base), ("kraftd /send", fast), ("kraftd /send/batch", many)):
        print(
            f"{name:20} {load.requests_per_s:9.0f} requests/s  p50 {load.p50_ms:7.1f} ms  p99 {load.p99_ms:7.1f} ms"
            f"  failed {load.failed}"
        )
    limit = statistics.median(raw)
    print(f"{'client without HTTP':20} {limit:9.0f} records/s, as many outstanding")
    print(f"/send to that limit          {fast.requests_per_s / limit:6.2f}  (at least 0.85)")
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--sample-python", default=sys.executable)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kraftd-")))
        servers = stack.enter_context(brokers(directory))
        kafka = {"KAFKA_BOOTSTRAP_SERVERS": servers}
        port = free_port()
        argv = [options.sample_python, "-m", "uvicorn", "bench.sample_app:app", "--port", str(port)]
        sample = stack.enter_context(running(argv, port, "/docs", directory / "sample.log", **kafka))
        apps = [sys.executable, "-m"]
        ours = stack.enter_context(
            running([*apps, "kraftd_apps.producer"], free_port(), "/readyz", directory / "producer.log", **kafka)
        )
        compare_producers(sample, ours, servers, options.rounds, options.seconds)
        grow(ours)
        consumer = stack.enter_context(
            running(
                [*apps, "kraftd_apps.consumer"],
                free_port(),
                "/readyz",
                directory / "consumer.log",
                KAFKA_AUTO_OFFSET_RESET="latest",
                APP_SSE_MAX_CLIENTS="200",
                **kafka,
            )
        )
        asyncio.run(pages(ours, consumer))


if __name__ == "__main__":
    main()
