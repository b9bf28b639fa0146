import pytest

from kraftd_apps.common.problems import ProblemError
from kraftd_apps.producer.json_records import MAX_DEPTH, elements, envelope_item, json_fault, members, split_records
from kraftd_apps.producer.record import Record

MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    "body",
    [
        b"{}", b"[]", b"null", b"true", b"0", b'"text"', b" \r\n\t1 ", b"-0.5e-400", b'{"a":1,"a":2}',
        b"23958446825181076828", b"1" * 10_000, '"\u2028 \N{PILE OF POO}"'.encode(), b'"\\ud800"',
        b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, b'"' + b"[" * 5000 + b'"', b'"' + b'\\"[' * 5000 + b'"',
    ],
)  # fmt: skip
def test_json_is_taken(body):
    assert json_fault(body) is None


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b"{} {}", b"'a'", b"{a:1}", b"[1,]", b"NaN", b"[Infinity]",
        b"-Infinity", b"1e400", b"[-1e999]",
        b"01", b"\xff", b'"\xed\xa0\x80"', b"\xef\xbb\xbf{}", '"a"'.encode("utf-16"), b'"\n"', b"\x00",
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), b"[" * 100_000, b'{"a":' * 100_000,
    ],
)  # fmt: skip
def test_what_is_not_json_is_told_why(body):
    assert json_fault(body)


def test_a_string_without_an_end_is_looked_through_once():
    assert json_fault(b"[]" * (MAX_DEPTH + 1) + b'"' + b'\\"' * 500_000)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
def test_another_unicode_encoding_is_named(encoding):
    assert encoding.upper()[:6] in json_fault('{"a": 1}'.encode(encoding))


@pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson", ""])
def test_a_batch_in_utf_16_is_refused_whole_and_named(content_type):
    with pytest.raises(ProblemError, match="UTF-16"):
        split_records("[1]\n[2]\n".encode("utf-16"), content_type)


def test_a_line_that_is_not_utf_8_does_not_touch_the_others():
    assert split_records(b"1\n\xff\n2", "application/x-ndjson") == [b"1", b"\xff", b"2"]


def test_the_elements_of_an_array_keep_their_text():
    assert elements(' [ 1.10 , {"a" : [1,2]},"],[", NaN ] ') == ["1.10", '{"a" : [1,2]}', '"],["', "NaN"]
    assert elements("[]") == []


def test_the_members_of_an_object_keep_their_text():
    assert members('{"a":1.10,"b\\u0041" : {"x":[]} }\n') == {"a": "1.10", "bA": '{"x":[]}'}


@pytest.mark.parametrize("text", ["", "[", "[1", "[1 2]", "[1,]", "[,1]", "[1]]", "1", "{}", "[1],"])
def test_what_is_no_array_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        elements(text)


@pytest.mark.parametrize("text", ["{", '{"a"}', '{"a":}', '{"a":1,}', "{1:2}", '{"a":1,"a":2}', "[]", '{"a":1}{}'])
def test_what_is_no_object_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        members(text)


@pytest.mark.parametrize(
    ("body", "content_type", "texts"),
    [
        (b"1\n\n [2]\r\n", "application/x-ndjson", [b"1", b" [2]"]),
        (b"[1, [2] ]", "application/json", [b"1", b"[2]"]),
        (b" [1]", "application/x-www-form-urlencoded", [b"1"]),
        (b"{}\n{}", "application/x-www-form-urlencoded", [b"{}", b"{}"]),
        (b"[1]\n[2]", "application/x-ndjson", [b"[1]", b"[2]"]),
        (b'\x1e{"a":\n1}\n\x1e2\r\n\x1e\n', "application/json-seq", [b'{"a":\n1}', b"2"]),
        (b"\x1e1\n", "application/geo+json-seq", [b"1"]),
        (b"1\n2\n", "application/json-seq", [b"1", b"2"]),
        (MARK + b"1\n2", "application/x-ndjson", [b"1", b"2"]),
        (MARK + b"1\n" + MARK + b"2\r\n" + MARK, "application/x-ndjson", [b"1", b"2"]),
        (MARK + b"[1,2]", "application/json", [b"1", b"2"]),
        (MARK + b"[1,2]", "application/x-www-form-urlencoded", [b"1", b"2"]),
    ],
)
def test_a_batch_is_lines_or_an_array(body, content_type, texts):
    assert split_records(body, content_type) == texts


def test_an_envelope_says_everything_about_a_record():
    text = b'{"key":"k","value":{"n":1.10},"headers":{"a":"1","b":["2","3"]},"partition":2,"timestamp":5}'
    headers = (("a", b"1"), ("b", b"2"), ("b", b"3"))
    assert envelope_item(text) == Record(b'{"n":1.10}', b"k", 2, 5, headers)
    assert envelope_item(b'{"value":1,"key":null,"partition":null,"timestamp":null,"headers":null}') == Record(b"1")
    assert envelope_item(b'{"value":null,"key":"k"}') == Record(None, b"k")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"1", "bad_parameter"),
        (b"{}", "bad_parameter"),
        (b'{"value":null}', "bad_parameter"),
        (b'{"value":1,"colour":2}', "bad_parameter"),
        (b'{"value":1,"key":2}', "bad_parameter"),
        (b'{"value":1,"key":"\\ud800"}', "bad_parameter"),
        (b'{"value":1,"partition":-1}', "bad_parameter"),
        (b'{"value":1,"partition":1.0}', "bad_parameter"),
        (b'{"value":1,"timestamp":"now"}', "bad_parameter"),
        (b'{"value":1,"headers":[]}', "bad_parameter"),
        (b'{"value":1,"headers":{"a":1}}', "bad_parameter"),
        (b'{"value":1,"headers":{"a\\u0000b":"x"}}', "bad_parameter"),
        (b'{"value":1,"value":2}', "bad_parameter"),
        (b'{"value":NaN}', "invalid_json"),
        (b"\xff", "invalid_json"),
        (b'{"value":1,"key":"' + b"k" * 9000 + b'"}', "too_large"),
    ],
)
def test_a_wrong_envelope_is_refused_alone(text, code):
    assert envelope_item(text).code == code
