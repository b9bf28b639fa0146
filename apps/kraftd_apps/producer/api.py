"""The FastAPI side of the producer app: what is not on the hot path, and the description of all of it."""

from typing import Protocol
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from kraftd_apps.producer import openapi
from kraftd_apps.producer.batch import BatchRoute
from kraftd_apps.producer.options import PLAIN, Options, checked_key
from kraftd_apps.producer.send import SendRoute
from kraftd_apps.producer.settings import ProducerSettings
from kraftd_apps.web.api import as_response, health_routes, install_docs, install_problems
from kraftd_apps.web.asgi import Answer
from kraftd_apps.web.body import read_body
from kraftd_apps.web.pages import Pages
from kraftd_apps.web.problems import Refused, problem

_SAMPLE = '{"key": "Hello Kafka!"}'


class Routes(Protocol):
    """The parts of the service that the API shows."""

    send: SendRoute
    batch: BatchRoute

    def unready_reasons(self) -> list[str]:
        """Return why records cannot be written now; none when they can."""


def build_api(routes: Routes, settings: ProducerSettings) -> FastAPI:
    """Return the app behind the hot path; what is on the hot path is in it too and answers the same."""
    api = FastAPI(
        title="kraftd producer",
        summary=f"Publishes JSON to the Kafka topic {settings.kafka.topic}.",
        description=openapi.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
    )
    pages = Pages("kraftd_apps.producer")
    install_problems(api)
    install_docs(api, pages)
    _add_publishing(api, routes)
    health_routes(api)
    _add_page(api, pages, routes, settings)
    return api


def _add_publishing(api: FastAPI, routes: Routes) -> None:
    @api.post("/send", **openapi.SEND)
    async def send(request: Request) -> Response:
        return as_response(await routes.send.answer(request.scope, request.receive))

    @api.delete("/send", **openapi.DELETE)
    async def delete(request: Request) -> Response:
        return as_response(await routes.send.delete(request.scope))

    @api.post("/send/batch", **openapi.BATCH)
    async def batch(request: Request) -> Response:
        return as_response(await routes.batch.answer(request.scope, request.receive))


def _add_page(api: FastAPI, pages: Pages, routes: Routes, settings: ProducerSettings) -> None:
    def page(*, value: str = _SAMPLE, key: str = "", answer: Answer | None = None) -> HTMLResponse:
        html = pages.render(
            "page.html",
            topic=settings.kafka.topic,
            value=value,
            key=key,
            answer=answer.body.decode() if answer else "",
            succeeded=bool(answer and answer.status < 300),
            reasons=routes.unready_reasons(),
        )
        return HTMLResponse(html, answer.status if answer else 200)

    @api.get("/", include_in_schema=False)
    async def form() -> HTMLResponse:
        return page()

    @api.post("/", include_in_schema=False)
    async def submitted(request: Request) -> HTMLResponse:
        limit = 3 * settings.http.max_body_bytes
        body = await read_body(request.scope, request.receive, max_bytes=limit, timeout_s=settings.http.body_timeout_s)
        fields = _form_fields(body)
        value, key = fields.get("value", ""), fields.get("key", "")
        try:
            options = Options(key=checked_key(key.encode())) if key else PLAIN
            answer = await routes.send.publish(options, value.encode())
        except Refused as refused:
            answer = refused.problem.answer()
        return page(value=value, key=key, answer=answer)


def _form_fields(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=8)
    except ValueError as error:
        raise Refused(problem("bad_parameter", f"the form cannot be read: {error}")) from error
    return dict(pairs)
