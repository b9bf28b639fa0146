"""A scale from two brokers to three and back to two, under a producer: what it loses, holds up and copies.

One producer writes at a steady rate all the time, with acks=all and idempotence. Its latency before the scale is
compared with that while replicas move; each acknowledged record must be at its place at the end.
"""

import argparse
import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from bench.measuring import end_on_signals, wait_for_quiet
from bench.steady_producer import SteadyProducer, value_of
from kraftd.kafka.round_trip import CANARY_TOPIC
from tests.harness import Cluster, cluster_in

TOPIC = "scale-bench"
PARTITIONS = 12
FILL_VALUE_BYTES = 10_000
WARM_UP_S = 5.0
POLL_S = 0.1
MOST_WITHOUT_LEADER_S = 1.0
MOST_P99 = 3.0
MOST_MOVES = 1.05
NEAR_S = 1.5
SETTINGS = """
[cluster]
heap = "512m"
[producer]
enabled = false
[consumer]
enabled = false
"""


@dataclass(frozen=True, slots=True)
class Scaled:
    """One scale.

    Attributes:
        took_s: The whole command, the start or the stop of a broker included.
        moved: When its copies began, and when it ended.
        leaderless_s: By partition, the longest time for which the brokers' metadata showed no leader.
        led_anew: When a broker's metadata showed a new leader, and of which partition.
        replicas: How many replicas it copied.
        needed_replicas: The fewest that any scale copies, over all topics: what makes the brokers even, or what is on
            those that leave.
    """

    took_s: float
    moved: tuple[float, float]
    leaderless_s: dict[int, float]
    led_anew: list[tuple[float, int]]
    replicas: int
    needed_replicas: int
    size_bytes: int

    def was_led_anew(self, at_s: float, partition: int) -> bool:
        """Return whether a partition got another leader within NEAR_S of a time."""
        return any(partition == each and abs(at_s - changed_s) < NEAR_S for changed_s, each in self.led_anew)


def replicas(cluster: Cluster) -> list[int]:
    """Return the broker of each replica, of all topics but the canary's, which is not moved."""
    client = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0})
    topics = [topic for name, topic in client.list_topics(timeout=10).topics.items() if name != CANARY_TOPIC]
    return [broker for topic in topics for each in topic.partitions.values() for broker in each.replicas]


def scale(cluster: Cluster, brokers: int, throttle: Sequence[str]) -> Scaled:
    before = replicas(cluster)
    joining = brokers - len(set(before))
    needed = len(before) // brokers * joining if joining > 0 else sum(broker > brokers for broker in before)
    began_s = time.monotonic()
    command = cluster.spawn("scale", "--brokers", str(brokers), "--yes", "--json", *throttle)
    copying_s, leaderless_s, led_anew = watched(cluster, command)
    ended_s = time.monotonic()
    output, complaint = command.communicate()
    if command.returncode:
        raise SystemExit(output + complaint)
    moved = json.loads(output)["moved"]
    times = (copying_s or began_s, ended_s)
    return Scaled(ended_s - began_s, times, leaderless_s, led_anew, moved["replicas"], needed, moved["size_bytes"])


def watched(
    cluster: Cluster, command: "subprocess.Popen[str]"
) -> tuple[float | None, dict[int, float], list[tuple[float, int]]]:
    """Watch until a scale has ended: when its copies began, how long partitions had no leader, and new leaders."""
    client = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0})
    copying_s: float | None = None
    since_s: dict[int, float] = {}
    longest_s = dict.fromkeys(range(PARTITIONS), 0.0)
    leaders: dict[int, int] = {}
    led_anew: list[tuple[float, int]] = []
    while command.poll() is None:
        if copying_s is None and is_throttled(cluster):
            copying_s = time.monotonic()
        with contextlib.suppress(KafkaException):
            partitions = client.list_topics(TOPIC, timeout=5).topics[TOPIC].partitions
            now_s = time.monotonic()
            for number, partition in partitions.items():
                if leaders.setdefault(number, partition.leader) != partition.leader:
                    led_anew.append((now_s, number))
                    leaders[number] = partition.leader
                if partition.leader < 0:
                    longest_s[number] = max(longest_s[number], now_s - since_s.setdefault(number, now_s))
                else:
                    longest_s[number] = max(longest_s[number], now_s - since_s.pop(number, now_s))
        time.sleep(POLL_S)
    return copying_s, longest_s, led_anew


def is_throttled(cluster: Cluster) -> bool:
    """Return whether the scale that runs has begun to copy."""
    with contextlib.suppress(OSError, ValueError):
        return bool(json.loads((cluster.state_dir / "scale.json").read_text())["broker_throttles"])
    return False


def fill(cluster: Cluster, megabytes: int) -> dict[int, int]:
    """Write records that no compression makes smaller, and return the end of each partition."""
    client = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
    client.create_topics([NewTopic(TOPIC, PARTITIONS, 2, config={"compression.type": "producer"})])[TOPIC].result()
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers, "linger.ms": 20, "log_level": 0})
    count = megabytes * 1_000_000 // FILL_VALUE_BYTES
    for number in range(count):
        while True:
            with contextlib.suppress(BufferError):
                producer.produce(TOPIC, os.urandom(FILL_VALUE_BYTES), partition=number % PARTITIONS)
                break
            producer.poll(0.05)
    if producer.flush(300):
        raise SystemExit("cannot fill the topic")
    return {partition: len(range(partition, count, PARTITIONS)) for partition in range(PARTITIONS)}


def records_from(cluster: Cluster, starts: dict[int, int]) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yield the place and the value of each record from these offsets on."""
    settings = {"group.id": "bench", "enable.auto.commit": False, "enable.partition.eof": True}
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap_servers, **settings})
    consumer.assign([TopicPartition(TOPIC, partition, offset) for partition, offset in starts.items()])
    pending = set(starts)
    while pending:
        message = consumer.poll(30)
        if message is None:
            raise SystemExit(f"cannot read partitions {sorted(pending)} to their ends")
        if message.error() is None:
            yield (message.partition(), message.offset()), message.value()
        elif message.error().code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 the library's own name for it
            pending.discard(message.partition())
        else:
            raise SystemExit(str(message.error()))
    consumer.close()


def report(name: str, scaled: Scaled, producer: SteadyProducer, before_s: float) -> bool:
    p99_s = producer.p99_s(*scaled.moved)
    silences_s = producer.longest_silence_s(*scaled.moved)
    whole_s = producer.p99_s(scaled.moved[1] - scaled.took_s, scaled.moved[1])
    leaderless_s = max(scaled.leaderless_s.values())
    print(f"{name}: {scaled.took_s:.1f} s, of which {scaled.moved[1] - scaled.moved[0]:.1f} s moved replicas")
    print(f"  without a leader, by partition: {shown_s(scaled.leaderless_s)}")
    print(f"  without an acknowledgement, by partition: {shown_s(silences_s)}")
    print(
        f"  p99 {p99_s * 1000:.1f} ms while replicas move, {whole_s * 1000:.1f} ms in the whole command; "
        f"before {before_s * 1000:.1f} ms: {p99_s / before_s:.2f} of it, wanted is at most {MOST_P99:g}"
    )
    late = producer.late(*scaled.moved, MOST_P99 * before_s, scaled.was_led_anew)
    print(
        f"  {late.number} of {late.of} took longer than that, {late.led_anew} of them in partitions that had just got "
        f"another leader ({len(scaled.led_anew)} changes); the longest {late.longest_s:.2f} s"
    )
    ratio = scaled.replicas / scaled.needed_replicas
    print(
        f"  {scaled.replicas} replicas copied, {scaled.size_bytes / 1e6:.0f} MB; at least {scaled.needed_replicas} had "
        f"to be: {ratio:.2f}, wanted is at most {MOST_MOVES:g}"
    )
    return leaderless_s <= MOST_WITHOUT_LEADER_S and p99_s <= MOST_P99 * before_s and ratio <= MOST_MOVES


def broker_table(properties: Sequence[str]) -> str:
    pairs = [each.partition("=") for each in properties]
    return "[broker.config]\n" + "".join(f'"{name}" = "{value}"\n' for name, _, value in pairs)


def shown_load() -> str:
    return f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def shown_s(by_partition: dict[int, float]) -> str:
    return " ".join(f"{seconds:.2f}" for _, seconds in sorted(by_partition.items())) + " s"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--per-second", type=int, default=2000)
    parser.add_argument("--before", type=float, default=30.0, help="seconds of writing before the scale")
    parser.add_argument("--throttle", help="that of the scale")
    parser.add_argument("--kafka-version", default="", help="another one than the default")
    parser.add_argument("--broker-config", action="append", default=[], metavar="NAME=VALUE", help="of every broker")
    parser.add_argument("--wait-for-quiet", type=float, default=0.0, help="seconds to wait at most for a quiet machine")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    end_on_signals()
    throttle = ("--throttle", options.throttle) if options.throttle else ()
    with tempfile.TemporaryDirectory(prefix="kraftd-") as name, cluster_in(Path(name)) as cluster:
        cluster.config = Path(name) / "kraftd.toml"
        cluster.config.write_text(SETTINGS + broker_table(options.broker_config))
        cluster.settings = {"cluster.heap": "512m", "java.options": "[]"}
        if options.kafka_version:
            cluster.settings["cluster.kafka_version"] = options.kafka_version
        cluster.start()
        ends = fill(cluster, options.megabytes)
        wait_for_quiet(options.wait_for_quiet)
        print(f"load {shown_load()} before")
        with SteadyProducer(cluster.bootstrap_servers, options.per_second, TOPIC, PARTITIONS) as producer:
            time.sleep(WARM_UP_S)
            began_s = time.monotonic()
            time.sleep(options.before)
            before = (began_s, time.monotonic())
            scales = {"2 -> 3": scale(cluster, 3, throttle), "3 -> 2": scale(cluster, 2, throttle)}
        print(f"load {shown_load()} after")
        before_s = producer.p99_s(*before)
        results = [report(each, scaled, producer, before_s) for each, scaled in scales.items()]
        found = dict(records_from(cluster, ends))
        cluster.stop()
    values = set(found.values())
    written = producer.written
    acknowledged = {place: value_of(number) for place, number in written.acknowledged.items()}
    lost = sum(value not in values for value in acknowledged.values())
    misplaced = sum(found.get(place) != value for place, value in acknowledged.items()) - lost
    print(
        f"{len(acknowledged):,} records acknowledged, {written.failed} not; lost: {lost}; misplaced: "
        f"{misplaced}; twice: {len(found) - len(values)}"
    )
    is_met = all(results) and not (lost or misplaced or written.failed)
    print("every figure is as wanted" if is_met else "a figure is not as wanted")
    raise SystemExit(not is_met)


if __name__ == "__main__":
    main()
