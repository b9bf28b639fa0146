import pytest

from kraftd.cli.commands.groups import reset_to
from kraftd.errors import ConfigurationError
from kraftd.operate.data.resets import ResetTo, Target

NOW_S = 10_000.0


@pytest.mark.parametrize(
    ("to", "shift", "expected"),
    [
        ("earliest", None, ResetTo(Target.EARLIEST)),
        ("latest", None, ResetTo(Target.LATEST)),
        ("1234", None, ResetTo(Target.OFFSET, 1234)),
        ("2h", None, ResetTo(Target.TIME, 2_800_000)),
        ("1970-01-01T00:00:01.5Z", None, ResetTo(Target.TIME, 1500)),
        (None, -5, ResetTo(Target.SHIFT, -5)),
        (None, 0, ResetTo(Target.SHIFT, 0)),
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
