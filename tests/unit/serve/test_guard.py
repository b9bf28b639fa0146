import asyncio

import pytest

from kraftd.serve.asgi import json_answer, send_answer
from kraftd.serve.guard import Guard, with_security_headers
from kraftd.serve.problems import PROBLEM
from tests.unit.apps.asgi_client import call


def guarded(host):
    async def app(_scope, _receive, send):
        await send_answer(send, json_answer(200, {"secret": 1}))

    return asyncio.run(call(Guard(app), "GET", "/health", host=((b"host", host.encode()),) if host else ()))


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example:8000", "", "[::2]"]
)
def test_a_page_that_rebinds_its_name_reads_nothing(host):
    answer = guarded(host)

    assert (answer.status, answer.headers["content-type"]) == (421, PROBLEM)
    assert b"secret" not in answer.body


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST.", "[::1]:8000", "[::1]"])
def test_this_machine_is_served(host):
    assert guarded(host).status == 200


@pytest.mark.parametrize("host", ["localhost", "evil.example"])
def test_every_answer_has_the_security_headers(host):
    headers = guarded(host).headers

    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


def test_an_answer_that_may_be_kept_stays_so():
    found = with_security_headers([(b"Cache-Control", b"max-age=60")])

    assert [value for name, value in found if name.lower() == b"cache-control"] == [b"max-age=60"]


def test_the_address_that_is_served_on_is_a_name_too():
    async def app(_scope, _receive, send):
        await send_answer(send, json_answer(200, {}))

    answer = asyncio.run(call(Guard(app, "10.0.0.7"), "GET", "/health", host=((b"host", b"10.0.0.7:8000"),)))

    assert answer.status == 200
