"""Common parts of FastAPI apps: responses, static files, every error as a problem document, an OpenAPI that says so.

The only module of this package that imports the framework.
"""

import hashlib
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, TypeAdapter
from starlette.exceptions import HTTPException
from starlette.routing import Route

from kraftd.web.asgi import Answer, HttpProblem, HttpProblemError, MakeProblem

SHARED = "kraftd.web"
"""The package with the files that all pages use: the icon and the colours."""

_FOREVER = (b"cache-control", b"public, max-age=31536000, immutable")


class NoParameters(BaseModel):
    """The query of a route without parameters."""

    model_config = ConfigDict(extra="forbid")


NoQuery = Annotated[NoParameters, Query()]

Responses = dict[int | str, dict[str, Any]]
"""The answers of a route by status, for OpenAPI."""


@dataclass(frozen=True, slots=True)
class ProblemDocument:
    """A problem, in the form of RFC 9457."""

    type: str
    title: str
    status: int
    detail: str


def problems(**details: str) -> Responses:
    """Return the descriptions of the problems of a route: ``status_404="No such broker."``; 421 is every route's."""
    described = {**details, "status_421": "This name is not served here."}
    return {
        int(name.removeprefix("status_")): {
            "description": text,
            "content": {"application/problem+json": {"schema": TypeAdapter(ProblemDocument).json_schema()}},
        }
        for name, text in described.items()
    }


class DescribedApi(FastAPI):
    """An app whose OpenAPI lacks the framework's 422, because a wrong parameter is answered with 400."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, made once."""
        if self.openapi_schema is not None:
            return self.openapi_schema
        document = super().openapi()
        for operation in (each for operations in document["paths"].values() for each in operations.values()):
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
        schemas = document.get("components", {}).get("schemas", {})
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        if not schemas:
            document.pop("components", None)
        return document


def as_response(answer: Answer) -> Response:
    """Return an answer as the framework's response."""
    response = Response(answer.body, answer.status)
    # As a header: to a media type the framework would add a charset.
    response.headers["content-type"] = answer.content_type.decode("latin-1")
    response.raw_headers.extend(answer.headers)
    return response


def install_problems(api: FastAPI, make_problem: MakeProblem, *, server: str, description: str) -> None:
    """Answer every error of the framework, and every `HttpProblemError`, as `application/problem+json`.

    Args:
        api: The app to install the handlers in.
        make_problem: Makes the problems of the framework's errors.
        server: The name of the server, as the subject of a sentence.
        description: The place where its paths are described.
    """

    @api.exception_handler(HttpProblemError)
    async def refused(_request: Request, error: HttpProblemError) -> Response:
        return as_response(error.problem.answer())

    @api.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        return as_response(make_problem("bad_parameter", "; ".join(map(_fault, error.errors()))).answer())

    @api.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        path, methods = request.url.path, ", ".join(_methods(api, request.url.path))
        found: HttpProblem
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            found = make_problem("method_not_allowed", f"{path} does not take {request.method}; it takes {methods}")
        elif error.status_code == HTTPStatus.NOT_FOUND:
            found = make_problem("not_found", f"{server} has no path {path}; see {description}")
        else:
            found = make_problem("bad_parameter", str(error.detail))
        response = as_response(found.answer())
        response.headers.update(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers["allow"] = methods
        return response

    @api.exception_handler(Exception)
    async def failed(_request: Request, _error: Exception) -> Response:
        return as_response(make_problem("internal", f"{server} failed; see its log for the cause").answer())


def _fault(found: Any) -> str:
    where = ".".join(map(str, found["loc"][1:]))
    if found["type"] == "extra_forbidden":
        return f"there is no parameter {where}"
    text = str(found["msg"]).removeprefix("Value error, ")
    return f"{where}: {text}, not {found['input']!r}" if where else text


def _methods(api: FastAPI, path: str) -> list[str]:
    """Return the methods of every route at a path; the framework's own answer has those of the first only."""
    found: set[str] = set()
    for route in api.routes:
        if isinstance(route, Route) and route.path_regex.match(path):
            found |= route.methods or set()
    # The guard answers HEAD wherever GET is answered.
    return sorted(found | {"HEAD"} if "GET" in found else found)


class StaticFiles:
    """The files of some packages' `static` folders, and of the shared one.

    Attributes:
        hashed: Answers by a path with the file's hash, which clients may cache forever.
        plain: Answers by a path with the file's own name, never cached: for scripts that import each other.
    """

    def __init__(self, *packages: str) -> None:
        self.hashed: dict[str, Answer] = {}
        self.plain: dict[str, Answer] = {}
        self._addresses: dict[str, str] = {}
        for package in (SHARED, *packages):
            for name, content in _files_of(package):
                self._add(name, content)

    def address(self, name: str) -> str:
        """Return the path of a file, which changes with its content.

        Raises:
            KeyError: The file does not exist.
        """
        return self._addresses[name]

    def _add(self, name: str, content: bytes) -> None:
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        charset = "; charset=utf-8" if kind.startswith("text/") else ""
        stem, _, suffix = name.rpartition(".")
        address = f"/static/{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{suffix}"
        answer = Answer(200, content, f"{kind}{charset}".encode())
        self.plain[f"/static/{name}"] = answer
        self.hashed[address] = answer._replace(headers=(_FOREVER,))
        self._addresses[name] = address


def _files_of(package: str) -> Iterator[tuple[str, bytes]]:
    for found in (files(package) / "static").iterdir():
        if found.is_file():
            yield found.name, found.read_bytes()
