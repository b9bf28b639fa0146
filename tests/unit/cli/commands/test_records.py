import pytest

from kraftd.cli.commands.records import range_of
from kraftd.errors import ConfigurationError
from kraftd.operate.data.tail import TailRange

NOW_S = 100.0


@pytest.mark.parametrize(
    ("count", "place", "is_filtered", "expected"),
    [
        (None, (None, None), False, TailRange(10)),
        (3, (None, None), False, TailRange(3)),
        (None, (None, None), True, TailRange(None, is_filtered=True)),
        (None, ("-5", None), False, TailRange(None, offset=-5)),
        (2, ("earliest", None), False, TailRange(2, offset="earliest")),
        (None, (None, "10s"), False, TailRange(None, since_ms=90_000)),
    ],
)
def test_options_name_a_range(count, place, is_filtered, expected):
    assert range_of(count, (), place, NOW_S, is_filtered=is_filtered) == expected


@pytest.mark.parametrize("place", [("1", "10s"), ("soon", None), (None, "soon")])
def test_what_names_no_place_is_refused(place):
    with pytest.raises(ConfigurationError):
        range_of(None, (), place, NOW_S, is_filtered=False)
