"""Writers that post until told to stop and remember every answer, and the log to compare them with."""

import json
import threading
from collections import Counter
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError, TopicPartition

from tests.kafka.app_processes import RunningApp


@dataclass
class Writers:
    """Some threads, each posting values that no other posts."""

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


def whole_log(bootstrap_servers: str, topic: str) -> dict[tuple[int, int], bytes]:
    """Return every record of a topic by its place."""
    settings = {
        "bootstrap.servers": bootstrap_servers,
        "group.id": "test-reader",
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
