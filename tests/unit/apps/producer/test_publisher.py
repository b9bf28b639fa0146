import asyncio

import pytest

from kraftd_apps.common.problems import ProblemError
from kraftd_apps.producer.publisher import STALE_S, RateLimit, TopicView, TopicWatch, unready_reasons
from kraftd_apps.producer.record import Record
from tests.unit.apps.kafka_fakes import FakeError, FakeProducer, failure, topic_metadata
from tests.unit.apps.producer.services import running
from tests.unit.web.asgi_client import call, until


def test_a_record_is_answered_with_its_place_in_the_log_and_its_bytes_are_unchanged():
    async def check(service, clients):
        body = b' {"a" : 1.10, "a":2}\n'
        answer = await call(service.app, "POST", "/send?partition=1&key=k", body)
        assert answer.json == {
            "status": "sent", "topic": "test-topic", "partition": 1, "offset": 0, "timestamp": 1_700_000_000_000,
        }  # fmt: skip
        produced = clients.made[0].produced[0]
        assert (produced["value"], produced["key"], produced["partition"]) == (body, b"k", 1)

    running(check)


def test_a_record_that_is_written_at_an_unknown_place_is_answered_without_an_offset():
    async def check(service, clients):
        clients.made[0].offsets_are_known = False
        answer = await call(service.app, "POST", "/send?partition=1", b"1")
        assert (answer.status, answer.json["partition"], answer.json["offset"]) == (200, 1, None)
        batch = await call(service.app, "POST", "/send/batch", b"1\n2")
        assert batch.json["results"] == [{"partition": 0, "offset": None}] * 2

    running(check)


def test_more_records_a_second_than_allowed_are_refused_and_not_written():
    async def check(service, clients):
        answers = [await call(service.app, "POST", "/send", b"1") for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert (answers[2].json["code"], answers[2].json["outcome"]) == ("rate_limited", "not_written")
        assert answers[2].headers["retry-after"] == "1"
        assert (await call(service.app, "POST", "/send/batch", b"1\n2")).status == 429
        assert len(clients.made[0].produced) == 2

    running(check, APP_RATE_LIMIT="2")


def test_without_ack_the_answer_does_not_wait():
    async def check(service, clients):
        clients.made[0].held = True
        answer = await call(service.app, "POST", "/send?ack=none", b"1")
        assert (answer.status, answer.json) == (202, {"status": "queued"})

    running(check)


def test_a_loss_that_nobody_waits_for_is_counted_and_logged(caplog):
    async def check(service, clients):
        clients.made[0].error = FakeError("_MSG_TIMED_OUT")
        await call(service.app, "POST", "/send?ack=none", b"1")
        await until(lambda: not service.publisher.inflight)
        metrics = await call(service.app, "GET", "/metrics")
        assert b'kafka_producer_lost_records_total{code="delivery_timeout"} 1.0' in metrics.body

    running(check)
    assert "was lost" in caplog.text


@pytest.mark.parametrize("body", [b"{", b"NaN", b"\xff", b""])
def test_a_bad_body_never_reaches_kafka(body):
    async def check(service, clients):
        answer = await call(service.app, "POST", "/send", body)
        assert (answer.status, answer.json["code"]) == (400, "invalid_json")
        assert answer.headers["content-type"] == "application/problem+json"
        assert clients.made[0].produced == []

    running(check)


def test_a_long_body_is_refused_with_and_without_its_length_and_in_pieces():
    async def check(service, clients):
        body = b'"' + b"a" * 2000 + b'"'
        length = (b"content-length", b"%d" % len(body))
        answers = [
            await call(service.app, "POST", "/send", body),
            await call(service.app, "POST", "/send", body, [length]),
            await call(service.app, "POST", "/send", [body[:900], body[900:1800], body[1800:]]),
        ]
        assert [answer.json["code"] for answer in answers] == ["too_large"] * 3
        assert clients.made[0].produced == []

    running(check, APP_MAX_BODY="1024")


def test_a_body_that_says_it_is_long_is_not_even_read():
    async def check(service, clients):
        length = (b"content-length", b"999999999")
        answer = await call(service.app, "POST", "/send", b"1", [length])
        assert answer.json["code"] == "too_large"

    running(check)


def test_a_body_in_pieces_is_put_together():
    async def check(service, clients):
        assert (await call(service.app, "POST", "/send", [b"[1", b",2", b"]"])).status == 200
        assert clients.made[0].produced[0]["value"] == b"[1,2]"

    running(check)


def test_a_body_that_does_not_come_is_given_up():
    async def check(service, clients):
        async def receive():
            await asyncio.Event().wait()

        sent = []

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/send",
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
        }
        await service.app(scope, receive, send)
        assert sent[0]["status"] == 408

    running(check, APP_BODY_TIMEOUT_SECONDS="0.01")


def test_too_much_in_flight_is_refused_at_once_with_a_time_to_come_back():
    async def check(service, clients):
        clients.made[0].held = True
        first = asyncio.create_task(call(service.app, "POST", "/send", b"1"))
        await until(lambda: service.publisher.inflight)
        refused = await call(service.app, "POST", "/send", b"2")
        assert (refused.status, refused.json["code"], refused.headers["retry-after"]) == (503, "queue_full", "1")
        assert refused.json["outcome"] == "not_written"
        clients.made[0].release()
        assert (await first).status == 200

    running(check, APP_MAX_INFLIGHT="1")


@pytest.mark.parametrize(
    ("refusal", "code"),
    [(BufferError("full"), "queue_full"), (failure("_UNKNOWN_PARTITION"), "unknown_partition")],
)
def test_what_the_client_refuses_at_once_was_not_written(refusal, code):
    async def check(service, clients):
        service.publisher.watch.ask()
        clients.made[0].refusal = refusal
        answer = await call(service.app, "POST", "/send?partition=7", b"1")
        assert (answer.json["code"], answer.json["outcome"]) == (code, "not_written")
        assert service.publisher.inflight == 0

    running(check)


def test_the_first_records_after_the_topic_was_deleted_have_no_topic():
    async def check(service, clients):
        service.publisher.watch.ask()
        clients.made[0].error = FakeError("_UNKNOWN_PARTITION")
        for target, code in (
            ("", "unknown_topic"),
            ("?partition=1", "unknown_topic"),
            ("?partition=2", "unknown_partition"),
        ):
            answer = await call(service.app, "POST", f"/send{target}", b"1")
            assert (answer.json["code"], answer.json["outcome"]) == (code, "not_written")
        batch = await call(service.app, "POST", "/send/batch", b"1\n2")
        assert (batch.status, [found["error"] for found in batch.json["results"]]) == (404, ["unknown_topic"] * 2)

    running(check)


def test_while_no_broker_answers_requests_fail_at_once_and_later_succeed_again():
    async def check(service, clients):
        clients.made[0].metadata = failure("_TRANSPORT")
        service.publisher.watch.ask()
        assert (await call(service.app, "POST", "/send", b"1")).status == 200, "one unanswered question is no outage"
        clients.on_error(FakeError("_ALL_BROKERS_DOWN"))
        await asyncio.sleep(0)
        refused = await call(service.app, "POST", "/send", b"1")
        assert (refused.json["code"], refused.json["outcome"]) == ("brokers_down", "not_written")
        clients.made[0].metadata = FakeProducer().metadata
        service.publisher.watch.ask()
        assert (await call(service.app, "POST", "/send", b"1")).status == 200

    running(check)


def test_a_fatal_error_gets_a_new_client_and_fails_what_was_in_flight():
    async def check(service, clients):
        clients.made[0].held = True
        waiting = asyncio.create_task(call(service.app, "POST", "/send", b"1"))
        await until(lambda: service.publisher.inflight)
        clients.on_error(FakeError("INVALID_PRODUCER_EPOCH", fatal=True))
        failed = await waiting
        assert (failed.status, failed.json["code"]) == (503, "producer_restarting")
        await until(lambda: len(clients.made) == 2)
        assert (await call(service.app, "POST", "/send", b"2")).status == 200
        assert clients.made[0].purged
        assert b"kafka_producer_replacements_total 1.0" in (await call(service.app, "GET", "/metrics")).body

    running(check)


def test_a_second_fatal_error_soon_after_waits_before_the_next_client():
    async def check(service, clients):
        clients.on_error(FakeError("INVALID_PRODUCER_EPOCH", fatal=True))
        await until(lambda: len(clients.made) == 2)
        clients.on_error(FakeError("INVALID_PRODUCER_EPOCH", fatal=True))
        await asyncio.sleep(0.01)
        refused = await call(service.app, "POST", "/send", b"2")
        assert (refused.json["code"], refused.json["outcome"]) == ("producer_restarting", "not_written")
        assert (await call(service.app, "GET", "/readyz")).status == 503
        assert (await call(service.app, "GET", "/healthz")).status == 200

    running(check)


def test_at_the_end_records_in_flight_are_failed_truthfully_after_the_drain_time():
    async def check(service, clients):
        clients.made[0].held = True
        waiting = asyncio.create_task(call(service.app, "POST", "/send", b"1"))
        await until(lambda: service.publisher.inflight)
        service.begin_stop()
        refused = await call(service.app, "POST", "/send", b"2")
        assert (refused.json["code"], refused.json["outcome"]) == ("draining", "not_written")
        failed = await waiting
        assert (failed.json["code"], failed.json["outcome"]) == ("draining", "unknown")
        assert (await call(service.app, "GET", "/readyz")).status == 503

    running(check, APP_DRAIN_SECONDS="0.01")


def test_a_client_that_went_away_harms_nothing():
    async def check(service, clients):
        clients.made[0].held = True
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(service.publisher.publish(Record(b"1")), 0.01)
        clients.made[0].release()
        assert (await service.publisher.publish(Record(b"2"))).error is None
        # Nobody takes it back: what was handed over is written.
        assert [each["value"] for each in clients.made[0].produced] == [b"1", b"2"]

    running(check)


def test_readiness_follows_the_topic():
    async def check(service, clients):
        service.publisher.watch.ask()
        assert (await call(service.app, "GET", "/readyz")).json == {"status": "ready", "reasons": []}

    running(check)


def test_nothing_is_published_after_the_stop_began():
    async def check(service, clients):
        service.begin_stop()
        with pytest.raises(ProblemError):
            service.publisher.publish_unacknowledged(Record(b"1"))

    running(check)


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


def taken(limit, times):
    return sum(limit.take(1) for _ in range(times))


def test_a_seconds_worth_is_taken_at_once_and_then_as_time_goes_on():
    clock = Clock()
    limit = RateLimit(10, clock)
    assert taken(limit, 100) == 10
    clock.now_s += 0.55
    assert taken(limit, 100) == 5
    clock.now_s += 60
    assert taken(limit, 100) == 10


def test_a_batch_larger_than_the_bucket_is_taken_and_waited_for_afterwards():
    clock = Clock()
    limit = RateLimit(10, clock)
    assert limit.take(30)
    clock.now_s += 1.9
    assert not limit.take(1)
    clock.now_s += 0.3
    assert limit.take(1)


def test_without_a_limit_everything_is_taken():
    assert taken(RateLimit(0), 10_000) == 10_000


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        (TopicView("t"), "no broker has answered yet"),
        (TopicView("t", 100.0 - STALE_S - 1, 4, fault="no broker answers: away"), "away"),
        (TopicView("t", 100.0, 0), "topic t does not exist"),
        (TopicView("t", 100.0, 4, (1, 3)), "without a leader: 1, 3"),
    ],
)
def test_what_keeps_records_from_being_written_is_named(view, reason):
    assert reason in unready_reasons(view, 100.0)[0]


def test_a_topic_with_leaders_is_ready_and_a_short_outage_does_not_change_that():
    assert unready_reasons(TopicView("t", 100.0, 4), 101.0) == []
    assert unready_reasons(TopicView("t", 100.0, 4, fault="no broker answers"), 101.0) == []


def test_a_watch_sees_partitions_leaders_and_a_missing_topic():
    client = FakeProducer()
    watch = TopicWatch(lambda: client, "test-topic", clock=lambda: 7.0)
    client.metadata = topic_metadata([1, -1, 2])
    watch.ask()
    assert watch.view == TopicView("test-topic", 7.0, 3, (1,))
    client.metadata = topic_metadata([1], topic="other")
    watch.ask()
    assert watch.view == TopicView("test-topic", 7.0, 0)


def test_an_outage_keeps_what_was_seen_and_is_told_once(caplog):
    client = FakeProducer()
    watch = TopicWatch(lambda: client, "test-topic", clock=lambda: 7.0)
    watch.ask()
    client.metadata = failure("_TRANSPORT")
    for _ in range(3):
        watch.ask()
    assert (watch.view.partitions, watch.view.seen_s) == (2, 7.0)
    assert "no broker answers" in watch.view.fault
    client.metadata = topic_metadata([1])
    with caplog.at_level("INFO"):
        watch.ask()
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "Kafka is unavailable",
        "Kafka is available again",
    ]


def test_an_error_of_the_client_after_the_end_of_the_loop_is_passed_over():
    late = []

    async def check(_service, clients):
        late.append(clients.on_error)

    running(check)
    late[0](FakeError("_ALL_BROKERS_DOWN"))
