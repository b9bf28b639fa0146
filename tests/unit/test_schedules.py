from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from kraftd.units import parse_schedule

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
    with pytest.raises(ValueError, match="no schedule"):
        parse_schedule(text)


def test_a_daily_time_comes_once_on_the_days_on_which_the_clocks_change():
    daily = parse_schedule("daily 02:30")
    for day in (datetime(2026, 3, 28, 12, tzinfo=BERLIN), datetime(2026, 10, 24, 12, tzinfo=BERLIN)):
        first = daily.next_after_s(day.timestamp(), BERLIN)
        second = daily.next_after_s(first, BERLIN)

        assert 23 * 3600 <= second - first <= 25 * 3600
        assert datetime.fromtimestamp(second, BERLIN).strftime("%H:%M") == "02:30"
