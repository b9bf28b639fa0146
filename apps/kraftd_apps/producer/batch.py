"""`POST /send/batch`: many records in one request, one result for each, in their order."""

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import partial

from confluent_kafka import KafkaError, KafkaException

from kraftd_apps.producer.batch_text import Item, Parse, envelope_item, plain_item, texts_of
from kraftd_apps.producer.bridge import Bridge, DeliveredMessage
from kraftd_apps.producer.gateway import Gateway
from kraftd_apps.producer.options import flag_of
from kraftd_apps.producer.send import offset_text
from kraftd_apps.web.asgi import Answer, Receive, Scope, Send
from kraftd_apps.web.body import read_body
from kraftd_apps.web.problems import Problem, Refused, problem
from kraftd_apps.web.reply import send_answer
from kraftd_apps.web.settings import HttpSettings

MAX_RECORDS = 10_000
_BREATH = 500


Result = tuple[int, int | None] | Problem
"""Partition and offset of a written record (None: written at an unknown place), or why another is not known to be."""


class Batch:
    """Collects what became of each record of a batch.

    Reports come on the client's thread and are only counted there; the loop is woken once, by the last one.
    """

    def __init__(self, size: int, problem_of: Callable[[KafkaError], Problem]) -> None:
        self.results: list[Result | None] = [None] * size
        self._problem_of = problem_of
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._reported = 0
        self._expected = -1

    def refuse(self, index: int, found: Problem) -> None:
        """Take that a record was not handed to Kafka."""
        self.results[index] = found

    def report(self, index: int, error: KafkaError | None, message: DeliveredMessage) -> None:
        """Take what Kafka said about a record; on the client's thread."""
        if error is None:
            self.results[index] = (message.partition() or 0, message.offset())
        else:
            self.results[index] = self._problem_of(error)
        self._reported += 1
        # Either this thread sees the expectation or `wait` sees the count; both is harmless.
        if self._reported == self._expected:
            self._loop.call_soon_threadsafe(self._finish)

    async def wait(self, expected: int) -> list[Result]:
        """Wait for so many reports, and return every result in order."""
        self._expected = expected
        if self._reported != expected:
            await self._done
        return [result for result in self.results if result is not None]

    def _finish(self) -> None:
        if not self._done.done():
            self._done.set_result(None)


class BatchRoute:
    """Publishes every record of a request and answers with one result for each."""

    def __init__(self, gateway: Gateway, settings: HttpSettings, *, max_inflight: int) -> None:
        self._gateway = gateway
        self._settings = settings
        self._max_records = min(MAX_RECORDS, max_inflight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await send_answer(send, await self.answer(scope, receive))

    async def answer(self, scope: Scope, receive: Receive) -> Answer:
        """Return the answer to one request.

        Raises:
            Refused: The body as a whole was not taken; nothing of it was written.
            ClientGone: Nobody waits for the answer.
        """
        parse = envelope_item if flag_of(scope["query_string"], "envelope") else plain_item
        limit = self._settings.max_batch_bytes
        body = await read_body(scope, receive, max_bytes=limit, timeout_s=self._settings.body_timeout_s)
        texts = texts_of(body, _content_type(scope))
        if not texts:
            raise Refused(problem("invalid_json", "the batch has no records"))
        if len(texts) > self._max_records:
            raise Refused(problem("too_large", f"more than {self._max_records} records in one batch"))
        with self._gateway.room_for(len(texts)) as bridge:
            batch = Batch(len(texts), self._gateway.problem_of)
            submitted = 0
            for index, text in enumerate(texts):
                submitted += self._submit(bridge, batch, index, self._judged(text, parse))
                if index % _BREATH == _BREATH - 1:
                    await asyncio.sleep(0)
            return batch_answer(await batch.wait(submitted))

    def _submit(self, bridge: Bridge, batch: Batch, index: int, item: Item) -> bool:
        if isinstance(item, Problem):
            batch.refuse(index, item)
            return False
        try:
            bridge.produce(item, partial(batch.report, index))
        except (BufferError, KafkaException) as error:
            batch.refuse(index, self._gateway.refusal_of(error))
            return False
        return True

    def _judged(self, text: bytes, parse: Parse) -> Item:
        if len(text) > self._settings.max_body_bytes:
            return problem("too_large", f"the record is longer than {self._settings.max_body_bytes} bytes")
        return parse(text)


def batch_answer(results: Sequence[Result]) -> Answer:
    """Return 200 when every record is written, 207 when some are, else the first record's problem with all results."""
    parts = [_part(result) for result in results]
    failed = [result for result in results if isinstance(result, Problem)]
    summary = b'"sent":%d,"failed":%d,"results":[%s]' % (len(results) - len(failed), len(failed), b",".join(parts))
    if len(failed) < len(results):
        return Answer(207 if failed else 200, b"{%s}" % summary)
    whole = failed[0].answer()
    return whole._replace(body=whole.body[:-1] + b", " + summary + b"}")


def _part(result: Result) -> bytes:
    if not isinstance(result, Problem):
        return b'{"partition":%d,"offset":%s}' % (result[0], offset_text(result[1]))
    part = {
        "error": result.code,
        "detail": result.detail,
        "retriable": result.kind.retriable,
        "outcome": result.outcome,
    }
    return json.dumps(part, separators=(",", ":")).encode()


def _content_type(scope: Scope) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"content-type"), "")
