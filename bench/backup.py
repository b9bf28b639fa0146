"""A backup against a plain consumer, and a restore against a plain producer: records per second, CPU and memory.

Each runs in a process of its own, in turns, against one cluster. The plain ones do what the library's examples do:
they take or give each record, and do nothing with it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from tests.harness import Cluster, cluster_in, eventually

TOPIC = "backup-bench"
PARTITIONS = 6
VALUE_BYTES = 200

CONSUMER = """
import sys
from confluent_kafka import Consumer, TopicPartition
servers, topic, partitions, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
consumer = Consumer({"bootstrap.servers": servers, "group.id": "bench", "enable.auto.commit": False})
consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
seen = 0
while seen < count:
    for message in consumer.consume(5000, 0.1):
        if message.error() is None:
            message.key(), message.value()
            seen += 1
consumer.close()
"""
PRODUCER = """
import os, sys
from confluent_kafka import Producer
servers, topic, partitions, count, size = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
settings = {"enable.idempotence": True, "linger.ms": 20, "compression.type": "lz4"}
producer = Producer({"bootstrap.servers": servers, **settings})
noise = os.urandom(1 << 20)
for number in range(count):
    start = number * 37 % (len(noise) - size)
    value = noise[start : start + size // 2] + b"x" * (size // 2)
    while True:
        try:
            producer.produce(topic, value, b"k%d" % number, number % partitions)
            break
        except BufferError:
            producer.poll(0.05)
    if number % 1000 == 0:
        producer.poll(0)
producer.flush()
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One process."""

    wall_s: float
    cpu_s: float
    memory_mb: float


def timed(command: list[str]) -> Run:
    began_s = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - began_s
    complaint = process.stderr.read().decode() if process.stderr else ""
    if status:
        raise SystemExit(f"{command}: {complaint}")
    return Run(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def renew(cluster: Cluster) -> None:
    """Make the topic anew, as the restore does."""
    remove(cluster)
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
    config = {"compression.type": "producer"}
    admin.create_topics([NewTopic(TOPIC, PARTITIONS, 2, config=config)])[TOPIC].result()


def remove(cluster: Cluster) -> None:
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
    if TOPIC in admin.list_topics(timeout=10).topics:
        admin.delete_topics([TOPIC])[TOPIC].result()
        eventually(lambda: TOPIC not in admin.list_topics(timeout=10).topics)
        time.sleep(1)


def rounds(cluster: Cluster, directory: Path, count: int, number: int) -> Iterator[dict[str, Run]]:
    python, servers = sys.executable, cluster.bootstrap_servers
    plain = [servers, TOPIC, str(PARTITIONS), str(count)]
    for turn in range(number):
        target = str(directory / str(turn))
        found = {}
        renew(cluster)
        found["producer"] = timed([python, "-c", PRODUCER, *plain, str(VALUE_BYTES)])
        found["consumer"] = timed([python, "-c", CONSUMER, *plain])
        found["backup"] = timed(cluster.arguments("-q", "backup", "create", target, "--topic", TOPIC))
        remove(cluster)
        found["restore"] = timed(cluster.arguments("-q", "backup", "restore", target, "--yes"))
        yield found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    ratios: dict[str, list[float]] = {"backup": [], "restore": []}
    with tempfile.TemporaryDirectory(prefix="kraftd-") as name, cluster_in(Path(name)) as cluster:
        cluster.settings["cluster.heap"] = "512m"
        cluster.start()
        cluster.stop("consumer")
        for found in rounds(cluster, Path(name), options.records, options.rounds):
            for what, run in found.items():
                rate = options.records / run.wall_s
                print(f"{what:9} {rate:10,.0f}/s  {run.cpu_s:6.2f} s of CPU  {run.memory_mb:4.0f} MB")
            for ours, plain in (("backup", "consumer"), ("restore", "producer")):
                ratios[ours].append(found[plain].wall_s / found[ours].wall_s)
                print(f"{ours} at {ratios[ours][-1]:.2f} of a plain {plain}'s rate; wanted is 0.6")
        cluster.stop()
    for ours, each in ratios.items():
        print(f"{ours}: median {statistics.median(each):.2f}")


if __name__ == "__main__":
    main()
