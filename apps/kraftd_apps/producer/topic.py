"""The watch of the producer's topic: whether it exists and every partition has a leader."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from confluent_kafka import KafkaException

HEALTHY_INTERVAL_S = 5.0
AWAY_INTERVAL_S = 0.25
STALE_S = 15.0
_TIMEOUT_S = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TopicView:
    """The last known state of the topic."""

    topic: str
    seen_s: float | None = None
    """Monotonic time of the last answer from a broker; None before the first."""
    partitions: int = 0
    """0 if the topic does not exist."""
    leaderless: tuple[int, ...] = ()
    fault: str = ""
    """Why the last request had no answer; empty if it had one."""


class MetadataClient(Protocol):
    """The part of `confluent_kafka.Producer` that requests metadata."""

    def list_topics(self, topic: str, timeout: float) -> Any:
        """Return a topic's metadata from any broker; raises KafkaException after `timeout` seconds."""


def view_of(metadata: Any, topic: str, now_s: float) -> TopicView:
    """Return the view in a metadata response."""
    found = metadata.topics.get(topic)
    if found is None or (found.error is not None and not found.partitions):
        return TopicView(topic, now_s)
    leaderless = tuple(sorted(number for number, partition in found.partitions.items() if partition.leader < 0))
    return TopicView(topic, now_s, len(found.partitions), leaderless)


def unready_reasons(view: TopicView, now_s: float) -> list[str]:
    """Return why records cannot be written now; empty if they can."""
    if view.seen_s is None or now_s - view.seen_s > STALE_S:
        return [view.fault or "no broker has answered yet"]
    if not view.partitions:
        return [f"topic {view.topic} does not exist"]
    if view.leaderless:
        return [f"partitions without a leader: {', '.join(map(str, view.leaderless))}"]
    return []


class TopicWatch:
    """Requests the topic's metadata every few seconds, more often during a fault."""

    def __init__(
        self, client: Callable[[], MetadataClient], topic: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._clock = clock
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="kafka-metadata", daemon=True)
        self.view = TopicView(topic)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Make the thread end; a request in progress runs into its timeout."""
        self._stopping = True
        self._wake.set()

    def reasons(self) -> list[str]:
        """Return why records cannot be written now; empty if they can."""
        return unready_reasons(self.view, self._clock())

    def ask(self) -> None:
        """Request the metadata once and update the view."""
        before = self.view
        try:
            metadata = self._client().list_topics(before.topic, timeout=_TIMEOUT_S)
        except KafkaException as error:
            self.view = replace(before, fault=f"no broker answers: {error.args[0].str()}")
        else:
            self.view = view_of(metadata, before.topic, self._clock())
        if self.view.fault and not before.fault:
            logger.warning("Kafka is unavailable: %s", self.view.fault)
        elif before.fault and not self.view.fault:
            logger.info("Kafka is available again")

    def _run(self) -> None:
        while not self._stopping:
            self.ask()
            away = self.view.fault or unready_reasons(self.view, self._clock())
            self._wake.wait(AWAY_INTERVAL_S if away else HEALTHY_INTERVAL_S)
