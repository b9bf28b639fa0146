import asyncio
import base64
import logging

import pytest

from kraftd.web.asgi import PROBLEM_CONTENT_TYPE, Answer, ClientGoneError, HttpProblemError, problem_answer, send_answer
from kraftd.web.guard import CLIENT_CLOSED_REQUEST, AccessRules, Guard, completed, host_name, token_in
from tests.unit.web.asgi_client import call

HOSTS = frozenset({"localhost", "127.0.0.1"})
STATUS = {
    "malformed_request": 400,
    "bad_host": 421,
    "cross_site": 403,
    "unauthorized": 401,
    "internal": 500,
    "not_found": 404,
}


class Problem:
    def __init__(self, code, detail):
        self.code, self.detail = code, detail

    def answer(self):
        return problem_answer(STATUS[self.code], "A title", self.detail, code=self.code)


async def greet(scope, receive, send):
    match scope["path"]:
        case "/broken":
            raise RuntimeError("broken on purpose")
        case "/refused":
            raise HttpProblemError(Problem("not_found", "there is none"))
        case "/gone":
            raise ClientGoneError
        case "/cut":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise RuntimeError("broken too late")
    await send_answer(send, Answer(200, b"hello", b"text/plain"))


def guarded(*, hosts=HOSTS, on_answer=lambda *_ended: None, **options):
    access = AccessRules("this app", hosts, "ask its owner", without_token=frozenset({"/readyz"}), **options)
    return Guard(greet, access, Problem, on_answer)


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
    assert ask(guarded(hosts=frozenset({"kafka.lan"})), host=[(b"host", b"Kafka.lan:8001")]).status == 200
    assert ask(guarded(hosts=frozenset({"*"})), host=[(b"host", b"anything")]).status == 200


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
    assert (answer.status, answer.json["code"]) == (403, "cross_site")


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
    app = guarded(token="right")
    refused = ask(app)
    assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Basic realm="kraftd", charset="UTF-8"')
    assert ask(app, headers=[(b"authorization", b"Bearer wrong")]).status == 401
    assert ask(app, headers=[(b"authorization", b"Bearer right")]).status == 200
    assert ask(app, path="/readyz").status == 200


@pytest.mark.parametrize("path", ["/", "/broken", "/refused"])
@pytest.mark.parametrize(
    ("has_forms", "form_action", "referrer"), [(True, "'self'", "same-origin"), (False, "'none'", "no-referrer")]
)
def test_every_answer_has_the_security_headers(path, has_forms, form_action, referrer):
    headers = ask(guarded(has_forms=has_forms), path=path).headers

    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert f"form-action {form_action};" in policy
    assert "unsafe" not in policy
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", referrer)
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers


def test_an_answer_that_may_be_kept_stays_so():
    found = completed([(b"Cache-Control", b"max-age=60")], ())

    assert found == [(b"Cache-Control", b"max-age=60")]


def test_a_failure_is_a_problem_without_its_inside_and_is_logged_once(caplog):
    answer = ask(guarded(), path="/broken")

    assert (answer.status, answer.json["code"], answer.headers["content-type"]) == (
        500,
        "internal",
        PROBLEM_CONTENT_TYPE,
    )
    assert "broken on purpose" not in answer.body.decode()
    assert len(caplog.records) == 1


def test_a_failure_after_the_head_is_left_to_the_server(caplog):
    with caplog.at_level(logging.INFO), pytest.raises(RuntimeError, match="too late"):
        ask(guarded(), path="/cut")

    assert caplog.records == []


def test_a_refusal_deep_inside_is_its_problem():
    answer = ask(guarded(), path="/refused")

    assert (answer.status, answer.json["detail"]) == (404, "there is none")


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/refused", 404), ("/broken", 500)])
def test_each_answer_is_counted_with_its_status(path, status):
    ended = []

    ask(guarded(on_answer=lambda scope, *rest: ended.append((scope["path"], *rest))), path=path)

    assert [each[:2] for each in ended] == [(path, status)]
    assert ended[0][2] >= 0


def test_a_client_that_went_away_is_counted_and_not_answered():
    ended = []
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/gone", "headers": [(b"host", b"localhost")]}
    asyncio.run(guarded(on_answer=lambda _scope, status, _s: ended.append(status))(scope, None, send))

    assert (ended, sent) == ([CLIENT_CLOSED_REQUEST], [])


def test_head_is_answered_like_get_without_the_body():
    whole, head = (ask(guarded(), method) for method in ("GET", "HEAD"))

    assert (head.status, head.headers, head.body) == (whole.status, whole.headers, b"")


def test_head_is_counted_as_head():
    ended = []
    ask(guarded(on_answer=lambda scope, status, _duration_s: ended.append((scope["method"], status))), "HEAD")

    assert ended == [("HEAD", 200)]


@pytest.mark.parametrize("path", ["/refused", "/broken"])
def test_head_of_an_error_is_an_answer_too(path):
    whole, head = (ask(guarded(), method, path) for method in ("GET", "HEAD"))

    assert (head.status, head.headers["content-length"]) == (whole.status, whole.headers["content-length"])


def test_http_1_0_needs_no_host():
    assert ask(guarded(), host=(), http_version="1.0").status == 200
    assert ask(guarded(), host=[(b"host", b"evil.example")], http_version="1.0").status == 421


def test_http_1_1_needs_one_host():
    local = (b"host", b"localhost")

    assert ask(guarded(), host=(), http_version="1.1").status == 400
    assert ask(guarded(), host=[(b"host", b"")], http_version="1.1").status == 421
    assert ask(guarded(), host=[local, local]).status == 400
    assert ask(guarded(), host=[local, (b"accept", b"a"), (b"accept", b"b")]).status == 200


@pytest.mark.parametrize("origin", [b"http://[", b"http://[::1", b"null", b"", b"http://]", b"\xff"])
@pytest.mark.parametrize(("host", "version"), [([(b"host", b"localhost")], "1.1"), ([], "1.0")])
def test_an_origin_that_cannot_be_read_is_another_one(origin, host, version):
    answer = ask(guarded(), "POST", host=host, headers=[(b"origin", origin)], http_version=version)

    assert (answer.status, answer.json["code"]) == (403, "cross_site")
