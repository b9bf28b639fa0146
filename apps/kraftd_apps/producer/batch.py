"""`POST /send/batch`: many records in one request, one result for each, in their order."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from confluent_kafka import KafkaError

from kraftd_apps.producer.batch_text import Item, Parse, envelope_item, plain_item, texts_of
from kraftd_apps.producer.gateway import Gateway
from kraftd_apps.producer.options import flag_of
from kraftd_apps.producer.record import Report
from kraftd_apps.web.asgi import Answer, Receive, Scope, Send, send_answer
from kraftd_apps.web.body import read_body
from kraftd_apps.web.problems import Problem, Refused, problem
from kraftd_apps.web.settings import HttpSettings

MAX_RECORDS = 10_000
_BREATH = 500


class Batch:
    """Collects what became of each record; done when all is known."""

    def __init__(self, size: int, problem_of: Callable[[KafkaError], Problem]) -> None:
        self.results: list[Report | Problem | None] = [None] * size
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._problem_of = problem_of
        self._left = size

    def settle(self, index: int, report: Report) -> None:
        """Take what Kafka said about a record."""
        self._take(index, report if report.error is None else self._problem_of(report.error))

    def refuse(self, index: int, found: Problem) -> None:
        """Take that a record was not handed to Kafka."""
        self._take(index, found)

    def _take(self, index: int, result: Report | Problem) -> None:
        self.results[index] = result
        self._left -= 1
        if self._left == 0 and not self.done.done():
            self.done.set_result(None)


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
        self._gateway.check_room(len(texts))
        batch = Batch(len(texts), self._gateway.problem_of)
        for index, text in enumerate(texts):
            self._submit(batch, index, text, parse)
            if index % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)
        await batch.done
        return batch_answer([result for result in batch.results if result is not None])

    def _submit(self, batch: Batch, index: int, text: bytes, parse: Parse) -> None:
        item = self._judged(text, parse)
        if isinstance(item, Problem):
            batch.refuse(index, item)
            return
        try:
            self._gateway.submit(item, partial(batch.settle, index))
        except Refused as refused:
            batch.refuse(index, refused.problem)

    def _judged(self, text: bytes, parse: Parse) -> Item:
        if len(text) > self._settings.max_body_bytes:
            return problem("too_large", f"the record is longer than {self._settings.max_body_bytes} bytes")
        return parse(text)


def batch_answer(results: Sequence[Report | Problem]) -> Answer:
    """Return 200 when every record is written, 207 when some are, else the first record's problem with all results."""
    parts = [_part(result) for result in results]
    failed = [result for result in results if isinstance(result, Problem)]
    summary = b'"sent":%d,"failed":%d,"results":[%s]' % (len(results) - len(failed), len(failed), b",".join(parts))
    if len(failed) < len(results):
        return Answer(207 if failed else 200, b"{%s}" % summary)
    whole = failed[0].answer()
    return replace(whole, body=whole.body[:-1] + b", " + summary + b"}")


def _part(result: Report | Problem) -> bytes:
    if isinstance(result, Report):
        return b'{"partition":%d,"offset":%d}' % (result.partition, result.offset)
    part = {
        "error": result.code,
        "detail": result.detail,
        "retriable": result.kind.retriable,
        "outcome": result.outcome,
    }
    return json.dumps(part, separators=(",", ":")).encode()


def _content_type(scope: Scope) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"content-type"), "")
