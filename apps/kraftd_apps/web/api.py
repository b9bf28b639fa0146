"""What both FastAPI apps share: answers as responses, and every error as a problem. Imported with FastAPI only."""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from kraftd_apps.web.asgi import Answer
from kraftd_apps.web.problems import Problem, Refused, problem


def as_response(answer: Answer) -> Response:
    """Return an answer in the framework's form."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
    return Response(answer.body, answer.status, headers, answer.content_type.decode("latin-1"))


def install_problems(api: FastAPI) -> None:
    """Answer every error of the framework, and every `Refused`, as `application/problem+json`."""

    @api.exception_handler(Refused)
    async def refused(_request: Request, error: Refused) -> Response:
        return as_response(error.problem.answer())

    @api.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        faults = "; ".join(_fault(found) for found in error.errors())
        return as_response(problem("bad_parameter", faults).answer())

    @api.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        answer = _http_problem(request, error).answer()
        response = as_response(answer)
        response.headers.update(error.headers or {})
        return response


def _fault(found: Any) -> str:
    return f"{'.'.join(map(str, found['loc'][1:]))}: {found['msg']}"


def _http_problem(request: Request, error: HTTPException) -> Problem:
    if error.status_code == 405:
        return problem("method_not_allowed", f"{request.url.path} does not take {request.method}")
    if error.status_code == 404:
        return problem("not_found", f"{request.url.path} is no address of this app; see /docs")
    return problem("bad_parameter", str(error.detail))
