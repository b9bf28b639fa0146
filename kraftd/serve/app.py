"""The routes of the daemon: handlers only read the newest snapshot, and say its age."""

from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

import kraftd
from kraftd.clock import Clock
from kraftd.serve.asgi import JSON, Answer
from kraftd.serve.discovery import Target, targets
from kraftd.serve.openapi import HealthQuery, NoQuery, ReadyQuery, Responses, problems
from kraftd.serve.page_routes import add_page
from kraftd.serve.probes import NOTHING_SEEN, Live, Ready
from kraftd.serve.problems import TITLES, problem
from kraftd.serve.source import Source
from kraftd.spec.plan import Plan
from kraftd.spec.program import Kind
from kraftd.watch.documents import HealthDocument, NothingSeen
from kraftd.watch.health import judge
from kraftd.watch.health_report import health_document
from kraftd.watch.history import History
from kraftd.watch.snapshot import Snapshot, Status

_BAD_PARAMETER = "A parameter is unknown or wrong."


class _Described(FastAPI):
    """FastAPI, describing what is answered: a wrong parameter is a 400 here, not its own 422."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        document = super().openapi()
        for operations in document["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
        for unused in ("HTTPValidationError", "ValidationError"):
            document.get("components", {}).get("schemas", {}).pop(unused, None)
        return document


def create_app(plan: Plan, source: Source, clock: Clock) -> FastAPI:
    """Return the daemon's HTTP app, but for the probes and the guard that stand before it.

    Args:
        plan: The cluster.
        source: What was seen.
        clock: Time, for ages.
    """
    app = _Described(
        title="kraftd",
        summary=f"The cluster {plan.cluster} as the daemon last saw it. Read-only.",
        version=kraftd.__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    _add_problems(app)
    _describe_probes(app)
    add_page(app, plan, source, clock)
    _add_description(app)
    _add_health(app, plan, source, clock)
    _add_monitoring(app, plan, source)
    return app


def _add_problems(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        return _response(problem(400, "; ".join(_fault(found) for found in error.errors())))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        path = request.url.path
        details = {404: f"{path} is no address of the daemon; see /openapi.json", 405: f"{path} takes GET only"}
        status = error.status_code if error.status_code in TITLES else 400
        response = _response(problem(status, details.get(status, str(error.detail))))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def failed(_request: Request, _error: Exception) -> Response:
        return _response(problem(500, "the daemon failed; its log says why"))


def _describe_probes(app: FastAPI) -> None:
    """Describe the routes that are answered before the framework: only what they refuse comes here."""
    alive, ready = (
        {
            200: {"model": model, "description": "Yes."},
            503: {"model": model, "description": "No."},
            **problems(status_400=_BAD_PARAMETER),
        }
        for model in (Live, Ready)
    )

    @app.get("/livez", responses=alive, response_class=JSONResponse, summary="Does the daemon look at the cluster")
    async def livez(_query: NoQuery) -> Response:
        raise HTTPException(400, "ask without a question mark")

    @app.get("/readyz", responses=ready, response_class=JSONResponse, summary="Can the cluster serve")
    async def readyz(_query: Annotated[ReadyQuery, Query()]) -> Response:
        raise HTTPException(400, "ask without parameters, or with fresh=1 alone")


def _add_description(app: FastAPI) -> None:
    # The framework's own route takes any parameter.
    @app.get("/openapi.json", include_in_schema=False)
    async def description(_query: NoQuery) -> JSONResponse:
        return JSONResponse(app.openapi())


def _add_health(app: FastAPI, plan: Plan, source: Source, clock: Clock) -> None:
    health_responses: Responses = {
        200: {
            "model": HealthDocument,
            "description": "It is ok; without strict also degraded or unsupervised.",
        },
        503: {"model": HealthDocument | NothingSeen, "description": "It is down, or with strict not ok."},
        **problems(status_400=_BAD_PARAMETER),
    }
    broker_problems = problems(
        status_400=_BAD_PARAMETER, status_404="There is no such broker.", status_503="It does not serve, and why."
    )

    @app.get("/health", responses=health_responses, summary="The cluster")
    def health(query: Annotated[HealthQuery, Query()]) -> Response:
        """Return the newest snapshot; 503 when the cluster is down, with ``strict=1`` also when it is degraded."""
        return _health(plan, source.newest(), source.history(), clock.now_s(), strict=query.strict)

    @app.get(
        "/health/brokers/{broker_id}",
        status_code=204,
        responses={204: {"description": "It serves."}, **broker_problems},
        summary="One broker",
    )
    async def broker_health(broker_id: int, _query: NoQuery) -> Response:
        """Return 204 when the broker serves, 503 with the reason when it does not."""
        return _broker_health(source.newest(), broker_id)


def _add_monitoring(app: FastAPI, plan: Plan, source: Source) -> None:
    @app.get(
        "/sd/prometheus",
        responses={200: {"model": list[Target], "description": "Every target."}, **problems(status_400=_BAD_PARAMETER)},
        summary="Targets, for Prometheus' http_sd_configs",
    )
    async def prometheus_targets(_query: NoQuery) -> Response:
        return _json(targets(plan))

    @app.get(
        "/metrics",
        response_class=Response,
        responses={
            200: {
                "description": "Prometheus' text format, or OpenMetrics for those who accept it.",
                "content": {
                    "text/plain": {"schema": {"type": "string"}},
                    "application/openmetrics-text": {"schema": {"type": "string"}},
                },
            },
            **problems(status_400=_BAD_PARAMETER),
        },
        summary="Metrics",
    )
    async def metrics(request: Request, _query: NoQuery) -> Response:
        """Return what was rendered when it was seen, as Prometheus text, or as OpenMetrics for those who accept it."""
        body, content_type = source.metrics(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})


def _health(plan: Plan, snapshot: Snapshot | None, history: History, now_s: float, *, strict: bool) -> Response:
    if snapshot is None:
        return _json(NothingSeen(ok=False, status=Status.DOWN, reasons=(NOTHING_SEEN,)), 503)
    verdict = judge(snapshot, (topic.name for topic in plan.topics))
    failing = (Status.DOWN,) if not strict else (Status.DOWN, Status.DEGRADED, Status.UNSUPERVISED)
    document = health_document(plan, snapshot, verdict, now_s, history)
    return _json(document, 503 if verdict.status in failing else 200)


def _broker_health(snapshot: Snapshot | None, broker_id: int) -> Response:
    brokers = [each for each in (snapshot.programs if snapshot else ()) if each.kind is Kind.BROKER]
    broker = next((each for each in brokers if each.node_id == broker_id), None)
    if snapshot is None:
        return _response(problem(503, NOTHING_SEEN))
    if broker is None:
        known = ", ".join(str(each.node_id) for each in brokers)
        return _response(problem(404, f"there is no broker {broker_id}; there are: {known}"))
    if not broker.ready:
        return _response(problem(503, broker.reason or f"it is {broker.service_state.value}"))
    return Response(status_code=204)


def _fault(found: Any) -> str:
    where = ".".join(str(part) for part in found["loc"][1:])
    if found["type"] == "extra_forbidden":
        return f"there is no parameter {where}"
    return f"{where}: {found['msg']}, not {found['input']!r}"


def _json(document: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(document), status, media_type=JSON)


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, media_type=answer.media_type)
