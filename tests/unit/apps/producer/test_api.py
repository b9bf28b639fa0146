"""The hot path and FastAPI's own routes must not be told apart; the rest is FastAPI's."""

from urllib.parse import urlencode

import pytest

from kraftd_apps.common.problems import PROBLEM_TYPES
from kraftd_apps.producer.api import build_api
from tests.unit.apps.producer.services import running
from tests.unit.web.asgi_client import call


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/send", b"[1]"),
        ("/send", b"NaN"),
        ("/send?partition=-1", b"1"),
        ("/send?ack=none", b"1"),
        ("/send", b"1" * 2000),
        ("/send/batch", b"1\nNaN"),
        ("/send/batch", b""),
    ],
)
def test_both_ways_answer_alike(target, body):
    async def check(service, clients):
        behind = build_api(service, service._settings)
        hot = await call(service.app, "POST", target, body)
        framework = await call(behind, "POST", target, body)
        assert framework.status == hot.status
        hot_document, framework_document = hot.json, framework.json
        for document in (hot_document, framework_document):
            document.pop("offset", None)
            document.pop("results", None)
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


def test_a_wrong_method_is_told_every_right_one():
    async def check(service, clients):
        assert (await call(service.app, "PUT", "/send", b"1")).headers["allow"] == "DELETE, POST"

    running(check)


def test_a_tombstone_is_a_record_without_a_value():
    async def check(service, clients):
        answer = await call(service.app, "DELETE", "/send?key=k")
        assert answer.json["status"] == "sent"
        assert (clients.made[0].produced[0]["key"], clients.made[0].produced[0]["value"]) == (b"k", None)

    running(check)


def test_a_tombstone_without_a_key_is_refused():
    async def check(service, clients):
        assert (await call(service.app, "DELETE", "/send")).json["code"] == "bad_parameter"

    running(check)


def test_the_form_works_without_javascript():
    async def check(service, clients):
        body = urlencode({"value": '{"a": "ö"}', "key": "k"}).encode()
        page = await call(service.app, "POST", "/", body)
        assert page.status == 200
        assert "Written" in page.body.decode()
        produced = clients.made[0].produced[0]
        assert (produced["value"], produced["key"]) == ('{"a": "ö"}'.encode(), b"k")

    running(check)


@pytest.mark.parametrize("body", [b"value=%7B", b"", b"value=%ff", b"\xff"])
def test_a_form_that_holds_no_json_says_so_on_the_page_or_as_a_problem(body):
    async def check(service, clients):
        answer = await call(service.app, "POST", "/", body)
        assert answer.status == 400
        assert clients.made[0].produced == []

    running(check)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_each_page_links_to_the_pages_that_the_app_was_told(path):
    async def check(service, clients):
        page = (await call(service.app, "GET", path)).body.decode()
        assert '<nav><a href="http://127.0.0.1:8000/">Status</a> <a href="http://h/&#34;">&lt;b&gt;</a> ' in page

    running(check, APP_LINKS='Status=http://127.0.0.1:8000/, <b>=http://h/"')


def test_a_hostile_value_stands_in_the_form_as_text():
    async def check(service, clients):
        page = await call(service.app, "POST", "/", urlencode({"value": "</textarea><script>x</script>"}).encode())
        assert "<script>x" not in page.body.decode()

    running(check)


def test_the_description_names_every_route_and_the_page_needs_nothing_from_elsewhere():
    async def check(service, clients):
        described = (await call(service.app, "GET", "/openapi.json")).json
        assert set(described["paths"]) == {"/send", "/send/batch", "/healthz", "/readyz", "/metrics"}
        page = (await call(service.app, "GET", "/docs")).body.decode()
        assert all(f'id="problem-{code}"' in page for code in PROBLEM_TYPES)
        assert "//" not in page.replace("http://localhost", "")

    running(check)
