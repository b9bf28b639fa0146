"""Sending a record again, through the producer app, exactly as it was."""

import http.client
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from kraftd_apps.consumer.record import SeenRecord
from kraftd_apps.web.asgi import Answer
from kraftd_apps.web.problems import Refused, problem

_TIMEOUT_S = 25.0
_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class ProducerRequest:
    """A request to the producer app."""

    method: str
    target: str
    headers: dict[str, bytes]
    body: bytes


def request_for(record: SeenRecord) -> ProducerRequest:
    """Return the request that publishes an equal record.

    Raises:
        Refused: HTTP cannot carry this record unchanged.
    """
    headers: dict[str, bytes] = {}
    for name, value in record.headers:
        field = f"X-Kafka-Header-{name}"
        if not _HEADER_NAME.fullmatch(name) or value is None or _is_awkward(value) or field in headers:
            raise Refused(problem("invalid_record", f"the header {name!r} cannot be sent again unchanged"))
        headers[field] = value
    target = "/send"
    if record.key is not None:
        if not _is_utf8(record.key):
            raise Refused(problem("invalid_record", "a key that is no text cannot be sent again"))
        target += f"?key={quote(record.key, safe='')}"
    if record.value is None:
        return ProducerRequest("DELETE", target, headers, b"")
    return ProducerRequest("POST", target, headers, record.value)


Connect = Callable[[str, int, float], http.client.HTTPConnection]
"""Makes a connection, not yet open, to a host and a port, with a timeout in seconds."""


def connection_to(host: str, port: int, timeout_s: float) -> http.client.HTTPConnection:
    """Return a connection that is opened when it is asked to."""
    return http.client.HTTPConnection(host, port, timeout=timeout_s)


def send_again(record: SeenRecord, producer_url: str, api_token: str, connect: Connect = connection_to) -> Answer:
    """Publish an equal record and return the producer app's answer; blocks until it comes.

    Raises:
        Refused: The record cannot be carried, or the producer app does not answer.
    """
    request = request_for(record)
    headers: dict[str, str | bytes] = {"Content-Type": "application/json", **request.headers}
    if api_token:
        headers["Authorization"] = f"Bearer {api_token}"
    parts = urlsplit(producer_url)
    connection = connect(parts.hostname or "", parts.port or 80, _TIMEOUT_S)
    try:
        connection.connect()
    except OSError as error:
        detail = f"{producer_url} (APP_PRODUCER_URL): {error}"
        raise Refused(problem("producer_away", detail)) from error
    try:
        connection.request(request.method, request.target, request.body, headers)
        response = connection.getresponse()
        content_type = response.getheader("content-type") or "application/json"
        return Answer(response.status, response.read(), content_type.encode("latin-1"))
    except (OSError, http.client.HTTPException) as error:
        detail = f"{producer_url}: {error}"
        raise Refused(problem("producer_away", detail, outcome="unknown")) from error
    finally:
        connection.close()


def _is_awkward(value: bytes) -> bool:
    return not _is_utf8(value) or bool(_CONTROL.search(value)) or value != value.strip()


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
