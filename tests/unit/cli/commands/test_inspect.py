import pytest
from rich.text import Text

from kraftd.cli.commands.inspect import lag_or_reason
from kraftd.errors import NeedsRunningClusterError, UnknownNameError


@pytest.mark.parametrize("kind", [NeedsRunningClusterError, UnknownNameError])
def test_who_watches_a_lag_sees_why_it_is_not_known_now(kind):
    def ask():
        raise kind("cannot show the lag of groups: no broker answers")

    found = lag_or_reason(ask, with_partitions=True)

    assert isinstance(found, Text)
    assert found.plain == "cannot show the lag of groups: no broker answers"
