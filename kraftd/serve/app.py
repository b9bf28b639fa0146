"""The daemon's HTTP routes: health, metrics, service discovery, runbooks, the status page."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import Field

import kraftd
from kraftd.clock import Clock
from kraftd.health.programs.state import Snapshot, Status
from kraftd.health.programs.verdict import judge
from kraftd.health.report.documents import HealthDocument, NothingSeen
from kraftd.health.report.health import health_document
from kraftd.health.report.history import History
from kraftd.host.install import runbooks_text
from kraftd.plan.kinds import Node
from kraftd.plan.plan import Plan
from kraftd.plan.program import Kind, Program
from kraftd.serve.front import NOTHING_SEEN, LivezDocument, Problem, ReadyzDocument
from kraftd.serve.page import Source, add_page
from kraftd.web.api import DescribedApi, NoParameters, NoQuery, Responses, install_problems, problems
from kraftd.web.asgi import HttpProblemError

_JOBS = {Kind.DAEMON: "kraftd", Kind.APP: "kraftd-apps", Kind.BROKER: "kafka", Kind.CONTROLLER: "kafka"}
"""The job of a program's target."""

_BAD_PARAMETER = "A parameter is unknown or wrong."


class ReadyQuery(NoParameters):
    """The query of ``/readyz``."""

    fresh: Annotated[Literal["1"] | None, Field(description="Answer from an observation that begins now.")] = None


class HealthQuery(NoParameters):
    """The query of ``/health``."""

    strict: Annotated[bool, Field(description="Answer 503 also when the cluster is degraded or unsupervised.")] = False


@dataclass(frozen=True, slots=True)
class ScrapeTarget:
    """One target of Prometheus' HTTP service discovery."""

    targets: tuple[str, ...]
    labels: Mapping[str, str]


def targets(plan: Plan) -> list[ScrapeTarget]:
    """Return the targets of a cluster."""
    return [
        ScrapeTarget((metrics.address,), {"job": _JOBS[program.kind], **_labels(plan, program)})
        for program in plan.from_top
        if (metrics := program.metrics)
    ]


def _labels(plan: Plan, program: Program) -> dict[str, str]:
    node = {"node_id": str(program.node_id)} if isinstance(program, Node) else {}
    return {"program": program.name, "kafka_cluster": plan.cluster, **node}


def create_app(plan: Plan, source: Source, clock: Clock) -> FastAPI:
    """Return the daemon's HTTP app, without the probes and the guard in front of it.

    Args:
        plan: The cluster.
        source: The newest snapshot, history and metrics.
        clock: Time, for ages.
    """
    app = DescribedApi(
        title="kraftd",
        summary=f"The cluster {plan.cluster} as the daemon last observed it. Read-only.",
        version=kraftd.__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    install_problems(app, Problem, server="the daemon", description="/openapi.json")
    _describe_probes(app)
    add_page(app, plan, source, clock)
    _add_description(app)
    _add_health(app, plan, source, clock)
    _add_monitoring(app, plan, source)
    _add_runbooks(app)
    return app


def _describe_probes(app: FastAPI) -> None:
    """Describe the probes, which are answered before the framework: only requests that they refuse arrive."""
    alive, ready = (
        {
            200: {"model": model, "description": "Yes."},
            503: {"model": model, "description": "No."},
            **problems(status_400=_BAD_PARAMETER),
        }
        for model in (LivezDocument, ReadyzDocument)
    )

    @app.get("/livez", responses=alive, response_class=JSONResponse, summary="Whether the daemon observes the cluster")
    async def livez(_query: NoQuery) -> Response:
        raise HttpProblemError(Problem("bad_parameter", "send no query"))

    @app.get("/readyz", responses=ready, response_class=JSONResponse, summary="Whether the cluster can serve")
    async def readyz(_query: Annotated[ReadyQuery, Query()]) -> Response:
        raise HttpProblemError(Problem("bad_parameter", "send no parameters, or fresh=1 alone"))


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
        responses={
            200: {"model": list[ScrapeTarget], "description": "Every target."},
            **problems(status_400=_BAD_PARAMETER),
        },
        summary="Targets, for Prometheus' http_sd_configs",
    )
    async def prometheus_targets(_query: NoQuery) -> Response:
        return _json(targets(plan))

    @app.get(
        "/metrics",
        response_class=Response,
        responses={
            200: {
                "description": "Prometheus' text format, or OpenMetrics where that is accepted.",
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
        """Return the metrics of the newest snapshot, as Prometheus text, or as OpenMetrics where that is accepted."""
        body, content_type = source.metrics(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})


def _add_runbooks(app: FastAPI) -> None:
    _, *titles_and_texts = re.split(r"^### (\w+)$", runbooks_text(), flags=re.MULTILINE)
    runbooks = dict(zip(titles_and_texts[::2], titles_and_texts[1::2], strict=True))

    @app.get(
        "/runbooks/{alert}",
        response_class=PlainTextResponse,
        responses=problems(status_400=_BAD_PARAMETER, status_404="There is no such alert."),
        summary="What an alert means, and what to do",
    )
    async def runbook(alert: str, _query: NoQuery) -> PlainTextResponse:
        if alert not in runbooks:
            raise HttpProblemError(Problem("not_found", f"there is no alert {alert}"))
        text = re.split(r"^## ", runbooks[alert], maxsplit=1, flags=re.MULTILINE)[0]
        return PlainTextResponse(f"{alert}\n\n{text.strip()}\n")


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
        raise HttpProblemError(Problem("unavailable", NOTHING_SEEN))
    if broker is None:
        known = ", ".join(str(each.node_id) for each in brokers)
        raise HttpProblemError(Problem("not_found", f"there is no broker {broker_id}; brokers: {known}"))
    if not broker.ready:
        raise HttpProblemError(Problem("unavailable", broker.reason or f"it is {broker.service_state.value}"))
    return Response(status_code=204)


def _json(document: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(document), status, media_type="application/json")
