import pytest

from kraftd_apps.producer.json_text import MAX_DEPTH, json_fault


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
