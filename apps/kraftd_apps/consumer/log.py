"""The topic's log as the app reads it back: what stands at its end, and what is asked for by place or time."""

import asyncio
import logging
from collections.abc import Callable

from confluent_kafka import KafkaException

from kraftd_apps.consumer.history import Client, Start, read_from, read_newest
from kraftd_apps.consumer.record import SeenRecord
from kraftd_apps.consumer.ring import Ring
from kraftd_apps.web.problems import Problem, Refused, problem
from kraftd_apps.web.threads import in_thread

_TAIL_RECORDS = 25
_TAIL_TIMEOUT_S = 5.0
_TAIL_PAUSES_S = (0.5, 1.0, 2.0, 4.0)
_HISTORY_TIMEOUT_S = 2.0
_READERS = 4

logger = logging.getLogger(__name__)


class Log:
    """Reads the topic without the group; a few readers at a time, each with a client of its own."""

    def __init__(self, connect: Callable[[], Client], topic: str, ring: Ring) -> None:
        self._connect = connect
        self._topic = topic
        self._ring = ring
        self._places = asyncio.Semaphore(_READERS)
        self._tail_read = asyncio.Event()

    async def read_tail(self, partitions: tuple[int, ...]) -> None:
        """Put the newest records of these partitions into the ring, before what has arrived since.

        Tries again for some seconds: a topic that has just been made has no leaders yet.
        """
        for pause_s in (*_TAIL_PAUSES_S, None):
            try:
                if partitions:
                    self._ring.add_older(await in_thread(self._newest, partitions))
            except KafkaException as error:
                logger.info("Reading back the end of the log failed: %s", error)
            else:
                return
            finally:
                self._tail_read.set()
            if pause_s is not None:
                await asyncio.sleep(pause_s)
        logger.warning("The end of the log was not read back")

    async def tail_was_read(self, timeout_s: float) -> None:
        """Wait for the first `read_tail`, at most so many seconds: without Kafka there is nothing to wait for."""
        try:
            await asyncio.wait_for(self._tail_read.wait(), timeout_s)
        except TimeoutError:
            logger.debug("The end of the log has not been read yet")

    async def read(self, start: Start, limit: int) -> list[SeenRecord]:
        """Return records of a partition from a place or a time on.

        Raises:
            Refused: Kafka does not answer, or knows no such partition.
        """
        async with self._places:
            try:
                return await in_thread(self._from, start, limit)
            except KafkaException as error:
                raise Refused(_problem_of(error, start)) from error

    async def find(self, partition: int, offset: int) -> SeenRecord:
        """Return the record at a place.

        Raises:
            Refused: There is none, or Kafka does not answer.
        """
        record = self._ring.find(partition, offset)
        if record is None:
            found = await self.read(Start(partition, offset), 1)
            record = found[0] if found and found[0].offset == offset else None
        if record is None:
            raise Refused(problem("not_found", f"there is no record at {partition}:{offset}"))
        return record

    def _newest(self, partitions: tuple[int, ...]) -> list[SeenRecord]:
        client = self._connect()
        return read_newest(client, self._topic, partitions, count=_TAIL_RECORDS, timeout_s=_TAIL_TIMEOUT_S)

    def _from(self, start: Start, limit: int) -> list[SeenRecord]:
        return read_from(self._connect(), self._topic, start, limit=limit, timeout_s=_HISTORY_TIMEOUT_S)


def _problem_of(error: KafkaException, start: Start) -> Problem:
    name = error.args[0].name()
    detail = f"{name}: {error.args[0].str()}"
    if name in {"_UNKNOWN_PARTITION", "UNKNOWN_TOPIC_OR_PART"}:
        return problem("not_found", f"there is no partition {start.partition}: {detail}")
    return problem("brokers_down", detail)
