"""Common parts of both FastAPI apps: pages, documentation, and descriptions for OpenAPI.

Imported with FastAPI only.
"""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup

from kraftd.web.api import DescribedApi, Responses, StaticFiles, as_response, install_problems
from kraftd_apps.common.problems import PROBLEM_TYPES, ProblemError, problem
from kraftd_apps.common.settings import Links

_SHARED = "kraftd_apps.common"

PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "retriable", "outcome"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"enum": sorted(PROBLEM_TYPES)},
        "detail": {"type": "string"},
        "retriable": {"type": "boolean"},
        "outcome": {"enum": ["not_written", "unknown"]},
    },
}


class Pages:
    """Renders an app's templates, which may use the shared ones; inserted values are escaped."""

    def __init__(self, package: str, links: Links = ()) -> None:
        """Prepare the templates of an app's package; every page links to ``links``."""
        self.static = StaticFiles(_SHARED, package)
        self._environment = Environment(
            loader=PrefixLoader({"common": PackageLoader(_SHARED), "app": PackageLoader(package)}),
            autoescape=True,
            # A template of a newer kraftd, installed while this process runs, would not fit its values.
            auto_reload=False,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals["static"] = self.static.address
        self._environment.globals["links"] = links
        self._environment.filters["code_spans"] = code_spans

    def render(self, template: str, **values: object) -> str:
        """Return a page from one of the app's templates."""
        return self._environment.get_template(f"app/{template}").render(**values)

    def render_shared(self, template: str, **values: object) -> str:
        """Return a page from one of the shared templates."""
        return self._environment.get_template(f"common/{template}").render(**values)


def code_spans(text: str) -> Markup:
    """Return a text as HTML, escaped, with its parts between backticks as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else part for number, part in enumerate(parts)
    )


def create_api(pages: Pages, **description: Any) -> FastAPI:
    """Return an app with problems, static files, and a `/docs` that loads nothing from other origins."""
    api = DescribedApi(docs_url=None, redoc_url=None, **description)
    install_problems(api, problem, server="this app", description="/docs")
    files = pages.static.plain | pages.static.hashed

    @api.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        found = files.get(f"/static/{name}")
        if found is None:
            raise ProblemError(problem("not_found", "there is no such file"))
        return as_response(found)

    @api.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(pages.render_shared("docs.html", document=api.openapi(), problem_types=PROBLEM_TYPES))

    return api


def problems(*statuses: int) -> Responses:
    """Return the descriptions of error answers for OpenAPI, each with its possible codes."""
    return {
        status: {
            "description": "; ".join(
                f"`{code}`: {found.title}" for code, found in PROBLEM_TYPES.items() if found.status == status
            ),
            "content": {"application/problem+json": {"schema": PROBLEM}},
        }
        for status in statuses
    }


def describe_fast_routes(api: FastAPI) -> None:
    """Add the routes that `FastRoutes` answers to the OpenAPI document."""
    state = {"type": "object", "required": ["status", "reasons"]}
    content = {"application/json": {"schema": state}}
    for path, summary in {"/healthz": "Does the process work", "/readyz": "Can requests succeed now"}.items():
        responses: Responses = {
            200: {"description": "Yes.", "content": content},
            503: {"description": "No; the reasons say why.", "content": content},
            **problems(421),
        }
        api.add_api_route(path, answered_before, summary=summary, responses=responses)
    metrics: Responses = {
        200: {"description": "Prometheus' text format.", "content": {"text/plain": {}}},
        **problems(401, 421),
    }
    api.add_api_route("/metrics", answered_before, summary="Metrics", responses=metrics)


async def answered_before(_request: Request) -> Response:
    """Placeholder for a route that `FastRoutes` answers before the framework."""
    raise ProblemError(problem("not_found", "this route is not served by the framework"))
