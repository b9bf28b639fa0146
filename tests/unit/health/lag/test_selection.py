import pytest

from kraftd.health.lag.selection import selector
from kraftd.kafka.model import GroupState
from kraftd.plan.kinds import Selection
from tests.unit.health.views import topic


def groups(*names):
    return {name: GroupState(name, "Empty", "consumer", "classic", 1, ()) for name in names}


@pytest.mark.parametrize(
    ("allow", "deny", "chosen"),
    [
        (("*",), (), ["a", "ab", "b.c"]),
        ((), (), []),
        (("a*",), ("ab",), ["a"]),
        (("a", "b?c", "[b]*"), (), ["a"]),
        (("*",), ("*",), []),
    ],
)
def test_what_is_denied_is_not_allowed_and_only_the_star_stands_for_anything(allow, deny, chosen):
    by_name = selector(Selection(topics_allow=allow, topics_deny=deny, groups_allow=allow, groups_deny=deny))

    assert [each.name for each in by_name.topics([topic(name, 1) for name in ("a", "ab", "b.c")])] == chosen
    assert list(by_name.groups(groups("a", "ab", "b.c"))) == chosen


def test_topics_beyond_the_limit_are_left_out_whole():
    limited = selector(Selection(max_partitions=3))

    chosen = limited.topics([topic("a", 1, 1), topic("b", 1, 1), topic("c", 1)])

    assert [each.name for each in chosen] == ["a", "c"]


def test_groups_beyond_the_limit_are_left_out():
    assert list(selector(Selection(max_groups=1)).groups(groups("a", "b"))) == ["a"]


def test_a_group_that_does_not_fit_is_summed_up_only_and_smaller_ones_are_not():
    assert selector(Selection(max_group_partitions=10)).undetailed({"a": 4, "huge": 100, "b": 6}) == {"huge"}
