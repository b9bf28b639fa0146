import pytest

from kraftd.errors import ConfigurationError, KraftdError, RefusedError
from kraftd.kafka.records.sending import NewRecord, Place
from kraftd.operate.data.record_format import Form, renderer
from kraftd.operate.data.send import check_target, parse_headers, records_of_json, records_of_lines, send
from tests.unit.operate.data.fake_kafka import FakeKafka
from tests.unit.operate.data.fake_message import FakeMessage

PLAIN = NewRecord(None)


class FakeSender:
    """Acknowledges what it is told to."""

    def __init__(self, failing=0):
        self.acknowledged = 0
        self.places = []
        self.failures = {}
        self.left = failing
        self.taken = []

    def send(self, record):
        self.taken.append(record)

    def flush(self):
        lost = min(self.left, len(self.taken))
        self.acknowledged = len(self.taken) - lost
        self.places = [Place(0, at) for at in range(self.acknowledged)]
        self.failures = {"it timed out": lost} if lost else {}


def test_each_line_is_a_record_with_the_key_and_headers():
    found = list(records_of_lines([b"a\n", b"\n", b"b\xff"], NewRecord(None, b"k", (("h", b"1"),), 2)))

    assert [each.value for each in found] == [b"a", b"", b"b\xff"]
    assert {(each.key, each.headers, each.partition) for each in found} == {(b"k", (("h", b"1"),), 2)}


@pytest.mark.parametrize("as_hex", [False, True])
@pytest.mark.parametrize("value", [b"text", b"\xff\x00", b"", None])
def test_what_tail_prints_can_be_sent_again(value, as_hex):
    message = FakeMessage(value, b"\xfe", own_headers=[("h", b"\xfd"), ("n", None)])
    line = renderer(Form(as_json=True, as_hex=as_hex))([message])

    assert list(records_of_json([line, b"\n"], PLAIN)) == [NewRecord(value, b"\xfe", (("h", b"\xfd"), ("n", None)))]


@pytest.mark.parametrize(
    "line",
    [
        b"x",
        b"[]",
        b"{}",
        b'{"value": 1}',
        b'{"ok": false}',
        b'{"value": "x", "y": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"value": "\xff"}',
        b'{"value": "!", "value_encoding": "base64"}',
        b'{"value": "x", "value_encoding": "y"}',
        b'{"value": "x", "headers": [{"name": "a\\u0000b", "value": "1"}]}',
    ],
)
def test_a_line_that_is_no_record_is_named(line):
    with pytest.raises(ConfigurationError, match="line 2"):
        list(records_of_json([b'{"value": "a"}', line], PLAIN))


def test_what_was_acknowledged_is_counted():
    sent = send(FakeSender(), "t", [PLAIN, PLAIN])

    assert (sent.acknowledged, sent.places) == (2, (Place(0, 0), Place(0, 1)))


def test_what_was_not_acknowledged_is_an_error_with_both_counts():
    with pytest.raises(KraftdError) as caught:
        send(FakeSender(failing=1), "t", [PLAIN, PLAIN, PLAIN])

    assert caught.value.code == "not_acknowledged"
    assert (caught.value.details["acknowledged"], caught.value.details["failed"]) == (2, 1)


def test_records_before_a_malformed_line_are_sent_and_counted():
    with pytest.raises(ConfigurationError) as caught:
        send(FakeSender(), "t", records_of_json([b'{"value": "a"}', b"x"], PLAIN))

    assert caught.value.details["acknowledged"] == 1
    assert str(caught.value).endswith("; 1 record before it is acknowledged")


def test_what_was_lost_before_a_malformed_line_is_told_with_it():
    lines = [*[b'{"value": "a"}'] * 5, b"x"]

    with pytest.raises(ConfigurationError, match=r"line 6: .*; 3 records before it are acknowledged, 2 are not$"):
        send(FakeSender(failing=2), "t", records_of_json(lines, PLAIN))


def test_the_error_at_the_end_of_a_tail_is_told_as_such():
    line = b'{"ok": false, "error": {"code": "c", "message": "cannot read 1 part", "hint": "", "details": {}}}'

    with pytest.raises(ConfigurationError, match="line 2: there 'kraftd tail' failed: cannot read 1 part"):
        list(records_of_json([b'{"value": "a"}', line], PLAIN))


def test_nothing_is_sent_to_the_topics_of_kafka_and_kraftd():
    with pytest.raises(RefusedError):
        check_target(FakeKafka(), "__kraftd_probe", None)
    with pytest.raises(ConfigurationError):
        check_target(FakeKafka(), "t", 2)
    assert check_target(FakeKafka(), "t", 1) == "t"


def test_headers_have_a_name_and_a_value():
    assert parse_headers(["a=1=2", "b="]) == (("a", b"1=2"), ("b", b""))
    with pytest.raises(ConfigurationError):
        parse_headers(["a"])


def test_a_header_whose_name_is_not_utf_8_is_refused_and_its_value_may_be_any_bytes():
    assert parse_headers(["\xe4=\udcff"]) == (("\xe4", b"\xff"),)
    with pytest.raises(ConfigurationError, match="its name is not UTF-8"):
        parse_headers(["\udcff=1"])
