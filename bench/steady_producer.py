"""A producer that writes at a steady rate in a process of its own, so that measuring takes little of the machine.

What it measures is the cluster: a writer in the benchmark's own process would wait for what else that process does.
"""

import gc
import itertools
import multiprocessing
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType

from confluent_kafka import KafkaError, Message, Producer

_TICK_S = 0.005
"""What is due is sent this often: a record counts from when it was due, so that this is part of its latency."""

_SETTINGS = {"enable.idempotence": True, "delivery.timeout.ms": 120_000, "linger.ms": 5, "log_level": 0}
_FLUSH_S = 120.0


@dataclass(frozen=True, slots=True)
class Late:
    """Records that were acknowledged late.

    Attributes:
        number: How many.
        of: Of how many.
        led_anew: How many of them in partitions that had got another leader shortly before or after.
        longest_s: The longest latency.
    """

    number: int
    of: int
    led_anew: int
    longest_s: float


@dataclass
class Written:
    """What a producer wrote.

    Attributes:
        acknowledged: The number of each acknowledged record, by (partition, offset).
        answers: When each was acknowledged (monotonic seconds), in which partition, and how long after it was due.
        failed: How many were not acknowledged.
    """

    acknowledged: dict[tuple[int, int], int] = field(default_factory=dict)
    answers: list[tuple[float, int, float]] = field(default_factory=list)
    failed: int = 0


class SteadyProducer:
    """Writes numbered records at a rate, to all partitions in turn, until its context ends.

    Args:
        bootstrap_servers: Of the cluster.
        per_s: Records each second.
        topic: Where to.
        partitions: How many the topic has.

    Attributes:
        written: What it wrote; filled when the context has ended.
    """

    def __init__(self, bootstrap_servers: str, per_s: int, topic: str, partitions: int) -> None:
        self.written = Written()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, bootstrap_servers, per_s, topic, partitions)
        self._process = context.Process(target=_write, args=arguments, daemon=True)

    def __enter__(self) -> "SteadyProducer":
        self._process.start()
        self._pipe.recv()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: BaseException | TracebackType | None) -> None:
        if kind is not None:
            self._process.kill()
        else:
            self._pipe.send("stop")
            self.written = self._pipe.recv()
        self._process.join()

    def p99_s(self, since_s: float, until_s: float) -> float:
        """Return the 99th percentile of the latencies of answers between two times."""
        return statistics.quantiles([latency_s for _, _, latency_s in self._answers(since_s, until_s)], n=100)[98]

    def late(self, since_s: float, until_s: float, longer_s: float, led_anew: Callable[[float, int], bool]) -> Late:
        """Return the answers between two times that took longer than a time, and what is known of them.

        Args:
            since_s: The first time.
            until_s: The last one.
            longer_s: What is late.
            led_anew: Returns whether a partition got another leader about a time.
        """
        found = self._answers(since_s, until_s)
        late = [each for each in found if each[2] > longer_s]
        moved = [each for each in late if led_anew(each[0], each[1])]
        return Late(len(late), len(found), len(moved), max((each[2] for each in found), default=0.0))

    def longest_silence_s(self, since_s: float, until_s: float) -> dict[int, float]:
        """Return by partition the longest time without an answer: no partition was without a leader for longer."""
        times = defaultdict(lambda: [since_s])
        for at_s, partition, _ in self._answers(since_s, until_s):
            times[partition].append(at_s)
        gaps = {partition: [*each, until_s] for partition, each in times.items()}
        return {
            partition: max(later - earlier for earlier, later in itertools.pairwise(each))
            for partition, each in gaps.items()
        }

    def _answers(self, since_s: float, until_s: float) -> Sequence[tuple[float, int, float]]:
        return [each for each in self.written.answers if since_s <= each[0] <= until_s]


def value_of(number: int) -> bytes:
    """Return the value of a numbered record, of 200 bytes."""
    return b"%0200d" % number


def _write(pipe: Connection, bootstrap_servers: str, per_s: int, topic: str, partitions: int) -> None:
    """Write until told to stop, and answer with what was written."""
    gc.disable()
    written = Written()
    producer = Producer({"bootstrap.servers": bootstrap_servers, **_SETTINGS})
    producer.list_topics(topic, timeout=30)
    pipe.send("ready")
    began_s, number = time.monotonic(), 0
    while not pipe.poll():
        tick_s = time.monotonic()
        for due in range(number, int((tick_s - began_s) * per_s)):
            answer = _noting(written, due, began_s + due / per_s)
            producer.produce(topic, value_of(due), partition=due % partitions, on_delivery=answer)
            number = due + 1
        producer.poll(0)
        time.sleep(max(0.0, tick_s + _TICK_S - time.monotonic()))
    written.failed += producer.flush(_FLUSH_S)
    pipe.send(written)


def _noting(written: Written, number: int, due_s: float) -> Callable[[KafkaError | None, Message], None]:
    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            written.failed += 1
            return
        now_s = time.monotonic()
        partition, offset = message.partition(), message.offset()
        if partition is None:
            raise AssertionError("an acknowledged record has a partition")
        written.answers.append((now_s, partition, now_s - due_s))
        # The client takes a request whose answer was lost for acknowledged when a later one is.
        if offset is not None:
            written.acknowledged[partition, offset] = number

    return delivered
