"""The FastAPI side of the producer app: what is not on the hot path, and the description of all of it."""

from fastapi import FastAPI, Request, Response

from kraftd_apps.producer.send import SendRoute
from kraftd_apps.web.api import as_response, install_problems


def build_api(send: SendRoute) -> FastAPI:
    """Return the app behind the hot path; `POST /send` is in it too and answers the same."""
    api = FastAPI(title="kraftd producer", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    install_problems(api)

    @api.post("/send", summary="Publish one JSON value")
    async def publish(request: Request) -> Response:
        """Write the body to the topic, byte for byte, and answer when every in-sync replica has it."""
        return as_response(await send.answer(request.scope, request.receive))

    return api
