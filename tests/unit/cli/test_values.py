import pytest

from kraftd.cli.values import parse_duration, parse_since, parse_timeout, regular_expression
from kraftd.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "seconds"), [("180s", 180.0), ("3m", 180.0), ("0.5h", 1800.0), ("500ms", 0.5), ("7", 7.0), (" 2s ", 2.0)]
)
def test_a_duration_is_read_in_its_unit(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1 s", "1d", "s", "1e3", "nan", "0", "0ms", "9" * 400])
def test_what_is_no_duration_or_none_at_all_is_refused(text):
    with pytest.raises(ValueError, match=r"it is not a duration|it leaves no time|it is too long"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "seconds"), [("3m", 180.0), ("596h", 2_145_600.0), ("9999h", 2_147_483.0)])
def test_a_time_limit_is_at_most_what_a_request_can_state_in_milliseconds(text, seconds):
    assert parse_timeout(text) == seconds


@pytest.mark.parametrize(
    ("text", "since_s"),
    [
        ("10m", 999_400.0),
        ("500ms", 999_999.5),
        ("1970-01-12T13:46:40Z", 1_000_000.0),
        ("1970-01-12T14:46:40+01:00", 1_000_000.0),
        ("9999999h", 0.0),
        ("1969-12-31T23:59:59.999Z", 0.0),
        ("0001-01-01T00:00:00+14:00", 0.0),
    ],
)
def test_since_is_a_duration_before_now_or_a_time_and_never_before_the_epoch(text, since_s):
    assert parse_since(text, 1_000_000.0) == since_s


@pytest.mark.parametrize(
    "text", ["", "yesterday", "10 parsecs", "-5m", "0s", "1970-01-12T13:46:40", "2026-13-01T00:00:00Z"]
)
def test_since_is_nothing_else(text):
    with pytest.raises(ValueError, match="it "):
        parse_since(text, 1_000_000.0)


@pytest.mark.parametrize("text", ["a(", b"a(", "[", "*", "a{2,1}", "(?P<", "\\", "a{99999999999}", b"a{99999999999}"])
def test_what_is_no_regular_expression_is_refused_with_the_reason(text):
    with pytest.raises(ConfigurationError, match="cannot look for '") as refused:
        regular_expression(text)

    assert refused.value.code == "bad_grep"
