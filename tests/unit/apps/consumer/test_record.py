import pytest

from kraftd_apps.consumer.record import SeenRecord, Shown, document, iso_time, record_of, row_of, shown
from tests.unit.apps.kafka_fakes import FakeMessage


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, Shown("null", "")),
        (b"", Shown("empty", "")),
        (b'{"n": 23958446825181076828}', Shown("text", '{"n": 23958446825181076828}')),
        (b"\xff\x00", Shown("binary", "ff 00")),
        (b"\x1b[31m", Shown("binary", "1b 5b 33 31 6d")),
        (b"a\tb\r\n", Shown("text", "a\tb\r\n")),
        ("äö".encode(), Shown("text", "ä", cut=True)),
    ],
)
def test_bytes_are_shown_as_what_they_are(content, expected):
    assert shown(content, 3 if content and len(content) == 4 else 100) == expected


@pytest.mark.parametrize("character", ["\x1b", "\x9b", "\u200b", "\u202e", "\u2066", "\ufeff"])
def test_what_cannot_be_seen_in_the_name_of_a_header_is_shown(character):
    record = SeenRecord(0, 0, None, None, None, headers=((f"a{character}b", b""),))
    assert row_of(record).headers[0][0] == f"a{ascii(character)[1:-1]}b"


def test_a_long_binary_value_is_cut():
    found = shown(b"\xff" * 10_000)
    assert found.cut
    assert len(found.text) < 2000


def test_a_time_that_no_date_can_hold_is_unknown():
    assert iso_time(1_700_000_000_123) == "2023-11-14T22:13:20.123Z"
    assert iso_time(10**17) is None
    assert iso_time(None) is None


def test_a_record_that_was_written_without_a_time_has_none():
    assert record_of(FakeMessage(timestamp_=(1, -1))).timestamp_ms is None
    assert record_of(FakeMessage(timestamp_=(1, 0))).timestamp_ms == 0
    assert record_of(FakeMessage(timestamp_=(0, -1))).timestamp_ms is None


def test_a_document_loses_nothing():
    record = SeenRecord(1, 2, None, b"\xff", None, (("a", b"1"), ("a", None)))
    assert document(record) == {
        "partition": 1,
        "offset": 2,
        "timestamp_ms": None,
        "timestamp": None,
        "size_bytes": 4,
        "key": "/w==",
        "key_encoding": "base64",
        "headers": [
            {"name": "a", "value": "1", "value_encoding": "utf-8"},
            {"name": "a", "value": None, "value_encoding": None},
        ],
        "value": None,
        "value_encoding": None,
        "fault": None,
    }


class MessageWithUndecodableNames(FakeMessage):
    """Fails at the first call of `headers`, as confluent_kafka does, then returns what it kept."""

    calls = 0

    def headers(self):
        self.calls += 1
        if self.calls > 1:
            return [("good", b"1"), (b"only a value",), (None,), ("good", None)]
        try:
            b"caf\xe9".decode()
        except UnicodeDecodeError as cause:
            raise SystemError("returned a result with an exception set") from cause


def test_header_names_that_are_not_utf8_cost_no_value_and_no_other_header():
    headers = (("good", b"1"), ("caf\ufffd", b"only a value"), ("\ufffd", None), ("good", None))
    assert record_of(MessageWithUndecodableNames()).headers == headers


def test_a_record_that_cannot_be_decoded_is_shown_with_the_reason_in_its_place():
    record = record_of(FakeMessage(1, 7, headers_=ValueError("too many")))
    assert record == SeenRecord(1, 7, None, None, None, fault="ValueError: too many")
    assert document(record)["fault"] == "ValueError: too many"
    assert row_of(record).value == Shown("fault", "ValueError: too many")


def test_a_record_with_many_or_long_headers_is_shown_in_bounds_and_counted_in_full():
    many = SeenRecord(0, 0, None, None, b"", tuple(("name", b"v") for _ in range(20_000)))
    row = row_of(many)
    assert len(row.headers) == 51
    assert row.headers[-1] == ("…", Shown("text", "19950 more"))
    assert many.memory_bytes > 20_000 * 150
    long = row_of(SeenRecord(0, 0, None, None, b"", (("n" * 1_000_000, b"v" * 1_000_000),)))
    assert len(long.headers[0][0]) < 300
    assert len(long.headers[0][1].text) < 300
