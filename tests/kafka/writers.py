"""Writers that remember every answer, by Kafka's protocol and through the producer app, and the log to check."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from tests.kafka.app_processes import RunningApp


class Writer:
    """Writes numbered records until stopped; a context manager.

    Attributes:
        acknowledged: The value of each acknowledged record, by (partition, offset).
    """

    def __init__(self, bootstrap_servers: str, topic: str, *, per_second: int = 100) -> None:
        self.acknowledged: dict[tuple[int, int], bytes] = {}
        self._topic = topic
        self._pause_s = 1 / per_second
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, name="writer")
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "enable.idempotence": True,
                "acks": "all",
                "delivery.timeout.ms": 60000,
                "reconnect.backoff.max.ms": 500,
                "linger.ms": 1,
                "log_level": 0,
            }
        )

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join()
        self._producer.flush(60)

    def lost(self, log: dict[tuple[int, int], bytes]) -> dict[tuple[int, int], bytes]:
        """Return what was acknowledged and is not in the log."""
        return {place: value for place, value in self.acknowledged.items() if log.get(place) != value}

    def _write(self) -> None:
        number = 0
        while not self._stop.is_set():
            value = str(number).encode()
            self._producer.produce(self._topic, value, key=value, on_delivery=self._remember(value))
            self._producer.poll(0)
            number += 1
            time.sleep(self._pause_s)

    def _remember(self, value: bytes) -> Callable[[KafkaError | None, Message], None]:
        def delivered(error: KafkaError | None, message: Message) -> None:
            # The client takes a request whose answer was lost for acknowledged when a later one is, without its offset.
            if error is None and message.offset() is not None:
                self.acknowledged[message.partition(), message.offset()] = value

        return delivered


@dataclass
class PostingWriters:
    """Some threads, each posting values to the producer app that no other posts, until told to stop."""

    app: RunningApp
    number: int = 8
    acknowledged: dict[tuple[int, int], bytes] = field(default_factory=dict)
    unplaced: set[bytes] = field(default_factory=set)
    not_written: dict[bytes, str] = field(default_factory=dict)
    unknown: dict[bytes, str] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        self._threads = [threading.Thread(target=self._write, args=(writer,)) for writer in range(self.number)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(40)

    def _write(self, writer: int) -> None:
        count = 0
        while not self._stopping.is_set():
            count += 1
            body = json.dumps(f"{self.app.port}-{writer}-{count}").encode()
            try:
                status, answer = self.app.request("/send", body)
            except OSError:
                # Cut off: the request may have been read, or not.
                self.unknown[body] = "no answer"
                if self.app.process.poll() is not None:
                    return
                continue
            document = json.loads(answer)
            if status == 200 and document["offset"] is None:
                self.unplaced.add(body)
            elif status == 200:
                self.acknowledged[document["partition"], document["offset"]] = body
            else:
                outcome = self.not_written if document["outcome"] == "not_written" else self.unknown
                outcome[body] = document["code"]
                # A refusal comes at once: do not spend the machine on it.
                self._stopping.wait(0.05)

    def check(self, log: dict[tuple[int, int], bytes]) -> None:
        """Compare every answer with the log.

        A 200 is there once, at the offset that it named; what was called not written is not there; all else is there
        at most once.
        """
        times = Counter(log.values())
        for place, body in self.acknowledged.items():
            assert log.get(place) == body
            assert times[body] == 1, f"{body!r} is in the log {times[body]} times"
        assert [body for body in self.unplaced if times[body] != 1] == []
        assert [body for body in self.not_written if times[body]] == []
        assert [body for body in self.unknown if times[body] > 1] == []


def read_log(bootstrap_servers: str, topic: str) -> dict[tuple[int, int], bytes]:
    """Return every record of a topic by its place."""
    settings = {
        "bootstrap.servers": bootstrap_servers,
        "group.id": "reader",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_uncommitted",
        # Not the default, which would go on at the log's end.
        "auto.offset.reset": "error",
    }
    reader = Consumer(settings)
    try:
        partitions = reader.list_topics(topic, timeout=10).topics[topic].partitions
        reader.assign([TopicPartition(topic, number, 0) for number in partitions])
        pending, found = set(partitions), {}
        while pending:
            message = reader.poll(20)
            assert message is not None, f"partitions {pending} do not end"
            if message.error() is None:
                found[message.partition(), message.offset()] = message.value()
            else:
                assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                pending.discard(message.partition())
        return found
    finally:
        reader.close()
