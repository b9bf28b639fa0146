import pytest

from kraftd.spec.figures import count, duration, latency, plural, rate


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (999, "999"), (1234567, "1,234,567"), (2.6, "3")])
def test_a_count_has_its_thousands_apart(number, text):
    assert count(number) == text


@pytest.mark.parametrize(
    ("per_s", "text"), [(0, "0/s"), (0.04, "0.0/s"), (2.54, "2.5/s"), (12.4, "12/s"), (12345.0, "12,345/s")]
)
def test_a_small_rate_has_a_decimal(per_s, text):
    assert rate(per_s) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.42, "0.4 s"),
        (1.9, "1 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (185, "3 min 5 s"),
        (3600, "1 h"),
        (7260, "2 h 1 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.00042, "0.4 ms"), (0.0234, "23 ms"), (1.24, "1.2 s")])
def test_a_short_time_is_told_in_milliseconds(seconds, text):
    assert latency(seconds) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 records"), (1, "1 record"), (2000, "2,000 records")])
def test_a_noun_follows_its_number(number, text):
    assert plural(number, "record") == text
