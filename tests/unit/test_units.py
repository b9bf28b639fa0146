from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from kraftd.units import (
    count,
    duration,
    format_size,
    human_size,
    latency,
    listed,
    parse_bytes,
    parse_long_duration_ms,
    parse_schedule,
    parse_size,
    parse_timestamp,
    plural,
    rate,
    timestamp,
)


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


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 records"), (None, "- records"), (1, "1 record"), (2000, "2,000 records")]
)
def test_a_noun_follows_its_number(number, text):
    assert plural(number, "record") == text


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("4g", 4 * 1024**3), ("512m", 512 * 1024**2), ("65536k", 64 * 1024**2), ("4G", 4 * 1024**3), (" 1g ", 1024**3)],
)
def test_a_size_is_a_whole_number_and_a_unit(text, size_bytes):
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "4", "g", "4gb!", "4gb", "0g", "04g", "-1g", "1.5g", "4 g", "4t", "٤g", "4g\n4g"])
def test_anything_else_is_no_size(text):
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(4 * 1024**3, "4g"), (1536 * 1024**2, "1536m"), (65536 * 1024, "64m"), (1025 * 1024, "1025k"), (1000, "1000")],
)
def test_the_shortest_exact_form_is_chosen(size_bytes, text):
    assert format_size(size_bytes) == text


@pytest.mark.parametrize("text", ["4g", "192m", "1025k"])
def test_a_formatted_size_reads_back(text):
    assert format_size(parse_size(text)) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(int(23.4 * 1024**3), "23.4 GiB"), (int(61.3 * 1024**2), "61.3 MiB"), (1024**2, "1.0 MiB"), (512, "0.5 KiB")],
)
def test_people_get_one_decimal(size_bytes, text):
    assert human_size(size_bytes) == text


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("1024", 1024),
        ("1GiB", 1024**3),
        ("1.5 MiB", 1536 * 1024),
        ("500MB", 500_000_000),
        ("64k", 65536),
        ("2g", 2 * 1024**3),
        ("10b", 10),
    ],
)
def test_a_size_of_data_is_read_in_binary_and_decimal_units(text, size_bytes):
    assert parse_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", "big", "-1", "1 XB", "0", "0GiB", "1e3", "GiB", "9" * 310])
def test_what_is_no_size_of_data_is_refused(text):
    with pytest.raises(ValueError, match=r"it is not a size|it leaves no room|it is too large"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "ms"),
    [("7d", 604_800_000), ("2w", 1_209_600_000), ("12h", 43_200_000), ("90min", 5_400_000), ("1.5s", 1500), ("5MS", 5)],
)
def test_a_long_duration_is_read_in_its_unit(text, ms):
    assert parse_long_duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "7", "soon", "-1d", "0d", "1y", "9" * 308 + "d"])
def test_what_is_no_long_duration_is_refused(text):
    with pytest.raises(ValueError, match=r"it is not a duration|it leaves no time|it is too long"):
        parse_long_duration_ms(text)


@pytest.mark.parametrize(
    ("names", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a, b"), (["a", "b", "c", "d"], "a, b and 2 more")]
)
def test_a_long_list_says_how_many_are_left_out(names, text):
    assert listed(names, 2) == text


BERLIN = ZoneInfo("Europe/Berlin")
THURSDAY = datetime(2026, 11, 26, 12, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("every 90m", THURSDAY.replace(hour=13, minute=30)),
        ("every 2d", THURSDAY.replace(day=28)),
        ("daily 03:00", THURSDAY.replace(day=27, hour=3)),
        ("daily 12:00", THURSDAY.replace(day=27)),
        (" Daily  12:01 ", THURSDAY.replace(minute=1)),
        ("weekly thursday 11:00", THURSDAY.replace(month=12, day=3, hour=11)),
        ("weekly sunday 23:59", THURSDAY.replace(day=29, hour=23, minute=59)),
    ],
)
def test_a_schedule_names_its_next_moment(text, expected):
    assert parse_schedule(text).next_after_s(THURSDAY.timestamp(), BERLIN) == expected.timestamp()


@pytest.mark.parametrize(
    "text", ["", "6h", "every 0h", "every 6", "daily 24:00", "daily 3:00", "weekly mon 03:00", "* * * * *"]
)
def test_what_is_no_schedule_is_refused(text):
    with pytest.raises(ValueError, match="not a schedule"):
        parse_schedule(text)


def test_a_daily_time_comes_once_on_the_days_on_which_the_clocks_change():
    daily = parse_schedule("daily 02:30")
    for day in (datetime(2026, 3, 28, 12, tzinfo=BERLIN), datetime(2026, 10, 24, 12, tzinfo=BERLIN)):
        first = daily.next_after_s(day.timestamp(), BERLIN)
        second = daily.next_after_s(first, BERLIN)

        assert 23 * 3600 <= second - first <= 25 * 3600
        assert datetime.fromtimestamp(second, BERLIN).strftime("%H:%M") == "02:30"


def test_a_timestamp_is_read_as_it_is_written():
    assert parse_timestamp(timestamp(1_795_365_573.056)) == 1_795_365_573.056
    assert parse_timestamp("2026-11-28T02:00:00+01:00") == parse_timestamp("2026-11-28T01:00:00Z")
