"""Liveness and readiness answers, the same in both apps."""

import json
from collections.abc import Callable, Sequence

from kraftd_apps.web.asgi import Answer, App, Receive, Scope, Send
from kraftd_apps.web.reply import send_answer


def answered(make: Callable[[], Answer]) -> App:
    """Return an ASGI app that answers every request with a freshly made value."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send_answer(send, make())

    return app


def liveness(problems: Sequence[str]) -> Answer:
    """Answer whether the process works, without looking at Kafka: an outage is no reason for a restart."""
    return _state("ok" if not problems else "failing", problems)


def readiness(reasons: Sequence[str]) -> Answer:
    """Answer whether requests can succeed now, and why not."""
    return _state("ready" if not reasons else "not_ready", reasons)


def _state(status: str, reasons: Sequence[str]) -> Answer:
    document = {"status": status, "reasons": list(reasons)}
    return Answer(503 if reasons else 200, json.dumps(document).encode())
