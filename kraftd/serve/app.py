"""The routes of the daemon: handlers only read the newest snapshot, and say its age."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Query
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.middleware.trustedhost import TrustedHostMiddleware

import kraftd
from kraftd.clock import Clock
from kraftd.serve.discovery import targets
from kraftd.serve.exposition import SnapshotCollector
from kraftd.serve.front import ALLOWED_HOSTS, HEADERS
from kraftd.serve.front import livez as livez_answer
from kraftd.serve.front import readyz as readyz_answer
from kraftd.spec.plan import Kind, Plan
from kraftd.watch.documents import health_document
from kraftd.watch.health import judge
from kraftd.watch.snapshot import Snapshot, Status


def create_app(plan: Plan, newest: Callable[[], Snapshot | None], clock: Clock) -> FastAPI:
    """Return the daemon's HTTP app.

    Args:
        plan: The cluster.
        newest: Returns the newest snapshot, None before the first; must not block.
        clock: Time, for ages.
    """
    app = FastAPI(title="kraftd", version=kraftd.__version__, docs_url=None, redoc_url=None)
    # A page of another origin could rebind its name to this machine and read everything.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=ALLOWED_HOSTS)
    _add_probes(app, newest, tuple(topic.name for topic in plan.topics), clock)
    _add_documents(app, plan, newest, clock)
    return app


def _add_probes(app: FastAPI, newest: Callable[[], Snapshot | None], topics: tuple[str, ...], clock: Clock) -> None:
    @app.get("/livez")
    async def livez() -> JSONResponse:
        """200 while the loop looks at the cluster."""
        status, document = livez_answer(newest(), clock.now_s())
        return _json(document, status)

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        """200 when the cluster can serve, else 503 with the reasons."""
        status, document = readyz_answer(newest(), topics)
        return _json(document, status)

    @app.get("/health/brokers/{broker_id}", status_code=204)
    async def broker_health(broker_id: int) -> Response:
        """204 when the broker serves, 503 with the reason when it does not, 404 when none has this id."""
        return _broker_health(newest(), broker_id)


def _add_documents(app: FastAPI, plan: Plan, newest: Callable[[], Snapshot | None], clock: Clock) -> None:
    topics = tuple(topic.name for topic in plan.topics)

    @app.get("/health")
    async def health(strict: bool = Query(default=False)) -> JSONResponse:
        """The newest snapshot; 503 when the cluster is down, with ``strict=1`` also when it is degraded."""
        return _health(plan, newest(), topics, clock.now_s(), strict=strict)

    @app.get("/sd/prometheus")
    async def prometheus_targets() -> JSONResponse:
        """Every target, for Prometheus' http_sd_configs."""
        return _json(targets(plan), 200)

    @app.get("/metrics")
    def metrics() -> Response:
        """The newest snapshot as Prometheus text."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(SnapshotCollector(plan, newest(), clock.now_s()))
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _health(
    plan: Plan, snapshot: Snapshot | None, topics: tuple[str, ...], now_s: float, *, strict: bool
) -> JSONResponse:
    if snapshot is None:
        return _json({"ok": False, "status": Status.DOWN.value, "reasons": ["nothing was looked at yet"]}, 503)
    verdict = judge(snapshot, topics)
    failing = (Status.DOWN,) if not strict else (Status.DOWN, Status.DEGRADED, Status.UNSUPERVISED)
    return _json(health_document(plan, snapshot, verdict, now_s), 503 if verdict.status in failing else 200)


def _broker_health(snapshot: Snapshot | None, broker_id: int) -> Response:
    brokers = [each for each in (snapshot.programs if snapshot else ()) if each.kind is Kind.BROKER]
    broker = next((each for each in brokers if each.node_id == broker_id), None)
    if snapshot is not None and broker is None:
        known = ", ".join(str(each.node_id) for each in brokers)
        return _json({"ok": False, "reason": f"there is no broker {broker_id}; there are: {known}"}, 404)
    if broker is None or not broker.ready:
        return _json({"ok": False, "reason": broker.reason if broker else "nothing was looked at yet"}, 503)
    return Response(status_code=204, headers=HEADERS)


def _json(document: Any, status: int) -> JSONResponse:
    return JSONResponse(document, status_code=status, headers=HEADERS)
