import pytest

from kraftd.cli.commands.groups import reset_to
from kraftd.errors import ConfigurationError
from kraftd.operate.data.resets import ResetKind, ResetTo

NOW_S = 10_000.0


@pytest.mark.parametrize(
    ("to", "shift", "expected"),
    [
        ("earliest", None, ResetTo(ResetKind.EARLIEST)),
        ("latest", None, ResetTo(ResetKind.LATEST)),
        ("1234", None, ResetTo(ResetKind.OFFSET, 1234)),
        ("2h", None, ResetTo(ResetKind.TIME, 2_800_000)),
        ("1970-01-01T00:00:01.5Z", None, ResetTo(ResetKind.TIME, 1500)),
        (None, -5, ResetTo(ResetKind.SHIFT, -5)),
        (None, 0, ResetTo(ResetKind.SHIFT, 0)),
    ],
)
def test_where_a_reset_goes_is_read(to, shift, expected):
    assert reset_to(to, shift, NOW_S) == expected


@pytest.mark.parametrize(
    ("to", "shift"), [(None, None), ("earliest", 1), ("soon", None), ("-5", None), ("2026-01-01T00:00:00", None)]
)
def test_what_names_no_place_is_refused(to, shift):
    with pytest.raises(ConfigurationError):
        reset_to(to, shift, NOW_S)
