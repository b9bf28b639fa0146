import pytest

from kraftd_apps.common.problems import ProblemError
from kraftd_apps.producer.record import MAX_KEY_BYTES, PLAIN, Options, options_of


def test_a_plain_request_has_no_options():
    assert options_of(b"", [(b"host", b"localhost"), (b"x-request-id", b"1")]) is PLAIN


def test_everything_can_be_said_about_a_record():
    found = options_of(
        b"partition=3&timestamp=1700000000000&ack=none&key=k%C3%B6",
        [(b"x-kafka-header-trace", b"1"), (b"x-kafka-header-trace", b"2"), (b"x-kafka-header-empty", b"")],
    )
    headers = (("trace", b"1"), ("trace", b"2"), ("empty", b""))
    assert found == Options("kö".encode(), 3, 1_700_000_000_000, headers, acknowledged=False)


def test_the_key_may_stand_in_a_header_and_may_be_empty():
    assert options_of(b"", [(b"x-kafka-key", "ö".encode())]).key == "ö".encode()
    assert options_of(b"key=", []).key == b""


@pytest.mark.parametrize(
    "query",
    [
        b"partition=-1", b"partition=x", b"partition=", b"partition=2147483648", b"partition=\xb2", b"timestamp=0",
        b"timestamp=9999999999999999", b"ack=1", b"key=a&key=b", b"colour=red", b"key=%ff", b"partition=" + b"9" * 5000,
        b"&".join(b"a=1" for _ in range(99)),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_refused(query):
    with pytest.raises(ProblemError) as caught:
        options_of(query, [])
    assert caught.value.problem.code == "bad_parameter"


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-kafka-header-", b"a")],
        [(b"x-kafka-hedaer-a", b"a")],
        [(b"x-kafka-header-a", b"\xff")],
        [(b"x-kafka-key", b"\xff")],
        [(b"x-kafka-header-a", b"a")] * 65,
    ],
)
def test_a_wrong_header_is_refused(headers):
    with pytest.raises(ProblemError) as caught:
        options_of(b"", headers)
    assert caught.value.problem.code == "bad_parameter"


def test_a_key_in_both_places_is_refused():
    with pytest.raises(ProblemError, match="twice"):
        options_of(b"key=a", [(b"x-kafka-key", b"a")])


def test_a_long_key_is_too_large():
    assert len(options_of(b"key=" + b"a" * MAX_KEY_BYTES, []).key) == MAX_KEY_BYTES
    with pytest.raises(ProblemError) as caught:
        options_of(b"key=" + b"a" * (MAX_KEY_BYTES + 1), [])
    assert caught.value.problem.code == "too_large"
