"""Routes of the hot path as plain ASGI apps: `POST /send`, `DELETE /send` and `POST /send/batch`."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from confluent_kafka import KafkaError, KafkaException

from kraftd.web.asgi import Answer, Receive, Scope, Send, send_answer
from kraftd.web.background import on_loop
from kraftd_apps.common.body import BodyReader
from kraftd_apps.common.problems import Problem, ProblemError, problem
from kraftd_apps.common.settings import HttpSettings
from kraftd_apps.producer.async_producer import AsyncProducer, DeliveredMessage, Report, partition_asked_for
from kraftd_apps.producer.json_records import (
    Item,
    Parse,
    envelope_item,
    json_fault,
    plain_item,
    split_records,
    without_mark,
)
from kraftd_apps.producer.publisher import RecordPublisher
from kraftd_apps.producer.record import Options, flag_of, options_of

QUEUED = Answer(202, b'{"status":"queued"}')
MAX_RECORDS = 10_000
_YIELD_EVERY = 500
"""The number of records of a batch after which other requests on the loop get their turn."""

Result = tuple[int, int | None] | Problem
"""The partition and offset of a written record (None if unknown), or the problem of one not known to be written."""


class SendRoute:
    """Publishes one JSON value, byte for byte, and answers with its place in the log."""

    def __init__(self, publisher: RecordPublisher, topic: str, settings: HttpSettings) -> None:
        self._publisher = publisher
        self._topic = topic
        self._bodies = BodyReader(
            max_bytes=settings.max_body_bytes, setting="APP_MAX_BODY", timeout_s=settings.body_timeout_s
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await send_answer(send, await self.answer(scope, receive))

    async def answer(self, scope: Scope, receive: Receive) -> Answer:
        """Return the answer to a request.

        Raises:
            ProblemError: The record was refused or not acknowledged.
            ClientGoneError: The client closed the connection.
        """
        options = options_of(scope["query_string"], scope["headers"])
        return await self.publish(options, await self._bodies.read(scope, receive))

    async def publish(self, options: Options, body: bytes) -> Answer:
        """Publish a JSON text with these options, without a byte order mark; see `answer` for the errors."""
        body = without_mark(body)
        fault = json_fault(body)
        if fault is not None:
            raise ProblemError(problem("invalid_json", fault))
        return await self._published(options, body)

    async def delete(self, scope: Scope) -> Answer:
        """Publish a tombstone for the key in the request; see `answer` for the errors."""
        options = options_of(scope["query_string"], scope["headers"])
        if options.key is None:
            raise ProblemError(problem("bad_parameter", "a tombstone needs a key: use ?key= or X-Kafka-Key"))
        return await self._published(options, None)

    async def _published(self, options: Options, value: bytes | None) -> Answer:
        record = options.record(value)
        if not options.acknowledged:
            self._publisher.publish_unacknowledged(record)
            return QUEUED
        return Answer(200, sent(self._topic, await self._publisher.publish(record)))


class Batch:
    """The results of a batch, collected from its delivery reports.

    Reports arrive on the client's thread and are only counted there; only the last one wakes the loop.
    """

    def __init__(self, size: int, problem_of: Callable[[KafkaError, int], Problem]) -> None:
        self.results: list[Result | None] = [None] * size
        self._problem_of = problem_of
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._reported = 0
        self._expected = -1

    def refuse(self, index: int, found: Problem) -> None:
        """Set the problem of a record that was not handed to Kafka."""
        self.results[index] = found

    def report(self, index: int, error: KafkaError | None, message: DeliveredMessage) -> None:
        """Take Kafka's report of a record; on the client's thread."""
        if error is None:
            self.results[index] = (message.partition() or 0, message.offset())
        else:
            self.results[index] = self._problem_of(error, partition_asked_for(message))
        self._reported += 1
        # Either this thread sees the expected number or `wait` sees the count; both together are harmless.
        if self._reported == self._expected:
            on_loop(self._loop, self._finish)

    async def wait(self, expected: int) -> list[Result]:
        """Wait for the expected number of reports, and return all results in order."""
        self._expected = expected
        if self._reported != expected:
            await self._done
        return [result for result in self.results if result is not None]

    def _finish(self) -> None:
        if not self._done.done():
            self._done.set_result(None)


class BatchRoute:
    """Publishes every record of a request and answers with a result for each."""

    def __init__(self, publisher: RecordPublisher, settings: HttpSettings, *, max_inflight: int) -> None:
        self._publisher = publisher
        self._max_body_bytes = settings.max_body_bytes
        self._bodies = BodyReader(
            max_bytes=settings.max_batch_bytes, setting="APP_MAX_BATCH_BODY", timeout_s=settings.body_timeout_s
        )
        self._max_records = min(MAX_RECORDS, max_inflight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await send_answer(send, await self.answer(scope, receive))

    async def answer(self, scope: Scope, receive: Receive) -> Answer:
        """Return the answer to a request.

        Raises:
            ProblemError: The whole batch was refused; no record was written.
            ClientGoneError: The client closed the connection.
        """
        parse = envelope_item if flag_of(scope["query_string"], "envelope") else plain_item
        texts = split_records(await self._bodies.read(scope, receive), _content_type(scope))
        if not texts:
            raise ProblemError(problem("invalid_json", "the batch has no records"))
        if len(texts) > self._max_records:
            raise ProblemError(problem("too_large", f"more than {self._max_records} records in one batch"))
        with self._publisher.room_for(len(texts)) as producer:
            batch = Batch(len(texts), self._publisher.problem_of)
            submitted = 0
            for index, text in enumerate(texts):
                submitted += self._submit(producer, batch, index, self._parse_record(text, parse))
                if index % _YIELD_EVERY == _YIELD_EVERY - 1:
                    await asyncio.sleep(0)
            return batch_answer(await batch.wait(submitted))

    def _submit(self, producer: AsyncProducer, batch: Batch, index: int, item: Item) -> bool:
        if isinstance(item, Problem):
            batch.refuse(index, item)
            return False
        try:
            producer.produce(item, partial(batch.report, index))
        except (BufferError, KafkaException) as error:
            batch.refuse(index, self._publisher.refusal_of(error, item))
            return False
        return True

    def _parse_record(self, text: bytes, parse: Parse) -> Item:
        if len(text) > self._max_body_bytes:
            return problem("too_large", f"the record is longer than {self._max_body_bytes} bytes (APP_MAX_BODY)")
        return parse(text)


def sent(topic: str, report: Report) -> bytes:
    """Return the document for an acknowledged record; a topic's name needs no escaping in JSON."""
    return b'{"status":"sent","topic":"%s","partition":%d,"offset":%s,"timestamp":%d}' % (
        topic.encode(),
        report.partition,
        offset_text(report.offset),
        report.timestamp_ms,
    )


def batch_answer(results: Sequence[Result]) -> Answer:
    """Return 200 when every record is written, 207 when some are, else the first record's problem with all results.

    The outcome of the whole is unknown if that of any record is: a retry of all may then write it twice.
    """
    parts = [_part(result) for result in results]
    failed = [result for result in results if isinstance(result, Problem)]
    summary = b'"sent":%d,"failed":%d,"results":[%s]' % (len(results) - len(failed), len(failed), b",".join(parts))
    if len(failed) < len(results):
        return Answer(207 if failed else 200, b"{%s}" % summary)
    is_unknown = any(found.outcome == "unknown" for found in failed)
    whole = replace(failed[0], outcome="unknown" if is_unknown else "not_written").answer()
    return whole._replace(body=whole.body[:-1] + b", " + summary + b"}")


def _part(result: Result) -> bytes:
    if not isinstance(result, Problem):
        return b'{"partition":%d,"offset":%s}' % (result[0], offset_text(result[1]))
    part = {
        "error": result.code,
        "detail": result.detail,
        "retriable": result.type.retriable,
        "outcome": result.outcome,
    }
    return json.dumps(part, separators=(",", ":")).encode()


def _content_type(scope: Scope) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"content-type"), "")


def offset_text(offset: int | None) -> bytes:
    """Return an offset as JSON."""
    return b"null" if offset is None else b"%d" % offset
