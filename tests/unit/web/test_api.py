"""A small app of the framework, as the daemon and the apps make theirs."""

import asyncio

import pytest

from kraftd.web.api import DescribedApi, StaticFiles, as_response, install_problems
from kraftd.web.asgi import PROBLEM_CONTENT_TYPE, Answer, HttpProblemError, problem_answer
from tests.unit.web.asgi_client import call

STATUS = {"bad_parameter": 400, "not_found": 404, "method_not_allowed": 405, "internal": 500}

PACKAGES = ("kraftd.serve",)


class Problem:
    def __init__(self, code, detail):
        self.code, self.detail = code, detail

    def answer(self):
        return problem_answer(STATUS[self.code], "A title", self.detail)


def small_api():
    api = DescribedApi(title="small", docs_url=None, redoc_url=None)
    install_problems(api, Problem, server="this app", description="/docs")

    @api.get("/double")
    async def double(number: int) -> int:
        return 2 * number

    @api.delete("/double")
    async def delete():
        raise HttpProblemError(Problem("not_found", "there is no double"))

    @api.get("/broken")
    async def broken():
        raise LookupError("secret")

    return api


def ask(method, target, **options):
    return asyncio.run(call(small_api(), method, target, **options))


@pytest.mark.parametrize(
    ("method", "target", "status", "detail"),
    [
        ("GET", "/double?number=x", 400, "number: Input should be a valid integer"),
        ("GET", "/nothing", 404, "this app has no path /nothing; see /docs"),
        ("PUT", "/double", 405, "/double does not take PUT; it takes DELETE, GET"),
        ("DELETE", "/double", 404, "there is no double"),
    ],
)
def test_every_error_is_a_problem(method, target, status, detail):
    answer = ask(method, target)

    assert (answer.status, answer.headers["content-type"]) == (status, PROBLEM_CONTENT_TYPE)
    assert answer.json["detail"].startswith(detail)


def test_a_wrong_method_is_told_every_right_one():
    assert ask("PUT", "/double").headers["allow"] == "DELETE, GET, HEAD"


def test_a_failure_is_a_problem_without_its_inside():
    sent = []
    with pytest.raises(LookupError):
        ask("GET", "/broken", tell=sent.append)

    assert sent[0]["status"] == 500
    assert b"secret" not in sent[1]["body"]


def test_the_frameworks_own_422_is_not_described():
    document = small_api().openapi()

    assert set(document["paths"]["/double"]["get"]["responses"]) == {"200"}
    assert "components" not in document


def test_an_answer_keeps_each_of_its_headers():
    response = as_response(Answer(200, b"", b"text/plain", ((b"x-a", b"1"), (b"x-a", b"2"))))

    assert [value for name, value in response.raw_headers if name == b"x-a"] == [b"1", b"2"]
    assert response.headers["content-type"] == "text/plain"


def test_an_address_holds_the_hash_of_its_file_and_may_be_kept_for_ever():
    static = StaticFiles(*PACKAGES)

    answer = static.hashed[static.address("status.css")]

    assert answer.content_type == b"text/css; charset=utf-8"
    assert answer.headers == ((b"cache-control", b"public, max-age=31536000, immutable"),)


def test_a_plain_name_is_served_without_being_kept():
    assert StaticFiles(*PACKAGES).plain["/static/live.js"].headers == ()


def test_every_page_has_the_shared_files():
    static = StaticFiles()

    assert set(static.plain) == {"/static/icon.svg", "/static/colours.css"}
    assert static.hashed[static.address("icon.svg")].content_type == b"image/svg+xml"


def test_a_file_that_is_not_there_has_no_address():
    with pytest.raises(KeyError):
        StaticFiles().address("other.css")
