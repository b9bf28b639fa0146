"""Which incarnation of the topic is there: one that was deleted and made again has the same name and another log."""

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

INTERVAL_S = 5.0
_TIMEOUT_S = 2.0

logger = logging.getLogger(__name__)


class Identity(Protocol):
    """Tells one incarnation of the topic from the next."""

    seen: str | None
    """The topic's id as last seen; None before the first answer."""

    def ask(self) -> str | None:
        """Ask for the topic's id, at most a few seconds; None where there is no topic or no answer."""


class TopicIdentity:
    """Asks for the topic's id every few seconds on a thread of its own, and whenever it is told to."""

    def __init__(self, connect: Callable[[], AdminClient], topic: str) -> None:
        self._connect = connect
        self._topic = topic
        self._client: AdminClient | None = None
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self.seen: str | None = None

    def start(self) -> None:
        """Begin to ask."""
        threading.Thread(target=self._run, name="kafka-topic-id", daemon=True).start()

    def stop(self) -> None:
        """Ask no more; a question under way is left to its timeout."""
        self._stopped.set()

    def ask(self) -> str | None:
        """Ask for the topic's id, at most two seconds; None where there is no topic or no answer."""
        with self._lock:
            self._client = self._client or self._connect()
            try:
                asked = self._client.describe_topics(TopicCollection([self._topic]), request_timeout=_TIMEOUT_S)
                self.seen = str(asked[self._topic].result().topic_id)
            except KafkaException as error:
                logger.debug("No id of %s: %s", self._topic, error)
                return None
            return self.seen

    def _run(self) -> None:
        while not self._stopped.wait(INTERVAL_S):
            self.ask()
