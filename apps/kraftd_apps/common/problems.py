"""Error answers of the apps, as RFC 9457 problem details that state whether a retry may duplicate a record."""

from dataclasses import dataclass
from typing import Literal

from kraftd.web.asgi import Answer, Headers, HttpProblemError, problem_answer

Outcome = Literal["not_written", "unknown"]


@dataclass(frozen=True, slots=True)
class ProblemType:
    """The common properties of all problems with the same code."""

    status: int
    title: str
    retriable: bool = False
    outcome: Outcome = "not_written"
    retry_after_s: int | None = None
    headers: Headers = ()


PROBLEM_TYPES: dict[str, ProblemType] = {
    "invalid_json": ProblemType(400, "The body is not JSON"),
    "invalid_encoding": ProblemType(400, "The body is not in the encoding that it names"),
    "bad_parameter": ProblemType(400, "A parameter is wrong"),
    "malformed_request": ProblemType(400, "The request is not HTTP"),
    "unauthorized": ProblemType(401, "A token is needed"),
    "cross_site": ProblemType(403, "A page of another site may not write"),
    "not_authorized": ProblemType(403, "Kafka refuses this client"),
    "not_found": ProblemType(404, "Not found"),
    "unknown_topic": ProblemType(404, "The topic does not exist", retriable=True),
    "method_not_allowed": ProblemType(405, "This path does not support this method"),
    "slow_body": ProblemType(408, "The body did not arrive in time", retriable=True),
    "slow_head": ProblemType(408, "The head of the request did not arrive in time", retriable=True),
    "too_large": ProblemType(413, "The body is too large"),
    "unsupported_encoding": ProblemType(
        415,
        "The body's encoding is not supported",
        headers=((b"accept-encoding", b"gzip, deflate, identity"),),
    ),
    "bad_host": ProblemType(421, "This name is not served here"),
    "unknown_partition": ProblemType(422, "The topic has no such partition"),
    "invalid_record": ProblemType(422, "Kafka refuses this record"),
    "rate_limited": ProblemType(429, "Too many records per second", retriable=True, retry_after_s=1),
    "head_too_large": ProblemType(431, "The head of the request is too large"),
    "internal": ProblemType(500, "The app failed", outcome="unknown"),
    "undecodable_record": ProblemType(502, "The record cannot be decoded"),
    "producer_away": ProblemType(502, "The producer app does not answer", retriable=True),
    "queue_full": ProblemType(503, "Too many records are waiting for Kafka", retriable=True, retry_after_s=1),
    "brokers_down": ProblemType(503, "No broker answers", retriable=True, retry_after_s=2),
    "not_enough_replicas": ProblemType(503, "Too few replicas are in sync", retriable=True, retry_after_s=2),
    "producer_restarting": ProblemType(503, "The Kafka client is being replaced", retriable=True, retry_after_s=1),
    "draining": ProblemType(503, "The app is stopping", retriable=True, retry_after_s=5),
    "too_many_clients": ProblemType(503, "Too many pages are open", retriable=True, retry_after_s=10),
    "delivery_timeout": ProblemType(504, "Kafka did not acknowledge in time", retriable=True, outcome="unknown"),
}
"""By code. `retriable`: the same request may succeed later. `outcome`: whether the record may have been written."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error answer."""

    code: str
    detail: str
    outcome: Outcome

    @property
    def type(self) -> ProblemType:
        """The common properties of problems with this code."""
        return PROBLEM_TYPES[self.code]

    def answer(self) -> Answer:
        """Return the problem as `application/problem+json`."""
        found = self.type
        after_s = found.retry_after_s
        headers = found.headers if after_s is None else ((b"retry-after", b"%d" % after_s), *found.headers)
        return problem_answer(
            found.status,
            found.title,
            self.detail,
            type_uri=f"/docs#problem-{self.code}",
            headers=headers,
            code=self.code,
            retriable=found.retriable,
            outcome=self.outcome,
        )


def problem(code: str, detail: str, *, outcome: Outcome | None = None) -> Problem:
    """Return a problem, with its code's outcome unless another one is given."""
    return Problem(code, detail, outcome or PROBLEM_TYPES[code].outcome)


class ProblemError(HttpProblemError):
    """An exception that is answered with a problem.

    Attributes:
        problem: The problem.
    """

    problem: Problem

    def __init__(self, found: Problem) -> None:
        super().__init__(found)
        self.args = (f"{found.code}: {found.detail}",)
