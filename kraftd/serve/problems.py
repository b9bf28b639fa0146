"""Every error answer of the daemon, as the problem details of RFC 9457. Pure."""

from http import HTTPStatus
from typing import Any

from kraftd.serve.asgi import Answer, json_answer

PROBLEM = "application/problem+json"

TITLES = {
    HTTPStatus.BAD_REQUEST: "A parameter is wrong",
    HTTPStatus.NOT_FOUND: "There is nothing here",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address does not take this method",
    HTTPStatus.MISDIRECTED_REQUEST: "This name is not served here",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The daemon failed",
    HTTPStatus.SERVICE_UNAVAILABLE: "This cannot be answered now",
}
"""What each status means here; there is one problem for each."""


def problem_document(status: int, detail: str) -> dict[str, Any]:
    """Return the problem of a status."""
    return {"type": "about:blank", "title": TITLES[HTTPStatus(status)], "status": status, "detail": detail}


def problem(status: int, detail: str) -> Answer:
    """Return the answer to a request that cannot be answered otherwise.

    Args:
        status: One of ``TITLES``.
        detail: What is wrong with this request, with its values.
    """
    return json_answer(status, problem_document(status, detail), PROBLEM)
