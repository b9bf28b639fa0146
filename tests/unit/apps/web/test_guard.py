import asyncio
import base64

import pytest

from kraftd_apps.producer.settings import read_settings
from kraftd_apps.web.asgi import Answer
from kraftd_apps.web.guard import Guard, host_name, token_in
from kraftd_apps.web.reply import send_answer
from kraftd_apps.web.telemetry import HttpMetrics
from tests.unit.apps.asgi_client import call


async def greet(scope, receive, send):
    if scope["path"] == "/broken":
        raise RuntimeError("broken on purpose")
    await send_answer(send, Answer(200, b"hello", b"text/plain"))


def guarded(**variables):
    return Guard(greet, read_settings(variables).http, HttpMetrics())


def ask(app, method="GET", path="/", **options):
    return asyncio.run(call(app, method, path, **options))


@pytest.mark.parametrize(
    ("host", "name"),
    [("Localhost:8001", "localhost"), ("[::1]:8001", "::1"), ("127.0.0.1", "127.0.0.1"), ("a.b.:80", "a.b"), ("", "")],
)
def test_the_name_of_a_host_header_has_no_port(host, name):
    assert host_name(host) == name


@pytest.mark.parametrize("host", [b"evil.example", b"localhost.evil.example:8001", b"", b"169.254.169.254"])
def test_a_foreign_host_is_not_served(host):
    answer = ask(guarded(), host=[(b"host", host)])
    assert (answer.status, answer.json["code"]) == (421, "bad_host")


def test_a_named_host_is_served():
    assert ask(guarded(APP_ALLOWED_HOSTS="Kafka.lan"), host=[(b"host", b"kafka.lan:8001")]).status == 200
    assert ask(guarded(APP_ALLOWED_HOSTS="*"), host=[(b"host", b"anything")]).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        [(b"sec-fetch-site", b"cross-site")],
        [(b"sec-fetch-site", b"same-site")],
        [(b"origin", b"http://evil.example")],
        [(b"origin", b"http://localhost:9999")],
        [(b"origin", b"null")],
    ],
)
def test_a_page_of_another_origin_cannot_write(headers):
    answer = ask(guarded(), "POST", headers=headers)
    assert (answer.status, answer.json["code"], answer.json["outcome"]) == (403, "cross_site", "not_written")


@pytest.mark.parametrize("headers", [[], [(b"sec-fetch-site", b"same-origin"), (b"origin", b"http://localhost:8001")]])
def test_curl_and_the_apps_own_page_may_write(headers):
    assert ask(guarded(), "POST", headers=headers).status == 200


@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        (b"Bearer right", b"right"),
        (b"bearer right", b"right"),
        (b"Basic " + base64.b64encode(b"anybody:right"), b"right"),
        (b"Basic " + base64.b64encode(b":a:b"), b"a:b"),
        (b"Basic " + base64.b64encode(b"no colon"), b""),
        (b"Basic no base64", b""),
        (b"Digest right", b""),
        (b"right", b""),
        (b"", b""),
    ],
)
def test_a_token_comes_as_a_bearer_token_or_as_a_password(authorization, token):
    assert token_in(authorization) == token


def test_a_token_is_asked_for_everywhere_but_in_health_checks():
    app = guarded(APP_API_TOKEN="right")
    refused = ask(app)
    assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Basic realm="kraftd", charset="UTF-8"')
    assert ask(app, headers=[(b"authorization", b"Bearer wrong")]).status == 401
    assert ask(app, headers=[(b"authorization", b"Bearer right")]).status == 200
    assert ask(app, path="/readyz").status == 200


@pytest.mark.parametrize("path", ["/", "/broken"])
def test_every_answer_has_the_security_headers(path):
    headers = ask(guarded(), path=path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers


def test_a_failure_is_a_problem_that_leaves_the_outcome_open_and_is_logged_once(caplog):
    answer = ask(guarded(), path="/broken")
    assert (answer.status, answer.json["code"], answer.json["outcome"]) == (500, "internal", "unknown")
    assert "broken on purpose" not in answer.body.decode()
    assert len(caplog.records) == 1


def test_a_path_that_nobody_serves_is_no_label_of_its_own():
    metrics = HttpMetrics()
    app = Guard(greet, read_settings({}).http, metrics)
    for number in range(3):
        ask(app, path=f"/made-up-{number}")
    text = metrics.answer().body.decode()
    assert 'http_requests_total{method="GET",route="unmatched",status="200"} 3.0' in text
    assert "made-up" not in text
