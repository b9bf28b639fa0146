"""Error answers as the problem details of RFC 9457.

The daemon and the apps define their own problems and further members.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

from kraftd.web.asgi import Answer, Headers, json_answer

CONTENT_TYPE = "application/problem+json"

_SCHEMES = (b"Bearer", b'Basic realm="kraftd", charset="UTF-8"')
"""The first is for programs; the second makes a browser ask for the token."""


class HttpProblem(Protocol):
    """One error answer."""

    def answer(self) -> Answer:
        """Return the problem as `application/problem+json`."""


MakeProblem = Callable[[str, str], HttpProblem]
"""Makes a problem from its code and the details of the case.

The code is malformed_request, bad_host, cross_site, unauthorized, internal, bad_parameter, not_found or
method_not_allowed.
"""


class HttpProblemError(Exception):
    """An exception that is answered with a problem.

    Attributes:
        problem: The problem.
    """

    def __init__(self, problem: HttpProblem) -> None:
        super().__init__(problem)
        self.problem = problem


def problem_answer(
    status: int, title: str, detail: str, *, type_uri: str = "about:blank", headers: Headers = (), **members: object
) -> Answer:
    """Return a problem as an answer.

    Args:
        status: HTTP status; 401 also names the ways to give a token.
        title: A summary, the same for all problems of this type.
        detail: The error of this request, with its values.
        type_uri: The type of the problem.
        headers: Further headers.
        members: Further members of the document, after the standard ones.
    """
    if status == HTTPStatus.UNAUTHORIZED:
        headers = (*headers, *((b"www-authenticate", scheme) for scheme in _SCHEMES))
    document = {"type": type_uri, "title": title, "status": status, "detail": detail, **members}
    return json_answer(status, document, CONTENT_TYPE.encode())._replace(headers=headers)
