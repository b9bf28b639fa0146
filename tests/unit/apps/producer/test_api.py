"""The hot path and FastAPI's own route must not be told apart."""

import pytest

from kraftd_apps.producer.api import build_api
from kraftd_apps.producer.send import SendRoute
from tests.unit.apps.asgi_client import call
from tests.unit.apps.producer.test_gateway import running


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/send", b"[1]"),
        ("/send", b"NaN"),
        ("/send?partition=-1", b"1"),
        ("/send?ack=none", b"1"),
        ("/send", b"1" * 2000),
    ],
)
def test_both_ways_answer_alike(target, body):
    async def check(service, clients):
        behind = build_api(SendRoute(service.gateway, "test-topic", service._settings.http))
        hot = await call(service.app, "POST", target, body)
        framework = await call(behind, "POST", target, body)
        assert framework.status == hot.status
        hot_document, framework_document = hot.json, framework.json
        for document in (hot_document, framework_document):
            document.pop("offset", None)
        assert framework_document == hot_document
        assert framework.headers["content-type"] == hot.headers["content-type"]

    running(check, APP_MAX_BODY="1024")


@pytest.mark.parametrize(
    ("method", "path", "code"), [("GET", "/send", "method_not_allowed"), ("GET", "/x", "not_found")]
)
def test_what_the_app_does_not_know_is_a_problem(method, path, code):
    async def check(service, clients):
        answer = await call(service.app, method, path)
        assert (answer.json["code"], answer.headers["content-type"]) == (code, "application/problem+json")

    running(check)
