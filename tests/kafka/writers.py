"""A writer that remembers what was acknowledged, and a reader that checks the log for it."""

import threading
import time
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition


class Writer:
    """Writes numbered records until stopped; a context manager.

    Attributes:
        acknowledged: The number of each acknowledged record, by (partition, offset).
    """

    def __init__(self, bootstrap_servers: str, topic: str, *, per_second: int = 100) -> None:
        self.acknowledged: dict[tuple[int, int], int] = {}
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

    def _write(self) -> None:
        number = 0
        while not self._stop.is_set():
            self._producer.produce(self._topic, str(number), key=str(number), on_delivery=self._remember(number))
            self._producer.poll(0)
            number += 1
            time.sleep(self._pause_s)

    def _remember(self, number: int) -> Callable[[KafkaError | None, Message], None]:
        def delivered(error: KafkaError | None, message: Message) -> None:
            # The client takes a request whose answer was lost for acknowledged when a later one is, without its offset.
            if error is None and message.offset() is not None:
                self.acknowledged[message.partition(), message.offset()] = number

        return delivered


def read_log(bootstrap_servers: str, topic: str, partitions: int) -> dict[tuple[int, int], str]:
    """Return every record of a topic by (partition, offset), without a group."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap_servers, "group.id": "reader", "enable.auto.commit": False, "log_level": 0}
    )
    try:
        ends = {
            partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
            for partition in range(partitions)
        }
        consumer.assign([TopicPartition(topic, partition, low) for partition, (low, _) in ends.items()])
        waiting = {partition for partition, (low, high) in ends.items() if low < high}
        found: dict[tuple[int, int], str] = {}
        deadline_s = time.monotonic() + 30
        while waiting and time.monotonic() < deadline_s:
            message = consumer.poll(1.0)
            if message is None or message.error():
                continue
            found[message.partition(), message.offset()] = (message.value() or b"").decode()
            if message.offset() >= ends[message.partition()][1] - 1:
                waiting.discard(message.partition())
        assert not waiting, f"partitions not read to their end: {waiting}"
        return found
    finally:
        consumer.close()
