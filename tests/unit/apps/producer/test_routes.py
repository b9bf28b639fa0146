import asyncio
import gzip
import json

import pytest

from kraftd_apps.common.problems import problem
from kraftd_apps.producer.routes import Batch, batch_answer
from tests.unit.apps.kafka_fakes import FakeError, FakeMessage
from tests.unit.apps.producer.services import running
from tests.unit.web.asgi_client import call

JSON = (b"content-type", b"application/json")
NDJSON = (b"content-type", b"application/x-ndjson; charset=utf-8")
GZIP = (b"content-encoding", b"gzip")


@pytest.mark.parametrize(
    ("results", "status"),
    [
        ([(0, 1)], 200),
        ([(0, 1), problem("too_large", "x")], 207),
        ([problem("delivery_timeout", "x"), problem("too_large", "x")], 504),
    ],
)
def test_the_status_of_a_batch_tells_all_some_or_none(results, status):
    answer = batch_answer(results)
    document = json.loads(answer.body)
    assert answer.status == status
    assert len(document["results"]) == document["sent"] + document["failed"] == len(results)


@pytest.mark.parametrize(
    ("codes", "outcome"),
    [
        (["invalid_json", "delivery_timeout"], "unknown"),
        (["delivery_timeout", "invalid_json"], "unknown"),
        (["invalid_json", "too_large"], "not_written"),
    ],
)
def test_the_outcome_of_a_batch_is_unknown_if_that_of_any_record_is(codes, outcome):
    document = json.loads(batch_answer([problem(code, "x") for code in codes]).body)
    assert (document["code"], document["outcome"]) == (codes[0], outcome)


def test_results_are_in_the_order_of_the_records_and_good_ones_are_unchanged():
    async def check(service, clients):
        body = b'{"n": 1.10}\nNaN\n"three"\n'
        answer = await call(service.app, "POST", "/send/batch", body, [NDJSON])
        assert answer.status == 207
        assert [result.get("error", "sent") for result in answer.json["results"]] == ["sent", "invalid_json", "sent"]
        assert [record["value"] for record in clients.made[0].produced] == [b'{"n": 1.10}', b'"three"']
        assert service.publisher.inflight == 0

    running(check)


def test_what_kafka_refuses_is_told_per_record():
    async def check(service, clients):
        clients.made[0].error = FakeError("_MSG_TIMED_OUT")
        answer = await call(service.app, "POST", "/send/batch", b"[1,2]", [JSON])
        assert (answer.status, answer.json["code"], answer.json["failed"]) == (504, "delivery_timeout", 2)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json["results"][1]["outcome"] == "unknown"

    running(check)


@pytest.mark.parametrize(
    ("body", "header", "code"),
    [
        (b"", NDJSON, "invalid_json"),
        (b"[]", JSON, "invalid_json"),
        (b"{}", JSON, "invalid_json"),
        (b"[1,", JSON, "invalid_json"),
        (b"\xff", JSON, "invalid_json"),
        (b"[" * 100_000, JSON, "invalid_json"),
        (b"1\n" * 10_001, NDJSON, "too_large"),
        (b"1" * 2_000_000, NDJSON, "too_large"),
    ],
)
def test_a_body_that_is_no_batch_is_refused_as_a_whole(body, header, code):
    async def check(service, clients):
        answer = await call(service.app, "POST", "/send/batch", body, [header])
        assert (answer.json["code"], answer.json["outcome"]) == (code, "not_written")
        assert clients.made[0].produced == []

    running(check, APP_MAX_BATCH_BODY="1000000")


@pytest.mark.parametrize(
    ("path", "body", "headers", "setting"),
    [
        ("/send", b"1" * 2000, [JSON], "(APP_MAX_BODY)"),
        ("/send/batch", b"1" * 3000, [NDJSON], "(APP_MAX_BATCH_BODY)"),
        ("/send", gzip.compress(b"1" * 2000), [JSON, GZIP], "(APP_MAX_BODY)"),
        ("/send/batch", gzip.compress(b"1" * 3000), [NDJSON, GZIP], "(APP_MAX_BATCH_BODY)"),
    ],
    ids=["a value", "a batch", "a decoded value", "a decoded batch"],
)
def test_a_body_that_is_too_long_names_the_setting_of_its_limit(path, body, headers, setting):
    async def check(service, clients):
        answer = await call(service.app, "POST", path, body, headers)
        assert (answer.status, setting in answer.json["detail"]) == (413, True)

    running(check, APP_MAX_BODY="1024", APP_MAX_BATCH_BODY="2048")


def test_one_long_record_does_not_harm_the_others():
    async def check(service, clients):
        answer = await call(service.app, "POST", "/send/batch", b'1\n"' + b"x" * 2000 + b'"\n', [NDJSON])
        assert [result.get("error", "sent") for result in answer.json["results"]] == ["sent", "too_large"]

    running(check, APP_MAX_BODY="1024")


def test_a_batch_that_has_no_room_is_refused_before_any_of_it_is_written():
    async def check(service, clients):
        clients.made[0].held = True
        await call(service.app, "POST", "/send?ack=none", b"1")
        answer = await call(service.app, "POST", "/send/batch", b"1\n2\n", [NDJSON])
        assert (answer.status, answer.json["code"]) == (503, "queue_full")
        assert len(clients.made[0].produced) == 1

    running(check, APP_MAX_INFLIGHT="2")


@pytest.mark.parametrize("query", ["envelope=2", "envelope", "x=1"])
def test_a_wrong_parameter_is_refused(query):
    async def check(service, clients):
        assert (await call(service.app, "POST", f"/send/batch?{query}", b"1")).json["code"] == "bad_parameter"

    running(check)


def test_a_byte_order_mark_is_not_published():
    async def check(service, clients):
        answer = await call(service.app, "POST", "/send", b'\xef\xbb\xbf{"a": 1}', [JSON])
        assert answer.status == 200
        assert [record["value"] for record in clients.made[0].produced] == [b'{"a": 1}']

    running(check)


@pytest.mark.parametrize(
    ("path", "body", "values"),
    [
        ("/send", b'{"n": 1.10}', [b'{"n": 1.10}']),
        ("/send/batch", b"1\n2\n", [b"1", b"2"]),
        ("/send/batch", b"[1, 2.0]", [b"1", b"2.0"]),
    ],
)
def test_a_compressed_body_is_published_as_what_it_holds(path, body, values):
    async def check(service, clients):
        headers = [GZIP]
        answer = await call(service.app, "POST", path, gzip.compress(body), headers)
        assert answer.status == 200
        assert [record["value"] for record in clients.made[0].produced] == values

    running(check)


@pytest.mark.parametrize("path", ["/send", "/send/batch"])
@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [(b"1", b"gzip", 400), (b"1", b"br", 415), (gzip.compress(b" " * 50_000_000), b"gzip", 413)],
)
def test_a_body_that_cannot_be_decoded_is_not_published(path, body, encoding, status):
    async def check(service, clients):
        answer = await call(service.app, "POST", path, body, [(b"content-encoding", encoding)])
        assert (answer.status, answer.json["outcome"]) == (status, "not_written")
        assert clients.made[0].produced == []

    running(check)


def test_a_report_that_comes_after_the_end_of_the_loop_is_passed_over():
    async def waiting():
        batch = Batch(1, lambda _error, _partition: problem("draining", "the app is stopping"))
        waiter = asyncio.create_task(batch.wait(1))
        await asyncio.sleep(0)
        waiter.cancel()
        return batch

    batch = asyncio.run(waiting())
    batch.report(0, None, FakeMessage(offset_=3))
    assert batch.results == [(0, 3)]
