"""`kraftd tail` against kcat and a plain loop of confluent-kafka: the same records, in turns.

A running cluster is needed, and kcat on the PATH: ``python -m bench.tail --state-dir DIR``.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

TOPIC = "bench-tail"
RECORD_BYTES = 200
PARTITIONS = 4
PLAIN = """
import sys
from confluent_kafka import Consumer, TopicPartition
consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "plain", "enable.partition.eof": True,
                     "enable.auto.commit": False})
consumer.assign([TopicPartition(sys.argv[2], index, 0) for index in range(int(sys.argv[3]))])
left = int(sys.argv[3])
while left:
    for message in consumer.consume(10000, 0.2):
        if message.error():
            left -= 1
        else:
            sys.stdout.buffer.write(message.value() + b"\\n")
consumer.close()
"""


def timed(command: Sequence[str], output: Path) -> tuple[float, float]:
    """Return the seconds and the seconds of CPU of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began_s = time.monotonic()
    with output.open("wb") as file:
        subprocess.run(command, stdout=file, check=True)
    took_s = time.monotonic() - began_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the medians of each way, and the ratio of kcat's to kraftd's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state-dir", required=True)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    kraftd = [sys.executable, "-m", "kraftd", "--state-dir", given.state_dir]
    lines = b"".join(b"%-*d\n" % (RECORD_BYTES, number) for number in range(given.records))
    subprocess.run([*kraftd, "topics", "create", TOPIC, "--partitions", str(PARTITIONS)], check=True)
    subprocess.run([*kraftd, "send", TOPIC], input=lines, check=True)
    environment = subprocess.run([*kraftd, "env"], capture_output=True, text=True, check=True).stdout
    servers = environment.partition("KAFKA_BOOTSTRAP_SERVERS=")[2].split("\n")[0].strip("'")
    ways = {
        "kcat": ["kcat", "-b", servers, "-C", "-t", TOPIC, "-e", "-q", "-o", "beginning"],
        "plain loop": [sys.executable, "-c", PLAIN, servers, TOPIC, str(PARTITIONS)],
        "kraftd tail": [*kraftd, "tail", TOPIC, "--offset", "earliest"],
    }
    output = Path(given.state_dir) / "bench-tail.out"
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    try:
        for _ in range(given.rounds):
            for name, command in ways.items():
                found[name].append(timed(command, output))
                assert output.read_bytes().count(b"\n") == given.records
    finally:
        output.unlink(missing_ok=True)
        subprocess.run([*kraftd, "topics", "delete", TOPIC, "--yes"], check=True)
    medians = {name: [statistics.median(values) for values in zip(*runs, strict=True)] for name, runs in found.items()}
    for name, (took_s, cpu_s) in medians.items():
        sys.stdout.write(
            f"{name:12} {took_s:6.2f} s {given.records / took_s:9,.0f} records/s {cpu_s:6.2f} s of CPU"
            f" {medians['kcat'][0] / took_s:5.2f} of kcat's rate\n"
        )


if __name__ == "__main__":
    main()
