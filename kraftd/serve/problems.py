"""The daemon's problems by code."""

from dataclasses import dataclass

from kraftd.web.asgi import Answer
from kraftd.web.problems import problem_answer

PROBLEM_TYPES: dict[str, tuple[int, str]] = {
    "bad_parameter": (400, "A parameter is wrong"),
    "malformed_request": (400, "The request is not HTTP"),
    "unauthorized": (401, "A token is needed"),
    "cross_site": (403, "A page of another site may not write"),
    "not_found": (404, "Not found"),
    "method_not_allowed": (405, "This address does not take this method"),
    "slow_head": (408, "The head of the request did not arrive in time"),
    "bad_host": (421, "This host name is not served"),
    "head_too_large": (431, "The head of the request is too large"),
    "internal": (500, "The daemon failed"),
    "unavailable": (503, "This is not available now"),
}
"""Status and title by code."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One error answer."""

    code: str
    detail: str

    def answer(self) -> Answer:
        """Return it as `application/problem+json`."""
        status, title = PROBLEM_TYPES[self.code]
        return problem_answer(status, title, self.detail)
