"""`POST /send` as a plain ASGI app: the path that decides the gateway's rate, so nothing of a framework is in it."""

from kraftd_apps.producer.gateway import Gateway
from kraftd_apps.producer.json_text import json_fault
from kraftd_apps.producer.options import Options, options_of
from kraftd_apps.producer.record import Report
from kraftd_apps.web.asgi import Answer, Receive, Scope, Send
from kraftd_apps.web.body import read_body
from kraftd_apps.web.problems import Refused, problem
from kraftd_apps.web.reply import send_answer
from kraftd_apps.web.settings import HttpSettings

QUEUED = Answer(202, b'{"status":"queued"}')


class SendRoute:
    """Publishes one JSON value, byte for byte, and answers with its place in the log."""

    def __init__(self, gateway: Gateway, topic: str, settings: HttpSettings) -> None:
        self._gateway = gateway
        self._topic = topic
        self._max_bytes = settings.max_body_bytes
        self._timeout_s = settings.body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await send_answer(send, await self.answer(scope, receive))

    async def answer(self, scope: Scope, receive: Receive) -> Answer:
        """Return the answer to one request.

        Raises:
            Refused: The record was not taken or not acknowledged.
            ClientGone: Nobody waits for the answer.
        """
        options = options_of(scope["query_string"], scope["headers"])
        body = await read_body(scope, receive, max_bytes=self._max_bytes, timeout_s=self._timeout_s)
        return await self.publish(options, body)

    async def publish(self, options: Options, body: bytes) -> Answer:
        """Publish a JSON text with these options; see `answer` for the errors."""
        fault = json_fault(body)
        if fault is not None:
            raise Refused(problem("invalid_json", fault))
        return await self._published(options, body)

    async def delete(self, scope: Scope) -> Answer:
        """Publish a tombstone for the key in the request; see `answer` for the errors."""
        options = options_of(scope["query_string"], scope["headers"])
        if options.key is None:
            raise Refused(problem("bad_parameter", "a tombstone needs a key: use ?key= or X-Kafka-Key"))
        return await self._published(options, None)

    async def _published(self, options: Options, value: bytes | None) -> Answer:
        record = options.record(value)
        if not options.acknowledged:
            self._gateway.publish_unacknowledged(record)
            return QUEUED
        return Answer(200, sent(self._topic, await self._gateway.publish(record)))


def sent(topic: str, report: Report) -> bytes:
    """Return the document for an acknowledged record; a topic's name needs no escaping in JSON."""
    return b'{"status":"sent","topic":"%s","partition":%d,"offset":%s,"timestamp":%d}' % (
        topic.encode(),
        report.partition,
        offset_text(report.offset),
        report.timestamp_ms,
    )


def offset_text(offset: int | None) -> bytes:
    """Return an offset as JSON."""
    return b"null" if offset is None else b"%d" % offset
