import asyncio
import gzip
import zlib

import pytest

from kraftd_apps.common.body import IDENTITY, BodyReader, decoded, encoding_of
from kraftd_apps.common.problems import ProblemError

JSON = b'{"a": 1}'
LIMIT = 1000
SETTING = "APP_MAX_BODY"


def refusal(body, encoding, limit=LIMIT):
    with pytest.raises(ProblemError) as refused:
        decoded(body, encoding, limit, SETTING)
    return refused.value.problem.code


@pytest.mark.parametrize(
    ("value", "encoding"),
    [(b"gzip", b"gzip"), (b"X-GZip", b"x-gzip"), (b" deflate ", b"deflate"), (b"identity, gzip", b"gzip")],
)
def test_an_encoding_is_known_by_its_name(value, encoding):
    assert encoding_of([(b"content-encoding", value)]) == encoding


@pytest.mark.parametrize("headers", [[], [(b"content-encoding", b"identity")], [(b"content-encoding", b"")]])
def test_a_body_without_an_encoding_is_taken_as_it_is(headers):
    assert encoding_of(headers) == IDENTITY


@pytest.mark.parametrize(
    "values", [[b"br"], [b"zstd"], [b"compress"], [b"gzip, gzip"], [b"gzip", b"deflate"], [b"\xff"]]
)
def test_any_other_encoding_is_told_which_are_supported(values):
    with pytest.raises(ProblemError) as refused:
        encoding_of([(b"content-encoding", value) for value in values])

    answer = refused.value.problem.answer()
    assert (answer.status, dict(answer.headers)[b"accept-encoding"]) == (415, b"gzip, deflate, identity")


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        pytest.param(gzip.compress(JSON), b"gzip", id="gzip"),
        pytest.param(gzip.compress(JSON), b"x-gzip", id="x-gzip"),
        pytest.param(gzip.compress(JSON[:3]) + gzip.compress(JSON[3:]), b"gzip", id="two members"),
        pytest.param(zlib.compress(JSON), b"deflate", id="deflate"),
        pytest.param(zlib.compress(JSON)[2:-4], b"deflate", id="deflate without zlib's frame"),
    ],
)
def test_a_compressed_body_is_decoded(body, encoding):
    assert decoded(body, encoding, LIMIT, SETTING) == JSON


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        pytest.param(JSON, b"gzip", id="plain"),
        pytest.param(JSON, b"deflate", id="plain as deflate"),
        pytest.param(b"", b"gzip", id="empty"),
        pytest.param(gzip.compress(JSON)[:-1], b"gzip", id="cut"),
        pytest.param(gzip.compress(JSON) + b"x", b"gzip", id="more"),
        pytest.param(zlib.compress(JSON) + b"x", b"deflate", id="more after deflate"),
        pytest.param(zlib.compress(JSON), b"gzip", id="the other one"),
        pytest.param(gzip.compress(b"") * 1001, b"gzip", id="members without end"),
    ],
)
def test_a_body_in_another_encoding_than_it_says_is_refused(body, encoding):
    assert refusal(body, encoding) == "invalid_encoding"


@pytest.mark.parametrize(
    "compress", [gzip.compress, lambda body: gzip.compress(body[:600]) + gzip.compress(body[600:])]
)
def test_a_body_may_be_as_long_as_the_limit_when_decoded(compress):
    assert len(decoded(compress(b"a" * LIMIT), b"gzip", LIMIT, SETTING)) == LIMIT
    assert refusal(compress(b"a" * (LIMIT + 1)), b"gzip") == "too_large"


def test_a_bomb_is_not_inflated_beyond_the_limit():
    bomb = gzip.compress(b" " * 10_000_000)
    # Were it inflated to its end, the missing checksum would be found first.
    assert refusal(bomb[:-8], b"gzip") == "too_large"


async def never():
    await asyncio.Event().wait()


async def whole():
    return {"type": "http.request", "body": JSON}


async def read_with(reader, receive):
    try:
        return await reader.read({"headers": []}, receive)
    except ProblemError as refused:
        return refused.problem.code


def test_a_slow_body_is_refused_also_after_others_came_in_time():
    async def bodies():
        reader = BodyReader(max_bytes=LIMIT, setting=SETTING, timeout_s=0.01)
        return [await read_with(reader, receive) for receive in (whole, never, whole, never)]

    assert asyncio.run(bodies()) == [JSON, "slow_body", JSON, "slow_body"]


def test_bodies_that_are_slow_at_the_same_time_are_all_refused():
    async def bodies():
        reader = BodyReader(max_bytes=LIMIT, setting=SETTING, timeout_s=0.01)
        return await asyncio.gather(*(read_with(reader, receive) for receive in (never, whole, never, never)))

    assert asyncio.run(bodies()) == ["slow_body", JSON, "slow_body", "slow_body"]


def test_a_body_whose_task_is_cancelled_is_not_called_slow():
    async def bodies():
        reader = BodyReader(max_bytes=LIMIT, setting=SETTING, timeout_s=60)
        reading = asyncio.create_task(read_with(reader, never))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        return reading.cancelled()

    assert asyncio.run(bodies())
