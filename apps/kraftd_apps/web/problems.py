"""Every error answer of the apps, as RFC 9457 problem details that say whether a retry may duplicate."""

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from kraftd_apps.web.asgi import Answer, Headers

Outcome = Literal["not_written", "unknown"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What all problems of one code have in common."""

    status: int
    title: str
    retriable: bool = False
    outcome: Outcome = "not_written"
    retry_after_s: int | None = None


KINDS: dict[str, Kind] = {
    "invalid_json": Kind(400, "The body is not JSON"),
    "bad_parameter": Kind(400, "A parameter is wrong"),
    "malformed_request": Kind(400, "The request is not HTTP"),
    "unauthorized": Kind(401, "A token is needed"),
    "cross_site": Kind(403, "A page of another site may not write"),
    "not_authorized": Kind(403, "Kafka refuses this client"),
    "not_found": Kind(404, "There is nothing here"),
    "unknown_topic": Kind(404, "The topic does not exist", retriable=True),
    "method_not_allowed": Kind(405, "This address does not take this method"),
    "slow_body": Kind(408, "The body did not arrive in time", retriable=True),
    "too_large": Kind(413, "The body is too large"),
    "bad_host": Kind(421, "This name is not served here"),
    "unknown_partition": Kind(422, "The topic has no such partition"),
    "invalid_record": Kind(422, "Kafka refuses this record"),
    "rate_limited": Kind(429, "Too many records a second", retriable=True, retry_after_s=1),
    "internal": Kind(500, "The app failed", outcome="unknown"),
    "producer_away": Kind(502, "The producer app does not answer", retriable=True),
    "queue_full": Kind(503, "Too much is waiting for Kafka", retriable=True, retry_after_s=1),
    "brokers_down": Kind(503, "No broker answers", retriable=True, retry_after_s=2),
    "not_enough_replicas": Kind(503, "Too few replicas are in sync", retriable=True, retry_after_s=2),
    "producer_restarting": Kind(503, "The Kafka client is being replaced", retriable=True, retry_after_s=1),
    "draining": Kind(503, "The app is stopping", retriable=True, retry_after_s=5),
    "too_many_clients": Kind(503, "Too many pages are open", retriable=True, retry_after_s=10),
    "delivery_timeout": Kind(504, "Kafka did not acknowledge in time", retriable=True, outcome="unknown"),
}
"""By code. `retriable`: the same request may succeed later. `outcome`: whether the record may have been written."""


_SCHEMES = (b"Bearer", b'Basic realm="kraftd", charset="UTF-8"')
"""Programs know the first; the second makes a browser ask."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One error answer."""

    code: str
    detail: str
    outcome: Outcome

    @property
    def kind(self) -> Kind:
        """What is true of every problem with this code."""
        return KINDS[self.code]

    def answer(self) -> Answer:
        """Return the problem as `application/problem+json`."""
        kind = self.kind
        document = {
            "type": f"/docs#problem-{self.code}",
            "title": kind.title,
            "status": kind.status,
            "code": self.code,
            "detail": self.detail,
            "retriable": kind.retriable,
            "outcome": self.outcome,
        }
        after = kind.retry_after_s
        headers: Headers = () if after is None else ((b"retry-after", b"%d" % after),)
        if kind.status == HTTPStatus.UNAUTHORIZED:
            headers = tuple((b"www-authenticate", scheme) for scheme in _SCHEMES)
        return Answer(kind.status, json.dumps(document).encode(), b"application/problem+json", headers)


def problem(code: str, detail: str, *, outcome: Outcome | None = None) -> Problem:
    """Build a problem; the outcome is its code's unless the case at hand is known better."""
    return Problem(code, detail, outcome or KINDS[code].outcome)


class Refused(Exception):  # noqa: N818 - an answer on its way out, not a fault of the app
    """Carries a problem from deep inside to the answer.

    Attributes:
        problem: What to answer.
    """

    def __init__(self, found: Problem) -> None:
        super().__init__(f"{found.code}: {found.detail}")
        self.problem = found
