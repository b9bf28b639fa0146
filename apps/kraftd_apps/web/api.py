"""What both FastAPI apps share: answers as responses, and every error as a problem. Imported with FastAPI only."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException
from starlette.routing import Route

from kraftd_apps.web.asgi import Answer
from kraftd_apps.web.openapi import problems
from kraftd_apps.web.pages import Pages
from kraftd_apps.web.problems import KINDS, Problem, Refused, problem


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
        response = as_response(_http_problem(request, error).answer())
        response.headers.update(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers["allow"] = ", ".join(_methods(api, request.url.path))
        return response


def _fault(found: Any) -> str:
    where = ".".join(map(str, found["loc"][1:]))
    said = str(found["msg"]).removeprefix("Value error, ")
    return f"{where}: {said}" if where else said


def _methods(api: FastAPI, path: str) -> list[str]:
    """Return the methods of every route at a path; the framework's own answer knows those of the first only."""
    found: set[str] = set()
    for route in api.routes:
        if isinstance(route, Route) and route.path_regex.match(path):
            found |= route.methods or set()
    return sorted(found)


def _http_problem(request: Request, error: HTTPException) -> Problem:
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return problem("method_not_allowed", f"{request.url.path} does not take {request.method}")
    if error.status_code == HTTPStatus.NOT_FOUND:
        return problem("not_found", f"{request.url.path} is no address of this app; see /docs")
    return problem("bad_parameter", str(error.detail))


def install_docs(api: FastAPI, pages: Pages) -> None:
    """Add the static files, and `/docs`: the description as a page that needs nothing from elsewhere."""
    api.mount("/static", pages.static)

    @api.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(pages.render_shared("docs.html", document=api.openapi(), kinds=KINDS))


def health_routes(api: FastAPI) -> None:
    """Describe the routes that are answered before the framework: they are never reached here."""
    state = {"type": "object", "required": ["status", "reasons"]}
    content = {"application/json": {"schema": state}}
    for path, summary in {"/healthz": "Does the process work", "/readyz": "Can requests succeed now"}.items():
        responses: dict[int | str, dict[str, Any]] = {
            200: {"description": "Yes.", "content": content},
            503: {"description": "No; the reasons say why.", "content": content},
            **problems(421),
        }
        api.add_api_route(path, _answered_before, summary=summary, responses=responses)
    metrics: dict[int | str, dict[str, Any]] = {
        200: {"description": "Prometheus' text format.", "content": {"text/plain": {}}},
        **problems(401, 421),
    }
    api.add_api_route("/metrics", _answered_before, summary="Metrics", responses=metrics)


async def _answered_before() -> Response:
    raise Refused(problem("not_found", "this route is answered before it comes here"))
